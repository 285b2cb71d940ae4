"""Principal components of tokens as colours, on axes that several layers may share."""

from collections.abc import Sequence

import numpy as np

from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.run import Run
from vit_engine.analysis.tokens.layers import layers_pca
from vit_engine.analysis.tokens.pca import PcaMap
from vit_engine.trace.attention_map import Quantity

UNIT = "first principal component"


def components(run: Run, *, layer: int, fitted_to: Sequence[int]) -> np.ndarray:
    """The three components, in the place of heads."""
    return pca(run, layer=layer, fitted_to=fitted_to).components


def pca(run: Run, *, layer: int, fitted_to: Sequence[int]) -> PcaMap:
    """The layer's map, on axes that are fitted to it and to these layers."""
    assert run.tokens is not None
    layers = tuple(fitted_to) if layer in fitted_to else (layer, *fitted_to)
    return layers_pca(run.tokens, layers)[layer]


METHOD = Method(
    "pca",
    "PCA of tokens",
    "What the patches' tokens carry as colours: their first three principal components as red, green and blue.",
    source="Oquab et al. 2023, arXiv 2304.07193",
    value="where the patch lies along the direction in which the tokens differ most",
    compute=components,
    unit=UNIT,
    needs=Needs.TOKENS,
    signed=True,
    depends_on=frozenset({"layer", "fitted_to"}),
    quantity=Quantity.FITTED,
    pca=pca,
    formula=r"z_i = W^\top (x_i - \bar{x}),\quad W:\ \text{the three directions of largest variance}",
    cost="One more run of the model, which all views of its tokens share; then next to nothing.",
    misleads="Colours mean nothing by themselves: they are fitted to the picture and the layer, so the same colour in "
    "two maps is the same thing only where these are fitted together. What differs most may be position, brightness "
    "or a few outlier tokens, and three components may be a small part of all variance.",
    empty="All patches carry the same.",
)
