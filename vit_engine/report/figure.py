"""Plotly figures of plain dicts, and of these the one of a comparison: its panes zoomed and moved together.

Plotly checks each property of a figure while it is made. That takes tens of milliseconds a chart, and finds nothing
in figures that are always made in the same way: tests hold what is made here against what Plotly makes of it.
"""

import base64
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

from vit_engine.grid import Patches, TokenGrid
from vit_engine.report.colours import MARK, MARK_EDGE
from vit_engine.report.jpegs import jpeg_address, png_address
from vit_engine.report.panels import Panel
from vit_engine.report.style import Zoom
from vit_engine.trace.attention_map import Quantity, is_share

Plain = dict[str, Any]

GAP = 0.04  # between panes, of a pane's width
MUTED = "#8b8b8b"
JPEG_QUALITY = 86
# Plotly's short names of the kinds of numbers that it takes as bytes.
_KINDS = {"int8": "i1", "uint8": "u1", "int16": "i2", "int32": "i4", "float32": "f4", "float64": "f8"}
_CLEAR = "rgba(0,0,0,0)"
_LAYOUT: Plain = {
    "hovermode": "closest",
    "clickmode": "event",
    "dragmode": "zoom",
    "showlegend": False,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "plot_bgcolor": _CLEAR,
    "paper_bgcolor": _CLEAR,
    "modebar": {"remove": ["select2d", "lasso2d", "toImage", "autoScale2d"]},
}
# The mark of a query, whose place is given twice: a ring with a dot, bright over dark.
_EDGES = {"color": [MARK_EDGE, MARK], "line": {"width": [4, 2.5], "color": [MARK_EDGE, MARK]}}
QUERY_MARK: Plain = {
    "type": "scatter",
    "mode": "markers",
    "hoverinfo": "skip",
    "marker": {"symbol": ["circle-open", "circle-open-dot"], "size": [19, 15], **_EDGES},
    "selected": {"marker": {"opacity": 1}},
    "unselected": {"marker": {"opacity": 1}},
}


class PlainFigure(go.Figure):
    """A figure that is checked only once one of its properties is asked for; sent as it is, it never is.

    data: a dict a trace, with NumPy arrays of the kinds that Plotly takes as bytes. layout: a dict. Both as Plotly
    would have them after its checks, and neither is changed afterwards.
    """

    def __init__(self, data: list[Plain], layout: Plain) -> None:
        self._plain: dict[str, Any] | None = {"data": data, "layout": layout}

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there: all that a checked figure has."""
        plain = self.__dict__.get("_plain")
        if plain is None:
            raise AttributeError(name)
        self._plain = None
        super().__init__(plain)
        return getattr(self, name)

    def to_dict(self) -> Plain:
        """What is sent: arrays as bytes in base64, and Plotly's template in the layout."""
        if self._plain is None:
            return super().to_dict()
        data, layout = self._plain["data"], self._plain["layout"]
        return {"data": [_encoded(trace) for trace in data], "layout": {"template": _template(), **layout}}


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _encoded(part) for name, part in value.items()}
    if not isinstance(value, np.ndarray) or not value.size:
        return value
    data = base64.b64encode(np.ascontiguousarray(value).data).decode("ascii")
    encoded = {"dtype": _KINDS[str(value.dtype)], "bdata": data}
    return encoded if value.ndim == 1 else {**encoded, "shape": str(value.shape)[1:-1]}


@cache
def _template() -> Plain:
    template: Plain = go.Figure().to_dict()["layout"]["template"]
    return template


def figure_aspect(count: int, frame: tuple[int, int]) -> float:
    """Width over height of the figure of so many panes of pictures of this (height, width)."""
    height, width = frame
    return (count + GAP * (count - 1)) * width / height


def compare_figure(
    panels: Sequence[Panel], *, frame: tuple[int, int], opacity: float, zoom: Zoom | None = None
) -> PlainFigure:
    """The panes side by side, linked: what zooms or moves one does so to all.

    frame: the scaled picture (height, width) in pixels, the unit of all axes. zoom: the part that is shown; None for
    all of it. Traces are named by the pane: "attention A", whose custom data are the values that hover tells,
    "query A", "outline A".
    """
    traces: list[Plain] = []
    layout: Plain = {**_LAYOUT, "images": [], "annotations": [], "shapes": []}
    for number, panel in enumerate(panels):
        axis = "" if number == 0 else str(number + 1)
        layout |= _axes(axis, pane_domain(number, len(panels)), zoom or (0.0, 0.0, float(frame[0]), float(frame[1])))
        if panel.message:
            message, shape = _absent(panel.message, axis)
            layout["annotations"].append(message)
            layout["shapes"].append(shape)
            # Plotly draws no axes, and nothing in their place, where there is no trace.
            traces.append({"type": "scatter", "x": [None], "y": [None], "name": f"no map {panel.name}", **_place(axis)})
        else:
            traces += [_map(panel, axis, opacity), *_outline(panel, axis)]
            layout["images"].append(_picture(panel, axis))
            if panel.image is not None:
                layout["images"].append(_image(panel, axis, opacity))
            if panel.patch is not None and panel.patches is not None:
                mark, edge = _query(panel.patch, panel.patches, axis)
                traces.append({**mark, "name": f"query {panel.name}", **_place(axis)})
                layout["shapes"].append(edge)
    return PlainFigure(traces, {name: value for name, value in layout.items() if value != []})


def _place(axis: str) -> Plain:
    return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}


def pane_domain(number: int, count: int) -> tuple[float, float]:
    """Where a pane lies in the figure's width, 0..1."""
    whole = count + GAP * (count - 1)
    left = number * (1 + GAP) / whole
    return left, min(left + 1 / whole, 1.0)


def _axes(axis: str, domain: tuple[float, float], zoom: Zoom) -> Plain:
    top, left, bottom, right = zoom
    common = {"visible": False, "constrain": "domain"}
    x = {"range": [left, right], "domain": domain, "anchor": f"y{axis}", **common, **({"matches": "x"} if axis else {})}
    linked = {"matches": "y"} if axis else {"scaleanchor": "x"}
    y = {"range": [bottom, top], "anchor": f"x{axis}", **common, **linked}
    return {f"xaxis{axis}": x, f"yaxis{axis}": y}


def _absent(text: str, axis: str) -> tuple[Plain, Plain]:
    """Where a map would be, why there is none, and an empty pane."""
    place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain"}
    message = {"text": text, "showarrow": False, "font": {"size": 14, "color": MUTED}, **place, "x": 0.5, "y": 0.5}
    look = {"type": "rect", "fillcolor": "rgba(128, 128, 128, 0.12)", "line": {"width": 0}, "layer": "below"}
    return message, {**look, **place, "x0": 0, "x1": 1, "y0": 0, "y1": 1}


def _map(panel: Panel, axis: str, opacity: float) -> Plain:
    assert panel.grid
    size = panel.grid.patch_size
    digits = "3%" if is_share(panel.unit) else "3g" if panel.quantity is Quantity.EXTENSIVE else "3f"
    value = f"%{{customdata:{'+' if panel.signed else ''}.{digits}}}"
    place = f"patch of {size} px at x %{{x:.0f}}, y %{{y:.0f}} px"
    centres = {"x0": size / 2, "dx": size, "y0": size / 2, "dy": size}
    opacity = opacity if panel.image is None else 0.0  # an image of its own lies there: this hears hover and clicks
    scale = {"zmin": panel.low, "zmax": panel.high, "colorscale": panel.stops, "opacity": opacity, "showscale": False}
    return {
        "type": "heatmap",
        "z": panel.coloured,
        "customdata": panel.values,
        **centres,
        **scale,
        "name": f"attention {panel.name}",
        "hovertemplate": f"<b>{panel.name}</b> {panel.unit} {value}<br>{place}<extra></extra>",
        **_place(axis),
    }


def _outline(panel: Panel, axis: str) -> list[Plain]:
    """All outlines as one line with gaps, seen on light and on dark: thin and bright over wide and dark."""
    if not panel.outlines:
        return []
    gap = np.full((1, 2), np.nan, dtype=np.float32)
    y, x = np.concatenate([part for outline in panel.outlines for part in (outline, gap)]).T
    common = {"type": "scatter", "x": x, "y": y, "mode": "lines", "hoverinfo": "skip", **_place(axis)}
    lines = ({"width": 4, "color": MARK_EDGE}, {"width": 1.8, "color": MARK})
    return [{**common, "line": line, "name": f"outline {panel.name}"} for line in lines]


def _query(patches: Patches, grid: TokenGrid, axis: str) -> tuple[Plain, Plain]:
    """The mark in the middle of a patch or a region, and the edge around it."""
    top, left, bottom, right = grid.box(patches)
    y, x = (top + bottom) / 2, (left + right) / 2
    corners = {"x0": left, "x1": right, "y0": top, "y1": bottom}
    edge = {"type": "rect", "xref": f"x{axis}", "yref": f"y{axis}", **corners, "line": {"width": 1.2, "color": MARK}}
    return {**QUERY_MARK, "x": [x, x], "y": [y, y]}, edge


def _picture(panel: Panel, axis: str) -> Plain:
    assert panel.pixels is not None
    height, width = panel.pixels.shape[:2]
    place = {"xref": f"x{axis}", "yref": f"y{axis}", "x": 0, "y": 0, "sizex": width, "sizey": height}
    return {"source": jpeg_address(panel.pixels, quality=JPEG_QUALITY), "sizing": "stretch", "layer": "below", **place}


def _image(panel: Panel, axis: str, opacity: float) -> Plain:
    """A colour a patch, over the picture. Plotly draws one image a place: this one is placed by its right edge."""
    assert panel.image is not None
    assert panel.grid is not None
    width, height = panel.grid.width, panel.grid.height
    place = {"xref": f"x{axis}", "yref": f"y{axis}", "x": width, "y": 0, "sizex": width, "sizey": height}
    look = {"sizing": "stretch", "layer": "below", "opacity": opacity}
    return {"source": png_address(panel.image), "xanchor": "right", **look, **place}
