"""What a person zooms and moves in a chart, told to the server, which Streamlit's own charts do not tell.

Without it a chart that is drawn anew, for another layer, forgets where it was zoomed.
"""

from collections.abc import Callable

import streamlit as st

# Listens to the chart of a key; Plotly makes a chart anew at times, and a second listener would tell things twice.
_JS = """
const LOOK = 200;  // milliseconds between two looks whether the chart is a new one

export default function({ data, setTriggerValue }) {
  const changed = (event) => {
    const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    if (chart && Object.keys(event).some((name) => name.includes('.range'))) {
      setTriggerValue('box', { x: [...chart.layout.xaxis.range], y: [...chart.layout.yaxis.range] });
    }
  };
  const listen = () => {
    const chart = document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
    if (chart && chart.on) {
      chart.removeListener('plotly_relayout', changed);
      chart.on('plotly_relayout', changed);
    }
  };
  listen();
  const timer = setInterval(listen, LOOK);
  return () => {
    clearInterval(timer);
    document.querySelector(`.st-key-${data.chart} .js-plotly-plot`)?.removeListener?.('plotly_relayout', changed);
  };
}
"""
_listener = st.components.v2.component("vit_engine.zoom", js=_JS)


def listen(chart: str, *, key: str, on_zoom: Callable[[], None]) -> None:
    """Call on_zoom when the chart of a key was zoomed or moved; box() tells to where."""
    _listener(key=key, data={"chart": chart}, on_box_change=on_zoom, height="content")


def box(key: str) -> dict[str, list[float]] | None:
    """The ranges {"x": …, "y": …} of the chart's first axes, in its own units; None where nothing was told."""
    return st.session_state[key].get("box")
