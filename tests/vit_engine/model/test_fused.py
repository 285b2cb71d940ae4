"""PyTorch's fused attention gives what the whole matrix gives, and its log-normalisers."""

import pytest
import torch

from tests.vit_engine.model.streams import draw
from vit_engine.grid import TokenGrid
from vit_engine.model.fused import exact_attention, fused_attention
from vit_engine.model.streaming import AttentionPlan, explicit_weights

GRID = TokenGrid(prefix=2, rows=5, cols=7, patch_size=4)
NO_STATISTICS = {"entropy": False, "distance": False, "argmax": False}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("spread", [1.0, 100.0])  # of 1 and 10,000 in scores
def test_it_is_the_whole_matrixs_output(dtype: torch.dtype, spread: float) -> None:
    drawn = draw(0, 2, 3, GRID.tokens, 4, spread=spread)
    q, k, v = (next(drawn).to(dtype) for _ in range(3))
    output, log_normalisers = fused_attention(q, k, v, scale=0.5, grid=GRID)
    exact = explicit_weights(q.double(), k.double(), scale=0.5) @ v.double()
    rounding = 1e-2 if dtype == torch.bfloat16 else 1e-5
    assert (output.double() - exact).abs().max() < rounding * exact.abs().max()
    expected = (0.5 * q.double() @ k.double().mT).logsumexp(dim=-1)
    torch.testing.assert_close(log_normalisers.double(), expected, rtol=1e-5, atol=1e-5)
    assert output.dtype == dtype


@pytest.mark.parametrize("plan", [AttentionPlan(GRID), AttentionPlan(GRID, **NO_STATISTICS)])
@pytest.mark.parametrize("output", [True, False])
def test_statistics_are_there_where_they_are_asked_for(plan: AttentionPlan, output: bool) -> None:
    drawn = draw(0, 1, 3, GRID.tokens, 4)
    found = exact_attention(
        *(next(drawn) for _ in range(3)), scale=0.5, plan=AttentionPlan(GRID, output=output, **_asked(plan))
    )
    assert (found.output is not None) == output
    assert (found.entropy is not None, found.argmax is not None) == (plan.entropy, plan.argmax)
    assert found.log_normaliser.shape == (1, 3, 37)


def _asked(plan: AttentionPlan) -> dict[str, bool]:
    return {name: getattr(plan, name) for name in NO_STATISTICS}
