"""Position embeddings brought to another patch grid. Pure functions of a tensor.

How a model family resamples its positions changes its attention visibly, so the way belongs to
the model's specification and is chosen by name.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from vit_engine.errors import SpecError

Grid = tuple[int, int]


def _dino(patches: Tensor, target: Grid) -> Tensor:
    """DINO v1: bicubic by scale factors, each enlarged by 0.1 patch (facebookresearch/dino#8)."""
    rows, cols = patches.shape[-2:]
    scale = ((target[0] + 0.1) / rows, (target[1] + 0.1) / cols)
    return functional.interpolate(patches, scale_factor=scale, mode="bicubic")


def _bicubic(patches: Tensor, target: Grid) -> Tensor:
    """Bicubic to the exact size, without antialiasing."""
    return functional.interpolate(patches, size=target, mode="bicubic")


RESAMPLINGS: dict[str, Callable[[Tensor, Grid], Tensor]] = {"dino": _dino, "bicubic": _bicubic}


def resample_positions(positions: Tensor, *, prefix: int, native: Grid, target: Grid, resampling: str) -> Tensor:
    """Position embeddings (1, prefix + rows * cols, dim) of the native grid, for the target grid.

    Prefix positions are kept as they are. Grids are (rows, cols). With target equal to native the
    same tensor is returned. Raises SpecError for an unknown resampling or a grid that does not fit.
    """
    if resampling not in RESAMPLINGS:
        raise SpecError(f"resampling must be one of {sorted(RESAMPLINGS)}; got {resampling!r}.")
    expected = prefix + math.prod(native)
    if positions.shape[1] != expected:
        raise SpecError(
            f"position embeddings must have {expected} rows for {prefix} prefix tokens and a "
            f"{native[0]}×{native[1]} grid; got {positions.shape[1]}."
        )
    if native == target:
        return positions
    patches = positions[:, prefix:].unflatten(1, native).permute(0, 3, 1, 2)  # (1, dim, rows, cols)
    resampled = RESAMPLINGS[resampling](patches, target).flatten(2).mT  # (1, rows * cols, dim)
    return torch.cat([positions[:, :prefix], resampled], dim=1)
