"""Many maps in one heatmap, with a transparent marker a cell that takes its clicks. No Streamlit, no torch."""

from collections.abc import Sequence

import numpy as np

from dashboard.charts import CLICKABLE, bare_axes, heatmap
from vit_engine.report.colours import ACCENT
from vit_engine.report.figure import Plain, PlainFigure

GUTTER = 0.07  # of a cell, between the cells of a mosaic
THUMBNAIL = 32  # patches a side, at most, of a cell of the layers × heads mosaic


def head_grid_figure(
    maps: np.ndarray, *, limits: np.ndarray, colours: str, labels: Sequence[str], selected: int | None
) -> PlainFigure:
    """All heads of a layer in a grid; a click on a cell chooses its head.

    maps: (heads, rows, cols), each drawn from 0 to its entry of `limits` (heads,). labels: a head each.
    """
    heads, rows, cols = maps.shape
    across = grid_columns(heads, rows, cols)
    down = -(-heads // across)
    cells = np.full((down * across, rows, cols), np.nan, dtype=np.float32)
    cells[:heads] = maps / limits[:, None, None]
    places = [divmod(head, across) for head in range(heads)]
    data = [(head,) for head in range(heads)]
    traces, layout = _mosaic(cells.reshape(down, across, rows, cols), places, data, colours, labels)
    layout["annotations"] = [
        _number(head, *_cell_origin(row, col, rows, cols)) for head, (row, col) in enumerate(places)
    ]
    if selected is not None:
        layout["shapes"] = [_frame(*places[selected], rows, cols)]
    return PlainFigure(traces, layout)


def _number(head: int, x: float, y: float) -> Plain:
    return {
        "x": x, "y": y, "text": f"<b>{head}</b>", "showarrow": False, "xanchor": "left", "yanchor": "top",
        "font": {"size": 12, "color": "#ffffff"}, "bgcolor": "rgba(0,0,0,0.55)", "borderpad": 2,
    }  # fmt: skip


def mosaic_figure(
    maps: np.ndarray,
    *,
    limits: np.ndarray,
    colours: str,
    labels: Sequence[Sequence[str]],
    layers: Sequence[int],
    selected: tuple[int, int | None],
) -> PlainFigure:
    """All heads of all layers in one heatmap; a click on a cell opens that layer and head.

    maps: (layers, heads, rows, cols), each drawn from 0 to its entry of `limits` (layers, heads).
    labels: a text a cell. selected: (index of the layer, head or None for the whole row).
    """
    depth, heads, rows, cols = maps.shape
    scaled = (maps / limits[..., None, None]).astype(np.float32)
    places = [(layer, head) for layer in range(depth) for head in range(heads)]
    data = [(layers[layer], head) for layer, head in places]
    traces, layout = _mosaic(scaled, places, data, colours, [text for row in labels for text in row])
    step_y, step_x = _steps(rows, cols)
    down = [layer * step_y + (rows - 1) / 2 for layer in range(depth)]
    across = [head * step_x + (cols - 1) / 2 for head in range(heads)]
    layout["yaxis"] |= _ticks("layer", down, layers)
    layout["xaxis"] |= {**_ticks("head", across, range(heads)), "side": "top"}
    layout["margin"] = {"l": 44, "r": 4, "t": 44, "b": 4}
    layer, head = selected
    first, last = (0, heads - 1) if head is None else (head, head)
    layout["shapes"] = [_frame(layer, first, rows, cols, last)]
    return PlainFigure(traces, layout)


def _ticks(title: str, places: Sequence[float], names: Sequence[int]) -> Plain:
    return {
        "visible": True, "tickvals": list(places), "ticktext": [str(name) for name in names],
        "title": {"text": title, "standoff": 4}, "showgrid": False, "zeroline": False,
    }  # fmt: skip


def grid_columns(heads: int, rows: int, cols: int) -> int:
    """How many columns make a grid of maps about square."""
    return min(range(1, heads + 1), key=lambda across: abs(np.log(across * cols / (-(-heads // across) * rows))))


def thumbnails(maps: np.ndarray) -> np.ndarray:
    """Maps (..., rows, cols) at no more than THUMBNAIL patches a side: each the mean of a block of patches."""
    rows, cols = maps.shape[-2:]
    block = -(-max(rows, cols) // THUMBNAIL)
    if block == 1:
        return maps
    padding = [(0, 0)] * (maps.ndim - 2) + [(0, -rows % block), (0, -cols % block)]
    padded = np.pad(maps, padding, constant_values=np.nan)
    *lead, high, wide = padded.shape
    blocks = padded.reshape(*lead, high // block, block, wide // block, block)
    return np.nanmean(blocks, axis=(-3, -1)).astype(np.float32)


def _steps(rows: int, cols: int) -> tuple[int, int]:
    gutter = max(1, round(max(rows, cols) * GUTTER))
    return rows + gutter, cols + gutter


def _cell_origin(row: int, col: int, rows: int, cols: int) -> tuple[float, float]:
    """(x, y) of a cell's top left corner."""
    step_y, step_x = _steps(rows, cols)
    return col * step_x - 0.5, row * step_y - 0.5


def _frame(row: int, col: int, rows: int, cols: int, last_col: int | None = None) -> dict:
    x, y = _cell_origin(row, col, rows, cols)
    right = _cell_origin(row, col if last_col is None else last_col, rows, cols)[0] + cols
    pad = _frame_pad(rows, cols) / 2
    edge = {"x0": x - pad, "y0": y - pad, "x1": right + pad, "y1": y + rows + pad}
    return {"type": "rect", **edge, "line": {"width": 2.5, "color": ACCENT}}


def _frame_pad(rows: int, cols: int) -> float:
    """Room for the frame of the chosen cell, in patches."""
    return max(rows, cols) * GUTTER


def _mosaic(
    cells: np.ndarray,
    places: Sequence[tuple[int, int]],
    data: Sequence[tuple[int, ...]],
    colours: str,
    labels: Sequence[str],
) -> tuple[list[Plain], Plain]:
    """Traces and layout: cells (down, across, rows, cols), scaled to 0..1, in one heatmap, and at each of the places
    a marker with its `data`.
    """
    down, across, rows, cols = cells.shape
    step_y, step_x = _steps(rows, cols)
    canvas = np.full((down * step_y, across * step_x), np.nan, dtype=np.float32)
    canvas.reshape(down, step_y, across, step_x)[:, :rows, :, :cols] = cells.transpose(0, 2, 1, 3)
    canvas = canvas[: down * step_y - (step_y - rows), : across * step_x - (step_x - cols)]
    cells_under = heatmap(canvas, 1.0, colours, opacity=1.0)
    markers = {
        "type": "scatter", "x": [col * step_x + (cols - 1) / 2 for _, col in places],
        "y": [row * step_y + (rows - 1) / 2 for row, _ in places], "customdata": [list(entry) for entry in data],
        "text": list(labels), "mode": "markers", "name": "cells", "marker": {"size": 6, "opacity": 0},
        "selected": {"marker": {"opacity": 0}}, "unselected": {"marker": {"opacity": 0}},
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
    high, wide = canvas.shape
    axes = bare_axes("", rows=high, cols=wide, domain=(0.0, 1.0), pad=_frame_pad(rows, cols))
    return [cells_under, markers], {**CLICKABLE, **axes}
