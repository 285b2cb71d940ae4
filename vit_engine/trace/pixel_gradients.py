"""The gradient of a target by the pixels, of one picture after another: what integrated gradients sum.

One block's graph lives at once: of the others only the tokens that they read are kept.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np
import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from vit_engine.errors import NumericalError
from vit_engine.image import PreparedImage
from vit_engine.model import Block, VisionTransformer
from vit_engine.progress import Progress
from vit_engine.trace.checks import check_fit, graphs_possible, memory_errors, pixels_of
from vit_engine.trace.differentiate import check_gradient_memory
from vit_engine.trace.targets import Target
from vit_engine.weights import LoadedModel


def integrate(
    loaded: LoadedModel, prepared: PreparedImage, *, target: Target, steps: int, progress: Progress | None = None
) -> np.ndarray:
    """Integrated gradients of the pixels from the mean colour to the picture, summed over each patch: (rows, cols).

    float32, signed. The integral is a Gauss-Legendre sum of `steps` gradients, as in captum (Sundararajan et al. 2017,
    arXiv 1703.01365). progress(fraction, message) is called after each. Raises SpecError for a picture of another
    patch size and for a model in half precision, NumericalError where the gradient is not finite, and ResourceError
    where memory runs out.
    """
    check_fit(prepared.grid, loaded.spec)
    check_gradient_memory(loaded, prepared.grid, traced=True)
    model: VisionTransformer = loaded.model
    with memory_errors(prepared.grid, loaded), graphs_possible():
        images = pixels_of(prepared, loaded)
        total = torch.zeros_like(images)
        *_, last = model.token_stream(images)
        fixed = target.bound(model, last, prepared.grid)
        for step, (place, weight) in enumerate(zip(*_gauss_legendre(steps), strict=True), start=1):
            total.add_(pixel_gradient(model, images * place, fixed), alpha=weight)
            if progress is not None:
                progress(step / steps, f"step {step} of {steps}")
    if not total.isfinite().all():
        raise NumericalError(f"the gradient of {target.label!r} by the pixels is too large for {loaded.dtype}.")
    side = prepared.grid.patch_size
    return reduce((total * images)[0], "channels (r p) (c q) -> r c", "sum", p=side, q=side).float().cpu().numpy()


def pixel_gradient(
    model: VisionTransformer, images: Float[Tensor, "B C height width"], target: Target
) -> Float[Tensor, "B C height width"]:
    """The gradient of a bound target's score by the pixels, in memory linear in the tokens."""
    with torch.no_grad():
        *kept, last = model.token_stream(images)
    rotation = model.rotation(images)
    gradient = _gradient(last, None, lambda tokens: target.score(model, tokens).sum())
    for block in reversed(cast(Sequence[Block], model.blocks)):
        gradient = _gradient(kept.pop(), gradient, partial(block, rotation=rotation))
    return _gradient(images, gradient, model.embed)


def _gradient(values: Tensor, above: Tensor | None, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Of a scalar by a function's input, from its gradient by the output."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        return torch.autograd.grad(function(values), values, above)[0]


def _gauss_legendre(steps: int) -> tuple[list[float], list[float]]:
    """Places in 0..1 and their weights, which sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return ((1 + nodes) / 2).tolist(), (weights / 2).tolist()
