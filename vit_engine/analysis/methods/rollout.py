"""Attention rollout: where a token's information comes from, if attention alone carried it through the layers."""

from collections.abc import Sequence

import numpy as np
import torch

from vit_engine.analysis.masses import mass_of, patch_maps
from vit_engine.analysis.methods.method import Method
from vit_engine.analysis.methods.options import Option
from vit_engine.analysis.rolling import Step
from vit_engine.analysis.run import Run
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.model.weights import Fusion


def rollout(
    run: Run, *, layer: int, query: Query, fuse: Fusion, discard: float, start: int, residual: float
) -> np.ndarray:
    """The query's row of F̃_layer … F̃_start, the newest layer on the left: (1, rows, cols)."""
    step = Step(fuse, discard, residual)
    return _rollouts(run, (layer,), query, step, start)[layer]


def rollouts(
    run: Run, *, layers: Sequence[int], query: Query, fuse: Fusion, discard: float, start: int, residual: float
) -> dict[int, np.ndarray]:
    """Of several layers, for little more than one costs: a row each, which all lower layers take along."""
    return _rollouts(run, layers, query, Step(fuse, discard, residual), start)


def _rollouts(run: Run, layers: Sequence[int], query: Query, step: Step, start: int) -> dict[int, np.ndarray]:
    for layer in layers:
        if start > layer:
            raise SpecError(f"start must be at most the layer that the rollout ends in, {layer}; got {start}.")
    mass = mass_of(run.trace, query)
    order = sorted(layers, reverse=True)
    masses = mass.new_zeros(0, len(mass))
    for layer in range(order[0], start - 1, -1):
        if layer in order:
            masses = torch.cat([masses, mass[None]])
        masses = step(run.trace.layer(layer), masses)
        if run.progress is not None:
            run.progress((order[0] - layer + 1) / (order[0] - start + 1), f"rollout through layer {layer}")
    return {layer: patch_maps(row[None], run.trace.grid) for layer, row in zip(order, masses, strict=True)}


METHOD = Method(
    "rollout",
    "Attention rollout",
    "Where the chosen token's information comes from, if attention alone carried it from layer to layer: the attention "
    "of all layers up to this one, heads fused, multiplied.",
    source="Abnar & Zuidema 2020, arXiv 2005.00928; fusions and discarding as in jacobgil/vit-explain",
    value="the part of the chosen token that comes from the patch, through all layers from the first that counts",
    compute=rollout,
    compute_layers=rollouts,
    unit="rollout weight",
    depends_on=frozenset({"layer", "query"}),
    options=(
        Option("fuse", "Heads", "mean", "How the heads of a layer become one.", choices=("mean", "max", "min")),
        Option(
            "discard",
            "Discard",
            0.0,
            "The part of each layer's fused weights that is set to zero, the smallest first: 0..0.99.",
            high=0.99,
        ),
        Option("start", "From layer", 0, "The first layer that counts; those below are left out.", layer=True),
        Option("residual", "Residual", 0.5, "How much of a token stays with itself in each layer: 0..1, usually half."),
    ),
    formula=r"\tilde{A}_l = \mathrm{rownorm}\Bigl(\rho I + (1-\rho)\,\mathrm{fuse}_h\, A_l^h\Bigr),\quad "
    r"R = \tilde{A}_{\text{layer}} \cdots \tilde{A}_{\text{start}}",
    cost="About half a plain forward pass, for one layer or all of them; about twice one where weights are discarded, "
    "which are found in two more passes over the attention.",
    misleads="It knows neither values nor MLPs, and takes every layer to mix tokens as much as the residual says. "
    "Multiplying blurs: the deeper the layer, the more the maps of all queries become the same one, often that of a "
    "few sinks. It says nothing of a class. Fusing by the maximum and discarding make maps sharper, not truer.",
    empty="Nothing of the patches reaches the chosen token: the residual keeps all of it, or all attention on the way "
    "was discarded or goes to the CLS token and the other prefix tokens.",
)
