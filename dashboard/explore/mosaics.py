"""Many maps in one heatmap. No Streamlit, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.charts import BARE, bare_axes, cell_at, heatmap, ticks
from vit_engine.report.colours import ACCENT, Stops
from vit_engine.report.figure import Plain, PlainFigure

GUTTER = 0.07  # of a cell, between the cells of a mosaic
THUMBNAIL = 32  # patches a side, at most, of a cell of the layers × heads mosaic
CANVAS = 1024  # patches a side, at most, of all its cells: there are not many more pixels to show them


@dataclass(frozen=True)
class Mosaic:
    """Where cells of (rows, cols) patches lie, so many down and across; in patches from the middle of the first."""

    down: int
    across: int
    rows: int
    cols: int

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.across * self.cols / (self.down * self.rows)

    @property
    def gutter(self) -> int:
        """Between two cells."""
        return max(1, round(self.room))

    @property
    def room(self) -> float:
        """Around all cells, for the frame of the chosen one."""
        return max(self.rows, self.cols) * GUTTER

    @property
    def steps(self) -> tuple[int, int]:
        """From cell to cell, down and across."""
        return self.rows + self.gutter, self.cols + self.gutter

    def middle(self, row: int, col: int) -> tuple[float, float]:
        """(x, y) of a cell's middle."""
        down, across = self.steps
        return col * across + (self.cols - 1) / 2, row * down + (self.rows - 1) / 2

    def cell_at(self, x: float, y: float) -> tuple[int, int]:
        """(row, col) of the cell that a point is in; half of each gutter belongs to it."""
        down, across = self.steps
        left, top = self.middle(0, 0)
        return cell_at((x - left) / across, (y - top) / down, rows=self.down, cols=self.across)


def head_mosaic(heads: int, rows: int, cols: int) -> Mosaic:
    """Heads in as many columns as make it about square."""
    grids = [Mosaic(-(-heads // across), across, rows, cols) for across in range(1, heads + 1)]
    return min(grids, key=lambda grid: abs(np.log(grid.aspect)))


def head_grid_figure(
    maps: np.ndarray,
    *,
    limits: np.ndarray,
    colours: str | Stops,
    labels: Sequence[str],
    selected: int | None,
    signed: bool = False,
) -> PlainFigure:
    """All heads of a layer in a grid; a click on a cell chooses its head.

    maps: (heads, rows, cols), each drawn from 0 to its entry of `limits` (heads,), or where they are signed as far
    below 0. labels: a head each.
    """
    heads, rows, cols = maps.shape
    grid = head_mosaic(*maps.shape)
    cells = np.full((grid.down * grid.across, rows, cols), np.nan, dtype=np.float32)
    cells[:heads] = maps / limits[:, None, None]
    texts = [*labels, *[""] * (len(cells) - heads)]
    traces, layout = _mosaic(grid, cells.reshape(grid.down, grid.across, rows, cols), colours, texts, signed=signed)
    places = [divmod(head, grid.across) for head in range(heads)]
    layout["annotations"] = [_number(head, grid, *place) for head, place in enumerate(places)]
    if selected is not None:
        layout["shapes"] = [_frame(grid, *places[selected], *places[selected])]
    return PlainFigure(traces, layout)


def _number(head: int, grid: Mosaic, row: int, col: int) -> Plain:
    x, y = grid.middle(row, col)
    corner = {"x": x - grid.cols / 2, "y": y - grid.rows / 2, "xanchor": "left", "yanchor": "top"}
    look = {"font": {"size": 12, "color": "#ffffff"}, "bgcolor": "rgba(0,0,0,0.55)", "borderpad": 2}
    return {**corner, **look, "text": f"<b>{head}</b>", "showarrow": False}


def mosaic_figure(
    maps: np.ndarray,
    *,
    limits: np.ndarray,
    colours: str | Stops,
    labels: Sequence[Sequence[str]],
    layers: Sequence[int],
    selected: tuple[int, int | None],
    signed: bool = False,
) -> PlainFigure:
    """All heads of all layers in one heatmap; a click on a cell opens that layer and head.

    maps: (layers, heads, rows, cols), each drawn from 0 to its entry of `limits` (layers, heads), or where they are
    signed as far below 0.
    labels: a text a cell. selected: (index of the layer, head or None for the whole row).
    """
    grid = Mosaic(*maps.shape)
    scaled = (maps / limits[..., None, None]).astype(np.float32)
    traces, layout = _mosaic(grid, scaled, colours, [text for row in labels for text in row], signed=signed)
    down = [grid.middle(row, 0)[1] for row in range(grid.down)]
    across = [grid.middle(0, col)[0] for col in range(grid.across)]
    for axis, title, places, names in (("yaxis", "layer", down, layers), ("xaxis", "head", across, range(grid.across))):
        layout[axis] |= {"visible": True, "title": {"text": title, "standoff": 4}, **ticks(places, names)}
    layout["xaxis"]["side"] = "top"
    layout["margin"] = {"l": 44, "r": 4, "t": 44, "b": 4}
    layer, head = selected
    layout["shapes"] = [_frame(grid, layer, head or 0, layer, grid.across - 1 if head is None else head)]
    return PlainFigure(traces, layout)


def thumbnails(maps: np.ndarray) -> np.ndarray:
    """Maps (layers, heads, rows, cols) of blocks' means: at most THUMBNAIL patches a side, and CANVAS all together."""
    *lead, rows, cols = maps.shape
    side = min(THUMBNAIL, max(CANVAS // max(lead), 1))
    block = -(-max(rows, cols) // side)
    if block == 1:
        return maps
    padding = [(0, 0)] * (maps.ndim - 2) + [(0, -rows % block), (0, -cols % block)]
    padded = np.pad(maps, padding, constant_values=np.nan)
    *lead, high, wide = padded.shape
    blocks = padded.reshape(*lead, high // block, block, wide // block, block)
    return np.nanmean(blocks, axis=(-3, -1)).astype(np.float32)


def _frame(grid: Mosaic, top: int, left: int, bottom: int, right: int) -> Plain:
    """Around cells, from the one at (top, left) to the one at (bottom, right)."""
    (x0, y0), (x1, y1) = grid.middle(top, left), grid.middle(bottom, right)
    wide, high = (grid.cols + grid.room) / 2, (grid.rows + grid.room) / 2
    edge = {"x0": x0 - wide, "y0": y0 - high, "x1": x1 + wide, "y1": y1 + high}
    return {"type": "rect", **edge, "line": {"width": 2.5, "color": ACCENT}}


def _mosaic(
    grid: Mosaic, cells: np.ndarray, colours: str | Stops, labels: Sequence[str], *, signed: bool
) -> tuple[list[Plain], Plain]:
    """Traces and layout: cells (down, across, rows, cols) of 0..1 in one heatmap, and an unseen one that has labels.

    signed: cells of -1..1.
    """
    high, wide = grid.steps
    canvas = np.full((grid.down * high, grid.across * wide), np.nan, dtype=np.float32)
    canvas.reshape(grid.down, high, grid.across, wide)[:, : grid.rows, :, : grid.cols] = cells.transpose(0, 2, 1, 3)
    whole = canvas[: -grid.gutter, : -grid.gutter]
    drawn = {**heatmap(whole, colours, low=-1.0 if signed else 0.0, high=1.0), "opacity": 1.0, "hoverinfo": "skip"}
    texts, (x, y) = np.reshape(labels, (grid.down, grid.across)), grid.middle(0, 0)
    unseen = {**heatmap(np.where(texts == "", np.nan, 0), colours, high=1.0, name="cells"), "opacity": 0}
    unseen |= {"x0": x, "dx": wide, "y0": y, "dy": high, "text": texts.tolist(), "hoverongaps": False}
    unseen["hovertemplate"] = "%{text}<extra></extra>"
    rows, cols = drawn["z"].shape
    layout = {**BARE, **bare_axes("", rows=rows, cols=cols, pad=grid.room)}
    return [{**trace, "showscale": False} for trace in (drawn, unseen)], layout
