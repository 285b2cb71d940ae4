"""Position embeddings resampled without torch's interpolate: the families' documented ways, reckoned by hand."""

import math

import torch
from torch import Tensor


def resampled_by_hand(
    positions: Tensor,
    *,
    prefix: int,
    native: tuple[int, int],
    target: tuple[int, int],
    offset: float = 0.0,
    corners: bool = False,
) -> Tensor:
    """Positions (1, prefix + rows · cols, dim) of a native grid for a target grid, bicubically, reckoned by hand.

    Cubic convolution with a = -0.75 (Keys 1981) between patch centres, edges repeated, no antialiasing: what
    torch's interpolate(mode="bicubic", align_corners=False) is by its documentation. offset: by how many
    patches each side of the target is taken for larger, as in DINO. corners: the outermost patches stay on each
    other (align_corners=True), as in torchvision.
    """
    rows, cols = (_cubic(old, new, offset, corners=corners) for old, new in zip(native, target, strict=True))
    patches = positions[0, prefix:].double().unflatten(0, native)
    moved = torch.einsum("ir,jc,rcd->ijd", rows, cols, patches).flatten(0, 1)
    return torch.cat([positions[0, :prefix].double(), moved])[None].float()


def _cubic(old: int, new: int, offset: float, *, corners: bool) -> Tensor:
    """Weights (new, old) of the old places for every new one."""
    weights = torch.zeros(new, old, dtype=torch.float64)
    for place in range(new):
        centre = place * (old - 1) / (new - 1) if corners else (place + 0.5) * old / (new + offset) - 0.5
        first = math.floor(centre) - 1
        for tap in range(first, first + 4):
            weights[place, min(max(tap, 0), old - 1)] += _keys(abs(centre - tap))
    return weights


def _keys(distance: float, a: float = -0.75) -> float:
    if distance <= 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    return a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a if distance < 2 else 0.0
