"""Column attention, who looks at a patch: A[i, j] = exp(scale · q_i·k_j − ln Z_i) for one key j, in linear memory."""

import numpy as np
from torch import Tensor

from vit_engine.analysis.methods.method import Method
from vit_engine.analysis.run import Run
from vit_engine.grid import Query


def column_attention(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """The weight that each patch gives to one key; of a region, the mean of its columns."""
    weights = _log_weights(run, layer, query).exp().float().cpu().numpy()
    return weights.reshape(-1, *run.trace.grid.shape)


def patch_shares(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """Taken from the logarithms: exact however little anybody looks at the key."""
    return _log_weights(run, layer, query).softmax(dim=-1).cpu().numpy().astype(np.float64)


def _log_weights(run: Run, layer: int, query: Query) -> Tensor:
    """ln A[i, j] of each patch i, the mean over a region's j: (heads, patches). Scores are as wide as those of rows."""
    grid = run.trace.grid
    return run.trace.layer(layer).log_column(grid.query_tokens(query))[:, grid.prefix :]


METHOD = Method(
    "column",
    "Column attention",
    "Who looks at the chosen patch: the weight that each patch gives to it, a column of softmax(q·kᵀ/√d).",
    source="Vaswani et al. 2017, arXiv 1706.03762",
    value="the share of its attention that a patch gives to the chosen token",
    compute=column_attention,
    role="key",
    shares=patch_shares,
    formula=r"A_{ij} = \exp\bigl(q_i \cdot k_j / \sqrt{d} - \ln Z_i\bigr) \ \text{for one key}\ j,"
    r"\quad Z_i = \sum_{j'} \exp(q_i \cdot k_{j'} / \sqrt{d})",
    cost="Next to nothing after the run: one column of scores a head.",
    misleads="A token that many look at need not matter: attention sinks are looked at by nearly all patches and pass "
    "on little. Each patch has the same attention to give, but a column has no fixed sum: compare where columns are "
    "large rather than how large they are.",
    empty="No patch looks at the chosen token: all weights are too small for float32.",
)
