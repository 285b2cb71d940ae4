"""What a click or a box in Explore's charts sets, by the keys of the session state."""

from collections.abc import Sequence
from typing import Any

from dashboard import keys
from dashboard.charts import cell_at
from dashboard.explore.mosaics import Mosaic
from dashboard.links.targets import write_point
from vit_engine import TokenGrid

Frame = tuple[int, int]  # (height, width) of the scaled picture


def choose_point(grid: TokenGrid, frame: Frame, *, of_target: bool, x: float, y: float) -> dict[str, Any]:
    """A click on the large map. of_target: its patch is what the target is about, not the query."""
    y, x = grid.centre(*cell_at(x, y, rows=grid.rows, cols=grid.cols))
    point = round(y / frame[0], 4), round(x / frame[1], 4)
    return {keys.TARGET: write_point(*point)} if of_target else {keys.QUERY: point}


def choose_region(grid: TokenGrid, frame: Frame, *, x: Sequence[float], y: Sequence[float]) -> dict[str, Any]:
    """A box on the large map: the patches that it touches, as fractions of the scaled picture."""
    ends = [cell_at(*end, rows=grid.rows, cols=grid.cols) for end in zip(x, y, strict=True)]
    (top, bottom), (left, right) = (sorted(places) for places in zip(*ends, strict=True))
    edges = grid.box((top, left, bottom, right))
    return {keys.QUERY: tuple(round(edge / frame[side % 2], 4) for side, edge in enumerate(edges))}


def choose_head(grid: Mosaic, heads: int, *, x: float, y: float) -> dict[str, str]:
    row, col = grid.cell_at(x, y)
    head = row * grid.across + col
    return {keys.HEAD: str(head)} if head < heads else {}


def choose_layer_and_head(grid: Mosaic, layers: tuple[int, ...], *, x: float, y: float) -> dict[str, int | str]:
    row, head = grid.cell_at(x, y)
    return {keys.LAYER: layers[row], keys.HEAD: str(head)}
