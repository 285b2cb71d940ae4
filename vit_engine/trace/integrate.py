"""Integrated gradients: the gradients of pictures on the way from the mean colour to one, summed, in linear memory."""

from dataclasses import replace

import numpy as np

from vit_engine.image import PreparedImage
from vit_engine.progress import Progress
from vit_engine.trace.checks import check_fit, graphs_possible, memory_errors, pixels_of
from vit_engine.trace.differentiate import GradientPass, check_gradient_memory
from vit_engine.trace.targets import Target
from vit_engine.weights import LoadedModel


def integrate(
    loaded: LoadedModel, prepared: PreparedImage, *, target: Target, steps: int, progress: Progress | None = None
) -> np.ndarray:
    """Integrated gradients of the pixels from the mean colour to the picture, summed over each patch: (rows, cols).

    float32, signed. The integral is a Gauss-Legendre sum of `steps` gradients, as in captum (Sundararajan et al. 2017,
    arXiv 1703.01365). progress(fraction, message) is called after each. Raises what differentiate() raises.
    """
    check_fit(prepared.grid, loaded.spec)
    check_gradient_memory(loaded, prepared.grid, traced=False)
    total = np.zeros(prepared.grid.shape)
    with memory_errors(prepared.grid, loaded), graphs_possible():
        fixed = _bound(loaded, prepared, target)
        for step, (place, weight) in enumerate(_gauss_legendre(steps), start=1):
            total += weight / place * _input_gradient(loaded, prepared, place, fixed)
            if progress is not None:
                progress(step / steps, f"step {step} of {steps}")
    return total.astype(np.float32)


def _bound(loaded: LoadedModel, prepared: PreparedImage, target: Target) -> Target:
    """The target with what it takes from the picture itself, not from those on the way."""
    *_, last = loaded.model.token_stream(pixels_of(prepared, loaded))
    return target.bound(loaded.model, last, prepared.grid)


def _input_gradient(loaded: LoadedModel, prepared: PreparedImage, place: float, target: Target) -> np.ndarray:
    """Input × gradient, summed over each patch, of the picture that is this far on the way, 0..1."""
    between = replace(prepared, tensor=prepared.tensor * place)
    run = GradientPass(loaded, between, None, lambda fraction, message: None)
    run.forward()
    run.bind(target)
    run.backward(gradients=True, readouts=False)
    assert run.pixels is not None
    return run.pixels


def _gauss_legendre(steps: int) -> list[tuple[float, float]]:
    """Places in 0..1, ends left out, with weights that sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return list(zip(((1 + nodes) / 2).tolist(), (weights / 2).tolist(), strict=True))
