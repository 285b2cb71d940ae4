"""Comparisons of maps that are written down, of a picture of 12×22 px: 6×11 patches of 2 px, 3×5 of 4 px."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.vit_engine.trace_builders import made_trace
from vit_engine.analysis.comparison import Comparison, Pane, PaneResult, letter
from vit_engine.grid import Query, TokenGrid
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.weights import LoadReport

FRAME = (12, 22)
FINE, COARSE = TokenGrid(1, 6, 11, 2), TokenGrid(1, 3, 5, 4)
REPORT = LoadReport("made", "made", None)


def fine(*peaks: tuple[int, int, float]) -> np.ndarray:
    """A map (6, 11) of so many hundredths in each (row, col), nothing elsewhere."""
    return written(FINE, peaks)


def coarse(*peaks: tuple[int, int, float]) -> np.ndarray:
    """A map (3, 5), likewise."""
    return written(COARSE, peaks)


def written(grid: TokenGrid, peaks: Sequence[tuple[int, int, float]]) -> np.ndarray:
    values = np.zeros(grid.shape, dtype=np.float32)
    for row, col, hundredths in peaks:
        values[row, col] = hundredths / 100
    return values


def shown(number: int, values: np.ndarray, *, query: Query = "cls", head: int | str = "mean") -> PaneResult:
    """A pane with this map, on the grid that its shape says."""
    grid = FINE if values.shape == FINE.shape else COARSE
    weights = np.concatenate([np.zeros(grid.prefix), values.ravel()])[None]
    pixels = np.full((grid.height, grid.width, 3), (200, 100, 50), dtype=np.uint8)
    trace = made_trace({0: weights}, grid=grid)
    drawn = AttentionMap(values, grid, "made")
    return PaneResult(
        letter(number), Pane("made", 0, head), trace, query, drawn, pixels, REPORT, trace.head_maps(0, query)
    )


def comparison(*maps: np.ndarray | PaneResult, **options: Any) -> Comparison:
    """Panes A, B, …; options as for Comparison."""
    panes = (one if isinstance(one, PaneResult) else shown(number, one) for number, one in enumerate(maps))
    return Comparison(tuple(panes), FRAME, **options)
