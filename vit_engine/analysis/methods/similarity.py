"""Token similarity: what carries the same, by the cosine of tokens that have passed the final norm."""

import numpy as np

from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.run import Run
from vit_engine.analysis.tokens.cosine import UNIT, similarity_map
from vit_engine.grid import Query
from vit_engine.trace.attention_map import Quantity


def token_similarity(run: Run, *, layer: int, query: Query) -> np.ndarray:
    """The cosine similarity of one token to every patch."""
    assert run.tokens is not None
    return similarity_map(run.tokens, query, layer=layer).values[None]


METHOD = Method(
    "similarity",
    "Token similarity",
    "How alike the tokens of the query and of each patch are where they leave the layer, by their cosine.",
    source="Amir et al. 2021, arXiv 2112.05814",
    value="of the query's token and the patch's, 1 for the same direction",
    compute=token_similarity,
    unit=UNIT,
    needs=Needs.TOKENS,
    signed=True,
    depends_on=frozenset({"layer", "query"}),
    quantity=Quantity.INTENSIVE,
    formula=r"\cos(x_i, x_j) = \frac{x_i \cdot x_j}{\lVert x_i \rVert\, \lVert x_j \rVert}",
    cost="One more run of the model, which all views of its tokens share; then next to nothing.",
    misleads="Tokens of one layer have much in common whatever they are of, so high values alone say little: look at "
    "what is higher than the rest. A few large dimensions can decide the cosine. Tokens that are alike need not "
    "attend to one another.",
    empty="No patch has anything in common with the chosen token.",
)
