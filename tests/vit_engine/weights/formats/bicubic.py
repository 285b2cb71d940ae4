"""Bicubic resampling by explicit matrices, in float64: what PyTorch's is held against."""

import torch
from torch import Tensor


def resampled(positions: Tensor, native: int, grid: tuple[int, int], *, offset: float, antialias: bool) -> Tensor:
    """Positions (1, 1 + native², D) for a grid (rows, cols), the first one kept; offset: in patches, of the scale."""
    patches = positions[0, 1:].double().unflatten(0, (native, native))
    down, across = (_matrix(native, side, (side + offset) / native, antialias) for side in grid)
    there = torch.einsum("ri,cj,ijd->rcd", down, across, patches).flatten(0, 1)
    return torch.cat([positions[:, :1], there[None].to(positions.dtype)], dim=1)


def _matrix(size: int, target: int, scale: float, antialias: bool) -> Tensor:
    """(target, size): what of each old place goes into each new one."""
    wide = max(1 / scale, 1.0) if antialias else 1.0
    sharpness = -0.5 if antialias else -0.75
    matrix = torch.zeros(target, size, dtype=torch.float64)
    for new in range(target):
        centre = (new + 0.5) / scale - 0.5
        reach = range(int(centre - 2 * wide) - 1, int(centre + 2 * wide) + 3)
        for old in reach:
            inside = 0 <= old < size
            if inside or not antialias:  # antialiasing leaves out what lies outside, plain bicubic repeats the edge
                matrix[new, min(max(old, 0), size - 1)] += _cubic(abs(old - centre) / wide, sharpness)
    return matrix / matrix.sum(dim=1, keepdim=True)


def _cubic(x: float, a: float) -> float:
    """Keys' kernel (1981), of a distance."""
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0
