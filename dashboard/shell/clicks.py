"""Chart events that Streamlit's own charts do not report to the server.

They report neither a zoom nor a click on a heatmap (streamlit#8760). Without the first a chart that is redrawn, for
another layer, forgets where it was zoomed; instead of the second a transparent marker for each patch could take the
clicks, but thousands of markers take the browser seconds to draw.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

# Plotly recreates a chart at times, so it is looked for repeatedly; a second listener would report events twice.
_JS = """
const LOOK = 200;  // milliseconds between two looks for the chart

export default function({ data, setTriggerValue }) {
  const find = () => document.querySelector(`.st-key-${data.chart} .js-plotly-plot`);
  const zoomed = (event) => {
    const chart = find();
    if (chart && Object.keys(event).some((name) => name.includes('.range'))) {
      setTriggerValue('box', { x: [...chart.layout.xaxis.range], y: [...chart.layout.yaxis.range] });
    }
  };
  const clicked = (event) => {
    const point = event.points.find((one) => one.data.type === 'heatmap');
    if (!point) return;
    const box = find().getBoundingClientRect(), { xaxis, yaxis } = point;  // the pointer's place, not the cell's middle
    const x = xaxis.p2d(event.event.clientX - box.left - xaxis._offset);
    const y = yaxis.p2d(event.event.clientY - box.top - yaxis._offset);
    setTriggerValue('point', { x, y });
  };
  const ignore = (chart) => {
    chart.removeListener('plotly_relayout', zoomed);
    chart.removeListener('plotly_click', clicked);
  };
  const listen = () => {
    const chart = find();
    if (!chart || !chart.on) return;
    ignore(chart);
    chart.on('plotly_relayout', zoomed);
    chart.on('plotly_click', clicked);
  };
  listen();
  const timer = setInterval(listen, LOOK);
  return () => {
    clearInterval(timer);
    const chart = find();
    if (chart && chart.on) ignore(chart);
  };
}
"""
_listener = st.components.v2.component("vit_engine.chart_events", js=_JS)


def listen(chart: str, *, key: str, on_zoom: Callable[[], None], on_click: Callable[[], None]) -> None:
    """Call back when the chart of a key was zoomed or moved, and when a cell of a heatmap in it was clicked."""
    _listener(key=key, data={"chart": chart}, on_box_change=on_zoom, on_point_change=on_click, height="content")


def zoomed(key: str) -> dict[str, list[float]] | None:
    """The ranges {"x": …, "y": …} of the chart's first axes, in their own units; None where nothing was zoomed."""
    return _told(key, "box")


def clicked(key: str) -> dict[str, float] | None:
    """The clicked point {"x": …, "y": …} in the axes' units; None where nothing was clicked."""
    return _told(key, "point")


def _told(key: str, what: str) -> Any:
    return st.session_state[key].get(what)
