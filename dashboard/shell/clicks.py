"""Clicks, zooms and boxes in charts, which Streamlit's own charts do not report: a component listens to a chart.

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

export default function({ data, parentElement, setTriggerValue }) {
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
    if (area && event.isPrimary && event.button === 0) awaitRelease(chart, area, event, pointIn(chart, area, event));
  };
  // The point of the axes under the pointer, if a heatmap lies there; in whole pixels, as Plotly's hover has it.
  const pointIn = (chart, area, { clientX, clientY }) => {
    const { id, xaxis, yaxis } = chart._fullLayout._plots[area.dataset.subplot], box = area.getBoundingClientRect();
    const covered = chart._fullData.some(({ type, xaxis, yaxis }) => type === 'heatmap' && xaxis + yaxis === id);
    const [left, top] = [Math.floor(clientX) - box.left, Math.floor(clientY) - box.top];
    return covered && { x: xaxis.p2l(left), y: yaxis.p2l(top) };
  };
  // Outlives a run of the script that ends between press and release.
  const awaitRelease = (chart, area, press, point) => {
    const done = new AbortController(), options = { signal: done.signal, capture: true };
    const moved = (event) => Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY);
    const end = point && data.boxes && press.pointerType !== 'touch' ? drag(area, press) : null;  // fingers scroll
    const stop = () => { done.abort(); end?.(); };
    const released = (event) => {
      stop();
      if (!point || event.pointerId !== press.pointerId) return;
      if (moved(event) < STILL) return setTriggerValue('point', point);
      if (!end || !chart.isConnected) return;
      const [first, last] = [press, event].map((at) => pointIn(chart, area, within(area, at)));
      setTriggerValue('region', { x: [first.x, last.x], y: [first.y, last.y] });
    };
    document.addEventListener('pointerup', released, options);
    for (const kind of ['pointercancel', 'pointerdown']) document.addEventListener(kind, stop, options);
  };
  const within = (area, { clientX, clientY }) => {
    const { left, right, top, bottom } = area.getBoundingClientRect();
    const [x, y] = [Math.min(Math.max(clientX, left), right - 1), Math.min(Math.max(clientY, top), bottom - 1)];
    return { clientX: x, clientY: y };
  };
  // A box over the page that follows the pointer, and lets it through; returns what takes it away.
  const drag = (area, press) => {
    const box = document.createElement('div'), from = within(area, press);
    box.className = 'drag-box';
    const follow = (event) => {
      if (Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY) < STILL) return box.remove();
      const to = within(area, event);
      const [left, top] = [Math.min(from.clientX, to.clientX), Math.min(from.clientY, to.clientY)];
      const [width, height] = [Math.abs(to.clientX - from.clientX), Math.abs(to.clientY - from.clientY)];
      Object.assign(box.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
      document.body.append(box);
    };
    const still = (event) => event.preventDefault();  // no text is marked on the way
    document.addEventListener('pointermove', follow, true);
    document.addEventListener('selectstart', still, true);
    return () => {
      box.remove();
      document.removeEventListener('pointermove', follow, true);
      document.removeEventListener('selectstart', still, true);
    };
  };
  document.addEventListener('pointerdown', pressed, true);
  parentElement.getRootNode().host.dataset.listens = data.chart;  // seen from outside: clicks count from now on
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


def listen(
    chart: str,
    on_click: Callable[..., Change],
    on_zoom: Callable[..., Change] = no_change,
    on_region: Callable[..., Change] | None = None,
) -> None:
    """Take what clicks on heatmaps in the chart of a key set, and what zooms set.

    on_click: called with the point, x and y in units of the axes. on_zoom: with the ranges x and y of the first axes.
    on_region: with where a box that a mouse or a pen dragged begins and ends, x and y in units of the axes; the chart
    has no drag of its own then.
    """
    key = keys.events_of(chart)
    _listener(
        key=key,
        data={"chart": chart, "boxes": on_region is not None},
        on_point_change=partial(widgets.take, _answer, key, "point", on_click),
        on_box_change=partial(widgets.take, _answer, key, "box", on_zoom),
        on_region_change=partial(widgets.take, _answer, key, "region", on_region or no_change),
        height="content",
    )


def _answer(key: str, event: str, decide: Callable[..., Change]) -> Change:
    return decide(**st.session_state[key][event])
