"""Grad-CAM at the tokens that a layer's attention reads, as pytorch-grad-cam uses it for Vision Transformers."""

import numpy as np

from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.run import Run
from vit_engine.trace.targets import Target


def grad_cam(run: Run, *, layer: int, target: Target) -> np.ndarray:
    """ReLU of the normalised tokens, weighted by their gradients' mean over the patches: (1, rows, cols)."""
    gradients = run.differentiated(target)
    gradients.layer(layer)  # with readouts alone there are none
    return np.maximum(gradients.activations[layer], 0)[None]


METHOD = Method(
    "grad_cam",
    "Grad-CAM",
    "Which patches' tokens point in the direction that raises the target: the normalised tokens before a layer's "
    "attention, weighted by the mean of their gradients, negative sums dropped.",
    source="Selvaraju et al. 2017, arXiv 1610.02391; jacobgil/pytorch-grad-cam",
    value="how far the patch's token points in the direction that raises the target",
    compute=grad_cam,
    unit="weighted activation",
    needs=Needs.GRADIENTS,
    depends_on=frozenset({"layer", "target"}),
    formula=r"\mathrm{ReLU}\!\left(a_p \cdot \tfrac{1}{P}\sum_{p'} \frac{\partial y}{\partial a_{p'}}\right),"
    r"\quad a = \mathrm{LayerNorm}(x)",
    cost="The target's gradient, about three forward passes, which all its methods share; then next to nothing.",
    misleads="It was made for convolutions, whose channels mean the same everywhere: in a Vision Transformer one mean "
    "direction for all patches may mean nothing, and the map can be scattered or turned inside out. It is usually read "
    "at the last block; other layers can look quite different.",
    empty="No patch's token points in the direction that raises the target in this layer: all weighted sums are "
    "negative, or the target has no gradient here.",
)
