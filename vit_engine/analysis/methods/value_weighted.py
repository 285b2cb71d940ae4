"""Value-weighted attention: a weight times how long what it lets through is, A[i, j]·‖v_j W_O‖."""

import numpy as np
from torch import Tensor

from vit_engine.analysis.methods.method import Method
from vit_engine.analysis.run import Run
from vit_engine.errors import SpecError
from vit_engine.grid import Query


def value_weighted(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """How long the query's weighted value of each patch is; of a region, the mean over its queries."""
    weights = run.trace.head_maps(layer, query)
    return weights * _norms(run, layer).float().cpu().numpy().reshape(weights.shape)


def patch_shares(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """Taken from the logarithms: exact however little weight the patches have; even where all values are zero."""
    grid = run.trace.grid
    weights = run.trace.layer(layer).log_row(grid.query_tokens(query))[:, grid.prefix :]
    shares = (weights + _norms(run, layer).to(weights.dtype).log()).softmax(dim=-1)
    return shares.nan_to_num(1 / grid.patches).cpu().numpy().astype(np.float64)


def _norms(run: Run, layer: int) -> Tensor:
    """‖v_j W_O‖ of each patch j: (heads, patches); SpecError where the trace does not know."""
    norms = run.trace.layer(layer).value_norms
    if norms is None:
        raise SpecError("this trace does not know how long its values are (value_norms): make it with attend().")
    return norms[:, run.trace.grid.prefix :]


METHOD = Method(
    "value_weighted",
    "Value-weighted attention",
    "How much each patch adds to the query's output in this layer: its attention weight times the length of its value "
    "after the output projection.",
    source="Kobayashi et al. 2020, arXiv 2004.10102",
    value="how long the vector is that the patch adds to the query's token",
    compute=value_weighted,
    unit="length of the weighted value",
    shares=patch_shares,
    formula=r"\lVert A_{ij}\, v_j W_O^{h} \rVert = A_{ij}\, \lVert v_j W_O^{h} \rVert,"
    r"\quad v_j = x_j W_V^{h} + b_V^{h}",
    cost="Next to nothing: the lengths are kept of the run, one number a token and head.",
    misleads="A token that takes much attention but has a short value all but vanishes, as attention sinks do: the map "
    "shows what the head adds, not where it looks. Long vectors may cancel when patches and heads are summed, or be "
    "small beside the token that they are added to. Lengths differ from layer to layer, so compare heads of one layer.",
    empty="The values of all patches are zero in this head, or all of the query's attention goes to the CLS token and "
    "the other prefix tokens.",
)
