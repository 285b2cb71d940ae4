"""Attention × gradient: the weights of one layer that the target's gradient approves of, head by head."""

import numpy as np

from vit_engine.analysis.masses import mass_of, patch_maps
from vit_engine.analysis.methods.method import PER_HEAD, Method, Needs
from vit_engine.analysis.run import Run
from vit_engine.analysis.weighted_gradients import positive_sums
from vit_engine.grid import Query
from vit_engine.trace.targets import Target


def attention_gradient(run: Run, *, layer: int, query: Query, target: Target) -> np.ndarray:
    """(A ⊙ ∇A)⁺ at the query's row, the mean over a region's rows: (heads, rows, cols)."""
    trace, gradients = run.trace, run.differentiated(target)
    sums = positive_sums(trace.layer(layer), gradients.layer(layer), mass_of(trace, query))
    return patch_maps(sums, trace.grid)


METHOD = Method(
    "attention_gradient",
    "Attention × gradient",
    "Which attention weights of the chosen token raise the target: each weight times its gradient, negative ones "
    "dropped, for one layer and each head.",
    source="Chefer et al. 2021, arXiv 2103.15679, one layer of it",
    value="the attention weight times how fast the target rises with it, 0 where it falls",
    compute=attention_gradient,
    unit="weight × gradient",
    needs=Needs.GRADIENTS,
    depends_on=PER_HEAD | {"query", "target"},
    formula=r"\left(A_{i\cdot} \odot \nabla A_{i\cdot}\right)^{+},\quad "
    r"\nabla A = \frac{\partial y}{\partial A} = \frac{\partial y}{\partial O} V^{\top}",
    cost="The target's gradient, about three forward passes, which all its methods share; then next to nothing.",
    misleads="It is of one layer: later layers may undo what this one does. A gradient says what a small change would "
    "do, so weights that are saturated look unimportant. Compare heads of one layer, not layers: gradients differ in "
    "size from layer to layer.",
    empty="The chosen token's attention has no positive gradient in this layer and head. In the last layer only tokens "
    "that the target is read from have one: CLS, or the patches where their mean is read. Choose one of them, or an "
    "earlier layer.",
)
