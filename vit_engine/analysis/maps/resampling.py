"""Maps on other grids: area-weighted, so that no mass is lost or made.

A patch's value is a mass that lies evenly on its square of pixels. Grids share their top left corner; they end at
different places, because pictures are cropped to whole patches.
"""

import math

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap


def common_grid(*grids: TokenGrid) -> TokenGrid:
    """A grid to compare maps on: patches of the finest of these, as many as cover all. SpecError without a grid."""
    if not grids:
        raise SpecError("a common grid needs at least one grid; got none.")
    patch = min(grid.patch_size for grid in grids)
    height, width = max(grid.height for grid in grids), max(grid.width for grid in grids)
    return TokenGrid(0, -(-height // patch), -(-width // patch), patch)


def resample(values: np.ndarray, grid: TokenGrid, onto: TokenGrid) -> np.ndarray:
    """Values (rows, cols) of one grid on another: float64, with the same sum.

    Each patch is shared out among those that it lies on, by area. SpecError for values of another shape, and where
    `onto` does not cover the grid.
    """
    if values.shape != grid.shape:
        raise SpecError(f"values must be of the grid's shape {grid.shape}; got {values.shape}.")
    if onto.height < grid.height or onto.width < grid.width:
        raise SpecError(
            f"a map of {grid.height}×{grid.width} px would lose mass on a grid of {onto.height}×{onto.width} px; "
            "use common_grid() of both."
        )
    down = _shares(grid.rows, grid.patch_size, onto.rows, onto.patch_size)
    across = _shares(grid.cols, grid.patch_size, onto.cols, onto.patch_size)
    return down @ values.astype(np.float64) @ across.T


def _shares(count: int, size: int, onto_count: int, onto_size: int) -> np.ndarray:
    """What part of each of `count` intervals lies in each of `onto_count`: (onto_count, count), columns sum to 1."""
    starts, onto_starts = np.arange(count) * size, np.arange(onto_count)[:, None] * onto_size
    overlap = np.minimum(starts + size, onto_starts + onto_size) - np.maximum(starts, onto_starts)
    return np.clip(overlap, 0, None) / size


def centre_of_mass(shown: AttentionMap) -> tuple[float, float]:
    """The mean position (y, x) of a map's mass in pixels from the top left.

    NaNs without mass or finite values, and of what is no distribution: not extensive, signed, or below 0 somewhere.
    """
    if not shown.is_distribution:
        return math.nan, math.nan
    values, size = shown.values.astype(np.float64), shown.grid.patch_size
    total = values.sum()
    if not 0 < total < math.inf:
        return math.nan, math.nan
    rows, cols = (np.arange(count) + 0.5 for count in shown.grid.shape)
    return float(values.sum(axis=1) @ rows / total * size), float(values.sum(axis=0) @ cols / total * size)
