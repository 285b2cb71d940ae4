"""Where patches are: learned embeddings brought to another grid, in the way of each family, and rotations."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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


_bicubic = partial(functional.interpolate, mode="bicubic")  # to the exact size, without antialiasing
RESAMPLINGS: dict[str, Callable[[Tensor, Grid], Tensor]] = {
    "dino": _dino,  # and DINOv2 without registers
    "bicubic": _bicubic,
    "antialias": partial(_bicubic, antialias=True),  # timm, and DINOv2 with registers
    "corners": partial(_bicubic, align_corners=True),  # corner patches on each other: torchvision
}


def resample_positions(positions: Tensor, *, prefix: int, native: Grid, target: Grid, resampling: str) -> Tensor:
    """Position embeddings (1, prefix + rows * cols, dim) of the native grid, for the target grid.

    Prefix positions are kept. Grids are (rows, cols). SpecError for an unknown resampling or a grid that does not fit.
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


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines (patches, d) by which queries and keys of the patches are rotated; prefix tokens stay."""

    cos: Tensor
    sin: Tensor

    @property
    def reversed(self) -> "Rotation":
        """The rotation back, which is also how gradients of what was rotated turn."""
        return Rotation(self.cos, -self.sin)


def rope_periods(head_dim: int, *, base: float = 100.0) -> Tensor:
    """Periods (d / 4,) of rotary positions, from 1 up, in pictures of side 2 (facebookresearch/dinov3).

    Raises SpecError unless head_dim is a multiple of 4: two axes, each with pairs.
    """
    if head_dim % 4:
        raise SpecError(f"rotary positions need heads of a multiple of 4 dimensions; got {head_dim}.")
    return base ** (torch.arange(head_dim // 4) * 4 / head_dim)


def patch_rotation(periods: Tensor, grid: Grid, *, dtype: torch.dtype) -> Rotation:
    """The rotation of every patch of a grid (rows, cols), row by row.

    The angle of a dimension is 2π · place / period; places run from −1 to 1 over each side. The first quarter of the
    dimensions turns with the row, the second with the column, and the other half repeats them (Su et al. 2021, arXiv
    2104.09864, for two axes as in facebookresearch/dinov3).
    """
    places = ((2 * torch.arange(side, device=periods.device) + 1) / side - 1 for side in grid)
    at = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1).flatten(0, 1)  # (patches, 2)
    angles = (2 * math.pi * at[:, :, None] / periods.float()).flatten(1).tile(2)  # (patches, d)
    return Rotation(angles.cos().to(dtype), angles.sin().to(dtype))


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Queries or keys (…, N, d), those of the patches, which are the last, rotated."""
    prefix, patches = x.split((x.shape[-2] - len(rotation.cos), len(rotation.cos)), dim=-2)
    first, second = patches.chunk(2, dim=-1)
    turned = torch.cat([-second, first], dim=-1)
    return torch.cat([prefix, patches * rotation.cos + turned * rotation.sin], dim=-2)
