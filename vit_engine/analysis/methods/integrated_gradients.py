"""Integrated gradients: the account of the target by the pixels along a straight way from the mean colour."""

import numpy as np

from vit_engine.analysis.methods.input_gradient import UNIT
from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.methods.options import Option
from vit_engine.analysis.run import Run
from vit_engine.trace.integrate import integrate
from vit_engine.trace.targets import Target


def integrated_gradients(run: Run, *, target: Target, steps: int) -> np.ndarray:
    """Signed sums over channels and patch, which together are y(picture) − y(mean colour): (1, rows, cols)."""
    assert run.loaded is not None
    assert run.prepared is not None
    return integrate(run.loaded, run.prepared, target=target, steps=steps, progress=run.progress)[None]


METHOD = Method(
    "integrated_gradients",
    "Integrated gradients",
    "What the patches' pixels add to the target or take from it on a straight way from the mean colour to the picture: "
    "all values together are the target's difference between the two.",
    source="Sundararajan et al. 2017, arXiv 1703.01365; captum.attr.IntegratedGradients",
    value="how much of the target's difference to a picture of the mean colour is due to the patch",
    compute=integrated_gradients,
    unit=UNIT,
    needs=Needs.MODEL,
    signed=True,
    depends_on=frozenset({"target"}),
    options=(Option("steps", "Steps", 32, "How many gradients are taken along the way.", low=1, high=512, step=1),),
    formula=r"\sum_{\text{pixels of } p} (x - x_0) \odot \int_0^1 "
    r"\frac{\partial y}{\partial x}\bigl(x_0 + \alpha (x - x_0)\bigr)\,d\alpha,\quad x_0 = 0",
    cost="About three forward passes a step: a hundred for 32 steps.",
    misleads="It depends on the baseline, here the mean colour of the pictures that the model was trained with: what "
    "has that colour gets the value 0, whatever it shows. Pictures on the way are ones that no model has seen. Signs "
    "change from patch to patch, so look for regions rather than single patches.",
    empty="The target is as large for a picture of the mean colour, and no pixel changes it on the way.",
)
