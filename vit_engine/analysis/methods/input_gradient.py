"""Input × gradient: the first-order account of the target by the pixels, summed over each patch."""

import numpy as np

from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.run import Run
from vit_engine.errors import SpecError
from vit_engine.trace.targets import Target

UNIT = "attribution"


def input_gradient(run: Run, *, target: Target) -> np.ndarray:
    """Normalised pixels times the target's gradient by them, summed over channels and patch: (1, rows, cols)."""
    pixels = run.differentiated(target).pixels
    if pixels is None:
        raise SpecError("these gradients hold readouts alone: make them with backward=True.")
    return pixels[None]


METHOD = Method(
    "input_gradient",
    "Input × gradient",
    "What the patches' pixels add to the target or take from it, to first order: each normalised pixel times the "
    "target's gradient by it, summed over the patch.",
    source="Shrikumar et al. 2016, arXiv 1605.01713; captum.attr.InputXGradient",
    value="how much the patch's pixels add to the target, to first order, or take from it",
    compute=input_gradient,
    unit=UNIT,
    needs=Needs.GRADIENTS,
    signed=True,
    depends_on=frozenset({"target"}),
    formula=r"\sum_{\text{pixels of } p} x \odot \frac{\partial y}{\partial x}",
    cost="The target's gradient, about three forward passes, which all its methods share; then nothing.",
    misleads="Pixels' gradients are noisy, and where the target is saturated they are small although the patch "
    "matters. A patch of the mean colour has the value 0 whatever it shows. A baseline to compare other methods with.",
    empty="The target's gradient by the pixels is 0 everywhere, or all pixels have the mean colour.",
)
