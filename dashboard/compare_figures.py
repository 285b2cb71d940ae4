"""Charts of the page Compare, beside its maps. No Streamlit, no torch."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import HEAD_COLOURS, as_text


def distribution_figure(frames: Mapping[str, pd.DataFrame], statistic: str, *, unit: str, kind: str) -> go.Figure:
    """A box or a violin of all heads per layer and model, every head a dot.

    frames: a statistics table a model, by the name to show. kind: "box" or "violin".
    """
    figure = go.Figure()
    for number, (name, frame) in enumerate(frames.items()):
        colour = HEAD_COLOURS[number % len(HEAD_COLOURS)]
        common = {
            "x": frame["layer"], "y": frame[statistic].astype(float), "name": as_text(name), "offsetgroup": str(number),
            "pointpos": 0, "jitter": 0.35, "marker": {"size": 4, "color": colour},
            "line": {"width": 1.4, "color": colour}, "text": [f"head {head}" for head in frame["head"]],
            "hovertemplate": f"layer %{{x}} · %{{text}}<br>%{{y:.3f}} {unit}",
        }  # fmt: skip
        if kind == "box":
            figure.add_trace(go.Box(boxpoints="all", **common))
        else:
            figure.add_trace(go.Violin(points="all", spanmode="hard", meanline={"visible": True}, **common))
    figure.update_xaxes(title="layer", tickmode="linear", dtick=1, fixedrange=True)
    figure.update_yaxes(title=unit, rangemode="tozero", fixedrange=True)
    figure.update_layout(
        boxmode="group", violinmode="group", hovermode="closest", margin={"l": 52, "r": 8, "t": 8, "b": 44},
        legend={"orientation": "h", "y": -0.2}, showlegend=True,
    )  # fmt: skip
    return figure
