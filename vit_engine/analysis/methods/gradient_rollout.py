"""Gradient rollout: attention rollout of weights times their gradients, so that it is of a target."""

import numpy as np

from vit_engine.analysis.masses import mass_of, patch_maps
from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.methods.options import Option
from vit_engine.analysis.run import Run
from vit_engine.analysis.weighted_gradients import fused_step
from vit_engine.grid import Query
from vit_engine.trace.targets import Target


def gradient_rollout(run: Run, *, query: Query, target: Target, start: int, residual: float) -> np.ndarray:
    """The query's row of F̃_L … F̃_start, the newest layer on the left: (1, rows, cols)."""
    trace, gradients = run.trace, run.differentiated(target)
    mass = mass_of(trace, query)
    for layer in reversed(range(start, trace.spec.depth)):
        mass = fused_step(trace.layer(layer), gradients.layer(layer), mass, residual=residual)
    return patch_maps(mass[None], trace.grid)


METHOD = Method(
    "gradient_rollout",
    "Gradient rollout",
    "Where the chosen token's information comes from, if only attention that raises the target passes: rollout of "
    "attention weights times their gradients, averaged over heads, negative ones dropped.",
    source="jacobgil/vit-explain; Abnar & Zuidema 2020, arXiv 2005.00928",
    value="the share of the chosen token that comes from the patch, along attention that raises the target",
    compute=gradient_rollout,
    unit="rollout weight",
    needs=Needs.GRADIENTS,
    depends_on=frozenset({"query", "target"}),
    options=(
        Option("start", "From layer", 0, "The first layer that counts; those below are left out.", layer=True),
        Option("residual", "Residual", 0.5, "How much of a token stays with itself in each layer: 0..1, usually half."),
    ),
    formula=r"\tilde{F}_{ij} = \frac{\rho\,\delta_{ij} + (1-\rho)\,F_{ij}}{\rho + (1-\rho)\sum_j F_{ij}},\quad "
    r"F = \mathrm{ReLU}\Bigl(\tfrac{1}{H}\sum_h A \odot \nabla A\Bigr),\quad "
    r"R = \tilde{F}_L \cdots \tilde{F}_{\text{start}}",
    cost="The target's gradient, about three forward passes, which all its methods share; then about half a forward "
    "pass for each other query.",
    misleads="Gradients of attention are often far smaller than the residual, so that nearly all of a token stays with "
    "itself: from CLS the map is then faint, and from a patch it is that patch. Heads that raise and lower the "
    "target cancel before negative values are dropped. Lower the residual, or compare with relevance. "
    "Where a model is read from the mean of its patches, CLS tells nothing of the target: choose a region of all "
    "patches.",
    empty="Nothing reaches the patches: no query on the way has attention that raises the target, or the residual is "
    "so large that all of the chosen token stays with itself.",
)
