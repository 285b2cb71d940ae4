"""What the charts of all pages share: colours, axes, heatmaps. No Streamlit, no torch."""

import html
import math
from collections.abc import Iterable, Sequence

import numpy as np

from vit_engine.report.colours import Stops, colour_stops
from vit_engine.report.figure import Plain

AUTO = {"dark": "inferno", "light": "viridis"}
# Okabe and Ito's colours: colour-blind people can distinguish them, on light and on dark.
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


def as_text(name: str) -> str:
    """A name as Plotly shows it letter by letter: it takes tags in legends and titles for marks."""
    return html.escape(name, quote=False)


# Of a chart that is clicked in, and whose axes are those of a picture or of maps.
BARE: Plain = {
    "hovermode": "closest",
    "dragmode": False,
    "showlegend": False,
    "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
    "plot_bgcolor": "rgba(0,0,0,0)",
    "paper_bgcolor": "rgba(0,0,0,0)",
}


def heatmap(
    values: np.ndarray, colours: str | Stops, *, low: float = 0.0, high: float, name: str = "attention"
) -> Plain:
    """colours: the name of a scale, or its stops."""
    return {
        "type": "heatmap",
        "z": values.astype(np.float32),
        "zmin": low,
        "zmax": high,
        "colorscale": colour_stops(colours) if isinstance(colours, str) else colours,
        "name": name,
    }


def cell_at(x: float, y: float, *, rows: int, cols: int) -> tuple[int, int]:
    """(row, col) of a heatmap's cell that a point is in, in units of its axes; beside it, the nearest one."""
    row, col = (min(max(math.floor(at + 0.5), 0), count - 1) for at, count in ((y, rows), (x, cols)))
    return row, col


def bare_axes(axis: str, *, rows: int, cols: int, domain: tuple[float, float] = (0.0, 1.0), pad: float = 0.0) -> Plain:
    """Axes "x" + `axis` and "y" + `axis` around square cells, the first row on top; pad: room around them, in cells."""
    common = {"visible": False, "fixedrange": True, "constrain": "domain"}
    across, down = [-0.5 - pad, cols - 0.5 + pad], [rows - 0.5 + pad, -0.5 - pad]
    return {
        f"xaxis{axis}": {"range": across, "domain": domain, **common},
        f"yaxis{axis}": {"range": down, "scaleanchor": f"x{axis}", "anchor": f"x{axis}", **common},
    }


def ticks(places: Sequence[float], names: Iterable[object]) -> Plain:
    """Of an axis that has these names at these places, and no grid."""
    texts = [str(name) for name in names]
    return {"tickvals": list(places), "ticktext": texts, "showgrid": False, "zeroline": False, "fixedrange": True}


def by_layer(title: str, axis: Plain, *, left: int = 52, every: int = 1) -> Plain:
    """Of a chart by layer over its legend. title, axis: of what is drawn. left: margin; every: between ticks."""
    return {
        "xaxis": {"title": {"text": "layer"}, "tickmode": "linear", "dtick": every, "fixedrange": True},
        "yaxis": {"title": {"text": title}, "fixedrange": True, **axis},
        "margin": {"l": left, "r": 8, "t": 8, "b": 44},
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.2},
    }


def head_colour(number: int) -> str:
    """Of one of many heads or models: the first few have one of their own."""
    return HEAD_COLOURS[number % len(HEAD_COLOURS)]
