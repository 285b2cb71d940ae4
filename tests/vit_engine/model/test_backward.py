"""The gradient of streamed attention is autograd's through the whole matrix, of scores of any size."""

import pytest
import torch
from torch import Tensor

from tests.vit_engine.model.streams import draw
from vit_engine.grid import TokenGrid
from vit_engine.model import fused
from vit_engine.model.backward import AttentionGradients, attention_backward
from vit_engine.model.fused import fused_attention, fused_backward
from vit_engine.model.streaming import explicit_weights

SCALE = 0.5
GRID = TokenGrid(prefix=2, rows=5, cols=7, patch_size=4)
EVERY = None
SOME = torch.tensor([0, 3, 36])


class Case:
    """Attention of 3 heads and 37 tokens, G on some rows, and what autograd makes of it in float64."""

    def __init__(self, spread: float = 1.0, rows: Tensor | None = None, dtype: torch.dtype = torch.float32) -> None:
        drawn = draw(0, 3, GRID.tokens, 4)
        self.vectors = [(next(drawn) * size).to(dtype) for size in (spread, spread, 1.0)]
        self.gradient, self.rows = next(drawn).to(dtype), rows
        if rows is not None:
            self.gradient = torch.zeros_like(self.gradient).index_copy_(1, rows, self.gradient[:, rows])
        q, k, v = (each.double().clone().requires_grad_() for each in self.vectors)
        scores = SCALE * q @ k.mT
        output = explicit_weights(q, k, scale=SCALE) @ v
        self.expected = torch.autograd.grad(output, (q, k, v), self.gradient.double())
        self.output, self.log_normalisers = (x.detach().to(dtype) for x in (output, scores.logsumexp(dim=-1)))

    def known(self) -> dict[str, Tensor]:
        return {"log_normalisers": self.log_normalisers, "output": self.output, "gradient": self.gradient}

    def check(self, found: AttentionGradients, tolerance: float) -> None:
        for name, each, expected in zip(AttentionGradients._fields, found, self.expected, strict=True):
            error = (each.double() - expected).abs().max() / expected.abs().max()
            assert error < tolerance, name
            assert each.dtype == self.gradient.dtype


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("rows", [EVERY, SOME])
@pytest.mark.parametrize("backward", [attention_backward, fused_backward])
def test_it_is_autograds(backward: object, rows: Tensor | None, dtype: torch.dtype, tolerance: float) -> None:
    case = Case(rows=rows, dtype=dtype)
    case.check(backward(*case.vectors, **case.known(), scale=SCALE, rows=rows), tolerance)  # type: ignore[operator]


@pytest.mark.parametrize("rows", [EVERY, SOME])
@pytest.mark.parametrize("backward", [attention_backward, fused_backward])
def test_of_extreme_scores(backward: object, rows: Tensor | None) -> None:
    case = Case(spread=30.0, rows=rows)
    assert explicit_weights(*case.vectors[:2], scale=SCALE).amax(dim=-1).median() > 0.999
    case.check(backward(*case.vectors, **case.known(), scale=SCALE, rows=rows), 1e-5)  # type: ignore[operator]


def test_without_a_gradient_it_is_zero() -> None:
    case = Case(rows=torch.tensor([], dtype=torch.int64))
    for each in attention_backward(*case.vectors, **case.known(), scale=SCALE, rows=case.rows):
        assert each.shape == (3, 37, 4)
        assert not each.any()


def test_without_pytorchs_kernel_it_goes_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_FORWARD", None)
    monkeypatch.setattr(fused, "_BACKWARD", None)
    case = Case()
    output, log_normalisers = fused_attention(*(each[None] for each in case.vectors), scale=SCALE, grid=GRID)
    torch.testing.assert_close(output[0], case.output, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(log_normalisers[0], case.log_normalisers, rtol=1e-5, atol=1e-6)
    case.check(fused_backward(*case.vectors, **case.known(), scale=SCALE), 1e-5)
