"""All panes in one Plotly figure: zoomed and moved together."""

from collections.abc import Sequence

import numpy as np

from vit_engine.report.panels import Panel
from vit_engine.report.plain import Plain, PlainFigure, jpeg_address
from vit_engine.spec import TokenGrid

Zoom = tuple[float, float, float, float]

GAP = 0.04  # between panes, of a pane's width
ACCENT = "#14b8a6"
MARK, MARK_EDGE = "#ffffff", "#111111"
MUTED = "#8b8b8b"
JPEG_QUALITY = 86


def figure_aspect(count: int, frame: tuple[int, int]) -> float:
    """Width over height of the figure of so many panes of pictures of this (height, width)."""
    height, width = frame
    return (count + GAP * (count - 1)) * width / height


def compare_figure(
    panels: Sequence[Panel], *, frame: tuple[int, int], opacity: float, zoom: Zoom | None = None
) -> PlainFigure:
    """The panes side by side, linked: what zooms or moves one does so to all.

    frame: the scaled picture (height, width) in pixels, the unit of all axes. zoom: the part that is shown,
    (top, left, bottom, right) in pixels; None for all of it. Traces are named by the pane:
    "attention A", whose custom data are the values that hover tells, "query A", "outline A".
    """
    traces: list[Plain] = []
    layout: Plain = {**_LAYOUT, "images": [], "annotations": [], "shapes": []}
    for number, panel in enumerate(panels):
        axis = "" if number == 0 else str(number + 1)
        layout |= _axes(number, len(panels), zoom or (0.0, 0.0, float(frame[0]), float(frame[1])))
        if panel.message:
            layout["annotations"].append(_message(panel.message, axis))
            layout["shapes"].append(_empty(axis))
            # Plotly draws no axes, and nothing in their place, where there is no trace.
            traces.append({"type": "scatter", "x": [None], "y": [None], "name": f"no map {panel.name}", **_place(axis)})
        else:
            traces += _traces(panel, axis, opacity)
            layout["images"].append(_picture(panel, axis))
            if panel.patch is not None and panel.patches is not None:
                layout["shapes"].append(_patch_edge(panel.patch, panel.patches, axis))
    return PlainFigure(traces, {name: value for name, value in layout.items() if value != []})


_LAYOUT = {
    "hovermode": "closest", "clickmode": "event", "dragmode": "zoom", "showlegend": False,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "plot_bgcolor": "rgba(0,0,0,0)", "paper_bgcolor": "rgba(0,0,0,0)",
    "modebar": {"remove": ["select2d", "lasso2d", "toImage", "autoScale2d"]},
}  # fmt: skip


def _place(axis: str) -> Plain:
    return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}


def pane_domain(number: int, count: int) -> tuple[float, float]:
    """Where a pane lies in the figure's width, 0..1."""
    whole = count + GAP * (count - 1)
    left = number * (1 + GAP) / whole
    return left, min(left + 1 / whole, 1.0)


def _axes(number: int, count: int, zoom: Zoom) -> dict:
    top, left, bottom, right = zoom
    axis = "" if number == 0 else str(number + 1)
    common = {"visible": False, "constrain": "domain"}
    x = {"range": [left, right], "domain": pane_domain(number, count), "anchor": f"y{axis}", **common}
    y = {"range": [bottom, top], "anchor": f"x{axis}", **common}
    if number:
        x["matches"], y["matches"] = "x", "y"
    else:
        y["scaleanchor"] = "x"
    return {f"xaxis{axis}": x, f"yaxis{axis}": y}


def _message(text: str, axis: str) -> dict:
    place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "x": 0.5, "y": 0.5}
    return {"text": text, "showarrow": False, "font": {"size": 14, "color": MUTED}, **place}


def _empty(axis: str) -> dict:
    """Where a map would be."""
    place = {"xref": f"x{axis} domain", "yref": f"y{axis} domain", "x0": 0, "x1": 1, "y0": 0, "y1": 1}
    return {"type": "rect", "fillcolor": "rgba(128, 128, 128, 0.12)", "line": {"width": 0}, "layer": "below", **place}


def _traces(panel: Panel, axis: str, opacity: float) -> list[Plain]:
    """A panel's map, its outlines, and its query."""
    traces = [_map(panel, axis, opacity)]
    if panel.outlines:
        traces += _outline(panel.outlines, panel.name, axis)
    if panel.patch is not None and panel.patches is not None:
        traces.append(_query_mark(panel, panel.patches, axis))
    return traces


def _map(panel: Panel, axis: str, opacity: float) -> Plain:
    assert panel.grid
    assert panel.values is not None
    assert panel.coloured is not None
    size = panel.grid.patch_size
    told = "%{customdata:+.3%}" if panel.difference else "%{customdata:.3%}"
    return {
        "type": "heatmap", "z": panel.coloured, "customdata": panel.values, "x0": size / 2, "dx": size, "y0": size / 2,
        "dy": size, "zmin": panel.low, "zmax": panel.high, "colorscale": panel.stops, "opacity": opacity,
        "showscale": False, "name": f"attention {panel.name}",
        "hovertemplate": f"<b>{panel.name}</b> {panel.unit} {told}<br>patch of {size} px at x %{{x:.0f}}, "
        "y %{y:.0f} px<extra></extra>",
        **_place(axis),
    }  # fmt: skip


def _outline(outlines: Sequence[np.ndarray], name: str, axis: str) -> list[Plain]:
    """All outlines as one line with gaps, seen on light and on dark: thin and bright over wide and dark."""
    gap = np.full((1, 2), np.nan, dtype=np.float32)
    y, x = np.concatenate([part for outline in outlines for part in (outline, gap)]).T
    return [
        {
            "type": "scatter", "x": x, "y": y, "mode": "lines", "line": {"width": width, "color": colour},
            "hoverinfo": "skip", "name": f"outline {name}", **_place(axis),
        }
        for width, colour in ((4, MARK_EDGE), (1.8, MARK))
    ]  # fmt: skip


def _query_mark(panel: Panel, grid: TokenGrid, axis: str) -> Plain:
    assert panel.patch is not None
    y, x = grid.centre(*panel.patch)
    shown = {"marker": {"opacity": 1}}
    return {
        "type": "scatter", "x": [x, x], "y": [y, y], "mode": "markers", "name": f"query {panel.name}",
        "hoverinfo": "skip",
        "marker": {
            "symbol": ["circle-open", "circle-open-dot"], "size": [19, 15], "color": [MARK_EDGE, MARK],
            "line": {"width": [4, 2.5], "color": [MARK_EDGE, MARK]},
        },
        "selected": shown, "unselected": shown, **_place(axis),
    }  # fmt: skip


def _patch_edge(patch: tuple[int, int], grid: TokenGrid, axis: str) -> dict:
    row, col = patch
    size = grid.patch_size
    return {
        "type": "rect", "xref": f"x{axis}", "yref": f"y{axis}", "x0": col * size, "x1": (col + 1) * size,
        "y0": row * size, "y1": (row + 1) * size, "line": {"width": 1.2, "color": MARK},
    }  # fmt: skip


def _picture(panel: Panel, axis: str) -> Plain:
    assert panel.pixels is not None
    height, width = panel.pixels.shape[:2]
    return {
        "source": jpeg_address(panel.pixels, quality=JPEG_QUALITY), "sizing": "stretch", "layer": "below",
        "xref": f"x{axis}", "yref": f"y{axis}", "x": 0, "y": 0, "sizex": width, "sizey": height,
    }  # fmt: skip
