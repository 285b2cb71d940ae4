"""The large map of Explore, and entropy by depth. No Streamlit, no torch."""

from collections.abc import Sequence

import numpy as np

from dashboard.charts import BARE, bare_axes, by_layer, head_colour, heatmap
from vit_engine.grid import Patches
from vit_engine.report.colours import ACCENT, MARK, MARK_EDGE, Stops
from vit_engine.report.figure import MUTED, QUERY_MARK, Plain, PlainFigure
from vit_engine.report.jpegs import jpeg_address
from vit_engine.trace.attention_map import WEIGHT, is_share

JPEG_QUALITY = 88
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def overlay_figure(
    pixels: np.ndarray,
    values: np.ndarray,
    *,
    limit: float,
    colours: str | Stops,
    opacity: float,
    query: Patches | None,
    signed: bool = False,
    unit: str = WEIGHT,
    outlined: Sequence[tuple[int, int]] = (),
    beside: bool = False,
    marks: Sequence[Plain] = (),
) -> PlainFigure:
    """Attention over the picture, or beside it; a click on a patch chooses it.

    pixels: uint8 (height, width, 3). values: (rows, cols), in `unit`, drawn from 0 to `limit`, or where they are signed
    as far below 0. opacity: 0..1. query: the patch or the region to mark, or None for CLS. outlined: patches (row, col)
    that get a thin outline. marks: traces over all others.
    """
    rows, cols = values.shape
    # Axis, opacity and name of each map: one beside the picture has an unseen twin over it, for hover and clicks.
    maps = (("2", 1.0, "attention"), ("", 0.0, "patches")) if beside else (("", opacity, "attention"),)
    ends = {"low": -limit if signed else 0.0, "high": limit}
    traces = [
        {**heatmap(values, colours, **ends, name=name), **_hover(unit), **_axes(axis), "opacity": opaque}
        for axis, opaque, name in maps
    ]
    if query is not None:
        traces += [_query_mark(query, axis) for axis, *_ in maps]
    layout = {**BARE, **bare_axes("", rows=rows, cols=cols, domain=(0.0, 0.495) if beside else (0.0, 1.0))}
    if beside:
        layout |= bare_axes("2", rows=rows, cols=cols, domain=(0.505, 1.0))
    boxes = [(row, col, row, col) for row, col in outlined]
    boxes += [query] if query is not None and len(query) == 4 else []
    if boxes:
        layout["shapes"] = [edge for axis, *_ in maps for box in boxes for edge in _outline(box, axis)]
    under = _grey(pixels) if signed and not beside else pixels
    return PlainFigure([*traces, *marks], {**layout, "images": [_picture(under, rows, cols)]})


def _grey(pixels: np.ndarray) -> np.ndarray:
    """A picture without colours: under two of them, orange on red would say nothing."""
    return np.repeat((pixels @ LUMA).round().astype(np.uint8)[..., None], 3, axis=-1)


def _hover(unit: str) -> Plain:
    name = "weight" if unit == WEIGHT else unit
    value = f"{name} %{{z:.3%}}" if is_share(unit) else f"{name} %{{z:.3g}}"
    return {"showscale": False, "hovertemplate": f"patch row %{{y}}, col %{{x}}<br>{value}<extra></extra>"}


def _axes(axis: str) -> Plain:
    return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}


def entropy_figure(entropy: np.ndarray, *, layers: Sequence[int], layer: int, unit: str, most: float) -> PlainFigure:
    """Entropy by depth: a thin line a head, their mean in bold.

    entropy: (layers, heads), in `unit`; the axis runs from 0 to `most`, the entropy of even attention.
    """
    common = {
        "type": "scatter",
        "x": list(layers),
        "mode": "lines+markers",
        "hovertemplate": f"layer %{{x}} · %{{fullData.name}}<br>%{{y:.2f}} {unit}<extra></extra>",
    }
    lines = [
        {
            **common,
            "y": values.astype(float),
            "name": f"head {head}",
            "line": {"width": 1.2, "color": head_colour(head)},
            "marker": {"size": 4},
            "opacity": 0.75,
        }
        for head, values in enumerate(entropy.T)
    ]
    mean: Plain = {"name": "mean", "line": {"width": 4, "color": ACCENT}, "marker": {"size": 8}}
    lines.append({**common, **mean, "y": entropy.mean(axis=1).astype(float)})
    return PlainFigure(lines, _entropy_layout(layer, unit, most))


def _entropy_layout(layer: int, unit: str, most: float) -> Plain:
    """Axes, a line at the layer, and one at the entropy of even attention."""
    chosen = {"x0": layer, "x1": layer, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain"}
    even = {"x0": 0, "x1": 1, "xref": "x domain", "y0": most, "y1": most, "yref": "y"}
    words = {"text": "even attention", "x": 0, "xanchor": "left", "xref": "x domain"}
    shapes = [
        {**ends, "type": "line", "line": {"width": 1, "dash": dash, "color": MUTED}}
        for ends, dash in ((chosen, "dot"), (even, "dash"))
    ]
    note = {**words, "y": most, "yanchor": "bottom", "yref": "y", "showarrow": False}
    return {**by_layer(unit, {"range": [0, most * 1.08]}), "shapes": shapes, "annotations": [note]}


def _query_mark(query: Patches, axis: str) -> Plain:
    """On a patch, or in the middle of a region."""
    row, col = query if len(query) == 2 else ((query[0] + query[2]) / 2, (query[1] + query[3]) / 2)
    return {**QUERY_MARK, **_axes(axis), "x": [col, col], "y": [row, row], "name": "query"}


def _outline(box: tuple[int, int, int, int], axis: str) -> list[Plain]:
    """Around patches (top, left, bottom, right), seen on light and on dark: thin and bright over wide and dark."""
    top, left, bottom, right = box
    corners = {
        "x0": left - 0.5,
        "x1": right + 0.5,
        "y0": top - 0.5,
        "y1": bottom + 0.5,
        "xref": f"x{axis}",
        "yref": f"y{axis}",
    }
    lines = {"width": 3, "color": MARK_EDGE}, {"width": 1.2, "color": MARK}
    return [{"type": "rect", **corners, "line": line} for line in lines]


def _picture(pixels: np.ndarray, rows: int, cols: int) -> Plain:
    place = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": cols, "sizey": rows}
    return {"source": jpeg_address(pixels, quality=JPEG_QUALITY), "sizing": "stretch", "layer": "below", **place}
