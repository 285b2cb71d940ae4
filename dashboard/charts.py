"""From arrays to Plotly figures. No Streamlit, no torch.

A click on a heatmap gives no event, so every figure has a layer of transparent markers over it, one
a patch or one a cell; the nearest marker takes a click wherever it falls.
"""

import html
from collections.abc import Sequence

import numpy as np

from vit_engine.report.colours import ACCENT, colour_stops
from vit_engine.report.figure import QUERY_MARK, Plain, PlainFigure
from vit_engine.report.jpegs import jpeg_address

AUTO = {"dark": "inferno", "light": "viridis"}
# Okabe and Ito's colours, told apart by the colour-blind, on light and on dark.
HEAD_COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#999933",
    "#882255",
    "#332288",
    "#44aa99",
    "#aa4466",
    "#888888",
)
JPEG_QUALITY = 88


def as_text(name: str) -> str:
    """A name as Plotly shows it letter by letter: it takes tags in legends and titles for marks."""
    return html.escape(name, quote=False)


def overlay_figure(
    pixels: np.ndarray,
    values: np.ndarray,
    *,
    limit: float,
    colours: str,
    opacity: float,
    query: tuple[int, int] | None,
    beside: bool = False,
) -> PlainFigure:
    """Attention over the picture, or beside it; a click on a patch chooses it.

    pixels: uint8 (height, width, 3). values: (rows, cols), drawn from 0 to `limit`. opacity: 0..1.
    query: the patch (row, col) to mark, or None for CLS.
    """
    rows, cols = values.shape
    traces = [heatmap(values, limit, colours, opacity=1.0 if beside else opacity, beside=beside)]
    for axis in ("", "2") if beside else ("",):
        traces.append(_patches(values, axis, "patches" if axis == "" else "patches beside"))
        if query is not None:
            traces.append(_query_mark(query, axis))
    frame = {"rows": rows, "cols": cols}
    layout = {**CLICKABLE, **bare_axes("", **frame, domain=(0.0, 0.495) if beside else (0.0, 1.0))}
    if beside:
        layout |= bare_axes("2", **frame, domain=(0.505, 1.0))
    return PlainFigure(traces, {**layout, "images": [_picture(pixels, rows, cols)]})


def entropy_figure(entropy: np.ndarray, *, layers: Sequence[int], layer: int, unit: str, most: float) -> PlainFigure:
    """Entropy by depth: a thin line a head, their mean in bold.

    entropy: (layers, heads), in `unit`; the axis runs from 0 to `most`, the entropy of even attention.
    """
    common = {
        "type": "scatter", "x": list(layers), "mode": "lines+markers",
        "hovertemplate": f"layer %{{x}} · %{{fullData.name}}<br>%{{y:.2f}} {unit}<extra></extra>",
    }  # fmt: skip
    heads = [
        {
            **common, "y": entropy[:, head].astype(float), "name": f"head {head}",
            "line": {"width": 1.2, "color": HEAD_COLOURS[head % len(HEAD_COLOURS)]}, "marker": {"size": 4},
            "opacity": 0.75,
        }
        for head in range(entropy.shape[1])
    ]  # fmt: skip
    mean = {
        **common, "y": entropy.mean(axis=1).astype(float), "name": "mean",
        "line": {"width": 4, "color": ACCENT}, "marker": {"size": 8},
    }  # fmt: skip
    return PlainFigure([*heads, mean], _entropy_layout(layer, unit, most))


def _entropy_layout(layer: int, unit: str, most: float) -> Plain:
    """Axes, a line at the layer, and one at the entropy of even attention."""
    dotted, dashed = ({"width": 1, "dash": dash, "color": "#8b8b8b"} for dash in ("dot", "dash"))
    return {
        "shapes": [
            {"type": "line", "x0": layer, "x1": layer, "xref": "x", "y0": 0, "y1": 1, "yref": "y domain",
             "line": dotted},
            {"type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": most, "y1": most, "yref": "y",
             "line": dashed},
        ],
        "annotations": [
            {"text": "even attention", "showarrow": False, "x": 0, "xanchor": "left", "xref": "x domain", "y": most,
             "yanchor": "bottom", "yref": "y"}
        ],
        "xaxis": {"title": {"text": "layer"}, "tickmode": "linear", "dtick": 1, "fixedrange": True},
        "yaxis": {"title": {"text": unit}, "range": [0, most * 1.08], "fixedrange": True},
        "margin": {"l": 52, "r": 8, "t": 8, "b": 44}, "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.2},
    }  # fmt: skip


CLICKABLE = {
    "hoverdistance": -1,
    "hovermode": "closest",
    "clickmode": "event+select",
    "dragmode": False,
    "showlegend": False,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "plot_bgcolor": "rgba(0,0,0,0)",
    "paper_bgcolor": "rgba(0,0,0,0)",
}


def heatmap(values: np.ndarray, limit: float, colours: str, *, opacity: float, beside: bool = False) -> Plain:
    axes = {"xaxis": "x2", "yaxis": "y2"} if beside else {}
    return {
        "type": "heatmap", "z": values.astype(np.float32), "zmin": 0, "zmax": limit,
        "colorscale": colour_stops(colours), "opacity": opacity, "showscale": False, "hoverinfo": "skip",
        "name": "attention", **axes,
    }  # fmt: skip


def _patches(values: np.ndarray, axis: str, name: str) -> Plain:
    rows, cols = values.shape
    down, across = np.mgrid[:rows, :cols]
    return {
        "type": "scatter", "x": across.ravel().astype(np.int16), "y": down.ravel().astype(np.int16),
        "customdata": values.ravel().astype(np.float32), "xaxis": f"x{axis}", "yaxis": f"y{axis}", "mode": "markers",
        "name": name, "marker": {"size": 6, "opacity": 0}, "selected": {"marker": {"opacity": 0}},
        "unselected": {"marker": {"opacity": 0}},
        "hovertemplate": "row %{y}, col %{x}<br>weight %{customdata:.3%}<extra></extra>",
    }  # fmt: skip


def _query_mark(query: tuple[int, int], axis: str) -> Plain:
    row, col = query
    place = {"x": [col, col], "y": [row, row], "xaxis": f"x{axis}", "yaxis": f"y{axis}"}
    return {**QUERY_MARK, **place, "name": "query"}


def _picture(pixels: np.ndarray, rows: int, cols: int) -> Plain:
    place = {"xref": "x", "yref": "y", "x": -0.5, "y": -0.5, "sizex": cols, "sizey": rows}
    return {"source": jpeg_address(pixels, quality=JPEG_QUALITY), "sizing": "stretch", "layer": "below", **place}


def bare_axes(axis: str, *, rows: int, cols: int, domain: tuple[float, float], pad: float = 0.0) -> dict:
    common = {"visible": False, "fixedrange": True}
    return {
        f"xaxis{axis}": {"range": [-0.5 - pad, cols - 0.5 + pad], "domain": domain, "constrain": "domain", **common},
        f"yaxis{axis}": {
            "range": [rows - 0.5 + pad, -0.5 - pad], "scaleanchor": f"x{axis}", "constrain": "domain",
            "anchor": f"x{axis}", **common,
        },
    }  # fmt: skip
