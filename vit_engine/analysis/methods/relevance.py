"""Generic relevance (Chefer et al. 2021): what the target's gradient approves of attention, through all layers."""

import numpy as np

from vit_engine.analysis.masses import mass_of, patch_maps
from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.methods.options import Option
from vit_engine.analysis.run import Run
from vit_engine.analysis.weighted_gradients import positive_sums
from vit_engine.grid import Query
from vit_engine.trace.targets import Target

UNIT = "relevance"


def relevance(run: Run, *, query: Query, target: Target, start: int) -> np.ndarray:
    """The query's row of R − I, where R ← R + Ā R from layer `start` up: (1, rows, cols).

    A row of it needs no matrix: r ← r + r Ā from the top down, where Ā = mean over heads of (A ⊙ ∇A)⁺.
    """
    trace, gradients = run.trace, run.differentiated(target)
    own = mass_of(trace, query)
    collected = own.new_zeros(own.shape)  # r without the query's own mass, beside which small numbers would be lost
    for layer in reversed(range(start, trace.spec.depth)):
        collected += positive_sums(trace.layer(layer), gradients.layer(layer), own + collected).mean(dim=0)
    return patch_maps(collected[None], trace.grid)


METHOD = Method(
    "relevance",
    "Relevance",
    "Which patches the target draws on through all layers: attention weights that raise the target, multiplied from "
    "layer to layer and read at the chosen token.",
    source="Chefer et al. 2021, arXiv 2103.15679",
    value="how much of the target's positive gradient reaches the chosen token from the patch, through all layers",
    compute=relevance,
    unit=UNIT,
    needs=Needs.GRADIENTS,
    depends_on=frozenset({"query", "target"}),
    options=(Option("start", "From layer", 0, "The first layer that counts; those below are left out.", layer=True),),
    formula=r"R \leftarrow R + \bar{A} R,\quad \bar{A} = \tfrac{1}{H}\sum_h \left(A \odot \nabla A\right)^{+},"
    r"\quad \nabla A = \frac{\partial y}{\partial A},\quad R_0 = I",
    cost="The target's gradient, about three forward passes, which all its methods share; then about half a forward "
    "pass for each other query.",
    misleads="The method adds up what all layers approve of and lowers nothing, so early layers can drown the map in "
    "artefacts: in CLIP-like models the last layers alone read well. "
    'Set "From layer" to a later one and see whether the map stays. '
    "Its size means nothing by itself; compare where it lies, not how large it is. "
    "Where a model is read from the mean of its patches, CLS tells nothing of the target: choose a region of all "
    "patches.",
    empty="No attention weight from the first counted layer up has a positive gradient on its way to the chosen token. "
    "Where only the last layer counts, only tokens that the target is read from have a gradient.",
)
