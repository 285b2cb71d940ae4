"""Charts of the page Compare, beside its maps. No Streamlit, no torch."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dashboard.charts import as_text, by_layer, head_colour
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
    layout = {**by_layer(unit, {"rangemode": "tozero"}), "boxmode": "group", "violinmode": "group", "showlegend": True}
    return PlainFigure(traces, layout)


def _heads(number: int, name: str, frame: pd.DataFrame, statistic: str, unit: str) -> Plain:
    colour = head_colour(number)
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
