"""Clicks and zooms in charts, which Streamlit's own charts do not report: a component listens to the chart of a key.

They report neither a click on a heatmap (streamlit#8760) nor a zoom, and a chart that is redrawn, for another layer,
would forget where it was zoomed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.links import widgets

Change = Mapping[str, Any]  # what is set, by the keys of the session state

# Plotly recreates a chart at times, so the document listens, and the chart is found at each press. Presses are those
# of mouse, pen and finger alike: Plotly's own event of a tap does not say where it was.
_JS = """
const STILL = 8;  // pixels that a press may move and is still a click; Plotly takes more for a drag

export default function({ data, setTriggerValue }) {
  let zoomable = null;
  const zoomed = (event) => {
    if (!Object.keys(event).some((name) => name.includes('.range'))) return;
    const { xaxis, yaxis } = zoomable.layout;
    setTriggerValue('box', { x: [...xaxis.range], y: [...yaxis.range] });
  };
  const ignore = () => zoomable?.removeListener?.('plotly_relayout', zoomed);
  const pressed = (event) => {
    const chart = event.target.closest(`.st-key-${data.chart} .js-plotly-plot`);
    if (!chart?.on) return;
    ignore();
    zoomable = chart;
    chart.on('plotly_relayout', zoomed);
    const area = event.target.closest('.nsewdrag');
    if (area && event.isPrimary && event.button === 0) awaitRelease(event, pointIn(chart, area, event));
  };
  // The point of the axes under the pointer, if a heatmap lies there; in whole pixels, as Plotly's hover has it.
  const pointIn = (chart, area, { clientX, clientY }) => {
    const { id, xaxis, yaxis } = chart._fullLayout._plots[area.dataset.subplot], box = area.getBoundingClientRect();
    const covered = chart._fullData.some(({ type, xaxis, yaxis }) => type === 'heatmap' && xaxis + yaxis === id);
    const [left, top] = [Math.floor(clientX) - box.left, Math.floor(clientY) - box.top];
    return covered && { x: xaxis.p2l(left), y: yaxis.p2l(top) };
  };
  // Outlives a run of the script that ends between press and release.
  const awaitRelease = (press, point) => {
    const done = new AbortController(), options = { signal: done.signal, capture: true };
    const released = (event) => {
      done.abort();
      const moved = Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY);
      if (point && event.pointerId === press.pointerId && moved < STILL) setTriggerValue('point', point);
    };
    document.addEventListener('pointerup', released, options);
    for (const kind of ['pointercancel', 'pointerdown']) document.addEventListener(kind, () => done.abort(), options);
  };
  document.addEventListener('pointerdown', pressed, true);
  return () => {
    document.removeEventListener('pointerdown', pressed, true);
    ignore();
  };
}
"""
_listener = st.components.v2.component("vit_engine.chart_events", js=_JS)


def no_change(**_: Any) -> Change:
    """What a click or a zoom sets where nothing is to be."""
    return {}


def listen(chart: str, on_click: Callable[..., Change], on_zoom: Callable[..., Change] = no_change) -> None:
    """Take what clicks on heatmaps in the chart of a key set, and what zooms set.

    on_click: called with the point, x and y in units of the axes. on_zoom: with the ranges x and y of the first axes.
    """
    key = keys.events_of(chart)
    _listener(
        key=key,
        data={"chart": chart},
        on_point_change=partial(widgets.take, _answer, key, "point", on_click),
        on_box_change=partial(widgets.take, _answer, key, "box", on_zoom),
        height="content",
    )


def _answer(key: str, event: str, decide: Callable[..., Change]) -> Change:
    return decide(**st.session_state[key][event])
