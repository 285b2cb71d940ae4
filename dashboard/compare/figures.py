"""Charts of the page Compare, beside its maps. No Streamlit, no torch."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dashboard.charts import HEAD_COLOURS, as_text
from vit_engine.report.figure import Plain, PlainFigure


def distribution_figure(frames: Mapping[str, pd.DataFrame], statistic: str, *, unit: str, kind: str) -> PlainFigure:
    """A box or a violin of all heads per layer and model, every head a dot.

    frames: a statistics table a model, by the name to show. kind: "box" or "violin".
    """
    shape: Plain = {"type": "box", "boxpoints": "all"}
    if kind != "box":
        shape = {"type": "violin", "points": "all", "spanmode": "hard", "meanline": {"visible": True}}
    traces = [
        {**shape, **_heads(number, name, frame, statistic, unit)} for number, (name, frame) in enumerate(frames.items())
    ]
    return PlainFigure(traces, _layout(unit))


def _heads(number: int, name: str, frame: pd.DataFrame, statistic: str, unit: str) -> Plain:
    colour = HEAD_COLOURS[number % len(HEAD_COLOURS)]
    return {
        "x": frame["layer"].to_numpy(np.int16),
        "y": frame[statistic].to_numpy(np.float64),
        "name": as_text(name),
        "offsetgroup": str(number),
        "pointpos": 0,
        "jitter": 0.35,
        "marker": {"size": 4, "color": colour},
        "line": {"width": 1.4, "color": colour},
        "text": [f"head {head}" for head in frame["head"]],
        "hovertemplate": f"layer %{{x}} · %{{text}}<br>%{{y:.3f}} {unit}",
    }


def _layout(unit: str) -> Plain:
    return {
        "xaxis": {"title": {"text": "layer"}, "tickmode": "linear", "dtick": 1, "fixedrange": True},
        "yaxis": {"title": {"text": unit}, "rangemode": "tozero", "fixedrange": True},
        "boxmode": "group",
        "violinmode": "group",
        "hovermode": "closest",
        "margin": {"l": 52, "r": 8, "t": 8, "b": 44},
        "legend": {"orientation": "h", "y": -0.2},
        "showlegend": True,
    }
