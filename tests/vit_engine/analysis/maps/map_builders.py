"""Maps that are written down, and their mass pixel by pixel: what resampling must come to."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap

grids = st.builds(TokenGrid, st.integers(0, 3), st.integers(1, 7), st.integers(1, 7), st.integers(1, 13))


def made_map(values: object, patch_size: int = 2, *, prefix: int = 3) -> AttentionMap:
    """A map of these rows of values."""
    array = np.array(values, dtype=np.float32)
    return AttentionMap(array, TokenGrid(prefix, *array.shape, patch_size), f"map of {patch_size} px")


@st.composite
def maps(draw: st.DrawFn) -> AttentionMap:
    """Maps of any grid with values of any size, zeros among them, and some mass."""
    grid = draw(grids)
    values = st.sampled_from([0.0, 0.25, 0.5]) | st.floats(2**-20, 1, width=32)
    drawn = draw(arrays.arrays(np.float32, grid.shape, elements=values).filter(np.any))
    return AttentionMap(drawn, grid, "drawn")


def in_pixels(values: np.ndarray, grid: TokenGrid, onto: TokenGrid) -> np.ndarray:
    """Values spread on the pixels of their patches, and the pixels of each patch of another grid summed."""
    side = grid.patch_size
    pixels = np.zeros((max(grid.height, onto.height), max(grid.width, onto.width)))
    pixels[: grid.height, : grid.width] = np.kron(values.astype(np.float64) / side**2, np.ones((side, side)))
    cropped = pixels[: onto.height, : onto.width]
    return cropped.reshape(onto.rows, onto.patch_size, onto.cols, onto.patch_size).sum(axis=(1, 3))
