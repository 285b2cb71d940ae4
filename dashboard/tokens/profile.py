"""The lengths of tokens by depth, as a figure. No Streamlit, no torch."""

import math
from collections.abc import Sequence

import numpy as np

from dashboard.charts import BARE, by_layer
from dashboard.tokens.figures import CLEAR
from vit_engine import TokenNorms
from vit_engine.report.colours import ACCENT
from vit_engine.report.figure import MUTED, Plain, PlainFigure

BAND = (5.0, 95.0)  # percentiles
_ROOM = 1.15  # times the shortest and the longest: beside them
_TOLD = (
    "layer %{x}<br>median %{customdata[0]:.1f} · 5th–95th percentile %{customdata[1]:.1f}–%{customdata[2]:.1f}<br>"
    "longest patch %{customdata[3]:.1f} · CLS token %{customdata[4]:.1f}<br>"
    "%{customdata[6]} patches above %{customdata[5]:.1f}<extra></extra>"
)


def profile_figure(norms: Sequence[TokenNorms], *, layer: int, title: str) -> PlainFigure:
    """Median, band, longest and CLS of every layer, and where outliers begin; a click chooses a layer.

    layer: the one that is marked. title: of the axis of lengths.
    """
    layers = [each.layer for each in norms]
    lengths = np.array([_numbers(each) for each in norms], dtype=np.float32)
    median, low, high, longest, cls, limit, _ = lengths.T
    ends = _ends(lengths[:, :-1])
    traces = [
        _line("5th percentile", layers, low, ACCENT, width=0, showlegend=False),
        _line("5th–95th percentile", layers, high, ACCENT, width=0, fill="tonexty", fillcolor="rgba(20,184,166,0.22)"),
        _line("median", layers, median, ACCENT, width=3),
        _line("longest", layers, longest, "#d55e00", width=1.5),
        _line("CLS", layers, cls, "#0072b2", width=1.5, dash="dash"),
        _line(f"{norms[0].factor:g} × the median", layers, limit, MUTED, width=1, dash="dot"),
        _columns(layers, lengths, ends),
    ]
    return PlainFigure(traces, _layout(layers, layer, title, ends))


def _numbers(norms: TokenNorms) -> tuple[float, ...]:
    low, high = np.percentile(norms.values, BAND)
    longest, cls = float(norms.values.max()), float(norms.prefix[0])
    return norms.median, low, high, longest, cls, norms.limit, len(norms.outliers)


def _ends(lengths: np.ndarray) -> tuple[float, float]:
    """Of an axis of logarithms around all that are not zero: lengths grow manifold from layer to layer."""
    positive = lengths[lengths > 0]
    return (float(positive.min()) / _ROOM, float(positive.max()) * _ROOM) if positive.size else (0.1, 1.0)


def _line(
    name: str, layers: list[int], values: np.ndarray, colour: str, *, width: float, dash: str = "solid", **rest: object
) -> Plain:
    line = {"width": width, "color": colour, "dash": dash}
    common = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    return {**common, "x": layers, "y": np.ascontiguousarray(values), "name": name, "line": line, **rest}


def _columns(layers: list[int], lengths: np.ndarray, ends: tuple[float, float]) -> Plain:
    """An unseen cell a layer over all of its height: what is hovered and clicked."""
    return {
        "type": "heatmap",
        "z": np.zeros((1, len(layers)), np.uint8),
        "x": layers,
        "y": list(ends),
        "customdata": lengths[None],
        "colorscale": CLEAR,
        "showscale": False,
        "name": "layers",
        "hovertemplate": _TOLD,
    }


def _ticks(ends: tuple[float, float]) -> Plain:
    """At 1, 2 and 5 of each power of ten, in full: Plotly leaves the powers out."""
    powers = range(math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1])) + 1)
    values = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def _layout(layers: list[int], layer: int, title: str, ends: tuple[float, float]) -> Plain:
    every = 1 if len(layers) <= 16 else 4
    axis = {"type": "log", "range": np.log10(ends).tolist(), **_ticks(ends)}
    layout = by_layer(title, axis, left=60, every=every)
    layout["legend"] = {**layout["legend"], "y": -0.26}
    layout["xaxis"] |= {"range": [min(layers) - 0.5, max(layers) + 0.5], "zeroline": False}
    mark = {"type": "line", "x0": layer, "x1": layer, "y0": 0, "y1": 1, "yref": "y domain"}
    shape = {**mark, "line": {"width": 1, "dash": "dot", "color": MUTED}}
    bare = {name: BARE[name] for name in ("plot_bgcolor", "paper_bgcolor", "dragmode")}
    return {**layout, **bare, "showlegend": True, "shapes": [shape]}
