"""Raw attention: one row of softmax(q·kᵀ/√d), as the model has it."""

import numpy as np

from vit_engine.analysis.methods.method import RAW, Method
from vit_engine.analysis.run import Run
from vit_engine.grid import Query


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
    formula=r"A_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt{d})}{\sum_{j'} \exp(q_i \cdot k_{j'} / \sqrt{d})}",
    cost="Next to nothing after the run: one row of scores a head.",
    misleads="It is where a head looks in one layer, not what reaches the output: the value behind a large weight may "
    "be short, and other heads, MLPs and later layers change what was taken. Large weights on patches without content "
    "are often attention sinks. The mean over heads hides that heads look at different things.",
    empty="All of the query's attention goes to the CLS token and the other prefix tokens.",
)
