"""Curves of insertion and deletion, and the outline of an object. No Streamlit, no torch."""

import numpy as np

from dashboard.charts import HEAD_COLOURS
from dashboard.links.worth import Box
from vit_engine.report.colours import ACCENT, MARK, MARK_EDGE
from vit_engine.report.figure import MUTED, Plain, PlainFigure

BAND = "rgba(128, 128, 128, 0.25)"
COLOURS = {"map": ACCENT, "random orders": MUTED, "randomised weights": HEAD_COLOURS[1]}
_DASHES = {"map": "solid", "random orders": "dot", "randomised weights": "dash"}


def curve_figure(
    fractions: np.ndarray,
    *,
    shown: np.ndarray,
    random: np.ndarray,
    randomised: np.ndarray,
    change: str,
    unit: str,
    ends: tuple[float, float],
) -> PlainFigure:
    """A score by the share of patches, beside the range of random orders, their mean, and randomised weights.

    fractions, shown, randomised: (steps + 1,). random: (orders, steps + 1). change: "inserted" or "deleted". ends: of
    the scores' axis.
    """
    low, high = random.min(axis=0), random.max(axis=0)
    band = {"type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": BAND, "line": {"width": 0}}
    edge = {"x": np.concatenate([fractions, fractions[::-1]]), "y": np.concatenate([high, low[::-1]])}
    traces = [
        {**band, **edge, "name": "range", "hoverinfo": "skip"},
        _line(fractions, random.mean(axis=0), "random orders", change),
        _line(fractions, randomised, "randomised weights", change),
        _line(fractions, shown, "map", change),
    ]
    layout = {
        "xaxis": {"title": {"text": f"patches {change}"}, "tickformat": ".0%", "range": [0, 1], "fixedrange": True},
        "yaxis": {"title": {"text": unit}, "range": list(ends), "fixedrange": True},
        "margin": {"l": 52, "r": 16, "t": 8, "b": 44},
        "hovermode": "closest",
        "showlegend": False,
    }
    return PlainFigure(traces, layout)


def score_ends(*curves: np.ndarray) -> tuple[float, float]:
    """Where an axis of all these scores ends: 0 is on it."""
    low, high = min(0.0, *(float(curve.min()) for curve in curves)), max(0.0, *(float(curve.max()) for curve in curves))
    room = 0.05 * (high - low) or 1.0
    return low - room * (low < 0), high + room


def legend() -> str:
    """What the lines are, as HTML."""
    swatch = '<span class="swatch" style="background: {}"></span> {}'
    names = [swatch.format(colour, name) for name, colour in COLOURS.items()]
    names.insert(list(COLOURS).index("random orders") + 1, swatch.format(BAND, "their range"))
    return f'<div class="legend">{"".join(names)}</div>'


def _line(x: np.ndarray, y: np.ndarray, name: str, change: str) -> Plain:
    hover = f"{name}<br>%{{x:.0%}} of patches {change}: %{{y:.3f}}<extra></extra>"
    style = {"width": 3 if name == "map" else 1.5, "color": COLOURS[name], "dash": _DASHES[name]}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": style, "hovertemplate": hover}


def outline_traces(mask: np.ndarray | Box, *, rows: int, cols: int, beside: bool) -> list[Plain]:
    """The edge of an object, seen on light and on dark, in units of the large map's axes.

    These are cells, their middles at whole numbers. mask: bool (height, width) of the picture, or a box (y0, x0, y1,
    x1) of fractions of it. beside: on both panels.
    """
    gap = np.full((1, 2), np.nan)
    y, x = np.concatenate([part for line in object_edges(mask) for part in (line, gap)] or [gap])[:-1].T
    common = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "name": "object"}
    place = {"x": x * cols - 0.5, "y": y * rows - 0.5}
    lines = {"width": 4, "color": MARK_EDGE}, {"width": 1.8, "color": MARK, "dash": "dash"}
    axes = ("2", "") if beside else ("",)
    return [
        {**common, **place, "line": line, "xaxis": f"x{axis}", "yaxis": f"y{axis}"} for axis in axes for line in lines
    ]


def object_edges(mask: np.ndarray | Box) -> list[np.ndarray]:
    """Closed lines around an object, each (points, 2): fractions (y, x). mask: as of outline_traces()."""
    if isinstance(mask, tuple):
        top, left, bottom, right = mask
        return [np.array([[top, left], [top, right], [bottom, right], [bottom, left], [top, left]])]
    from skimage.measure import approximate_polygon, find_contours  # noqa: PLC0415  (slow to import)

    lines = [approximate_polygon(line, 1.0) for line in find_contours(np.pad(mask, 1).astype(np.float32), 0.5)]
    return [(line - 0.5) / mask.shape for line in lines]
