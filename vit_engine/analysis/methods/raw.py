"""Raw attention: one row of softmax(q·kᵀ/√d), as the model has it."""

import numpy as np

from vit_engine.analysis.methods.method import RAW, Method
from vit_engine.analysis.run import Run
from vit_engine.spec import Query


def raw_attention(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """The weights that one query gives to the patches; of a region, the mean of its rows."""
    return run.trace.head_maps(layer, query)


def patch_shares(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """Taken from the logarithms: exact however little weight the patches have."""
    grid = run.trace.grid
    logs = run.trace.layer(layer).log_row(grid.query_tokens(query))[:, grid.prefix :]
    return logs.softmax(dim=-1).cpu().numpy().astype(np.float64)


METHOD = Method(
    RAW,
    "Raw attention",
    "The weights that the query gives to the patches, softmax(q·kᵀ/√d), in one head or over all.",
    source="Vaswani et al. 2017, arXiv 1706.03762",
    value="the share that the query gives to a patch",
    compute=raw_attention,
    shares=patch_shares,
)
