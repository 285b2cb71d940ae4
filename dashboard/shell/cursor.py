"""One cursor in all panels of a chart: the cell under the pointer is outlined in each of them."""

import streamlit as st

from dashboard import keys

# Beside Plotly's own marks, which a redrawn chart would lose: boxes over the page that let the pointer through.
_JS = """
export default function({ data }) {
  const boxes = [];
  const hide = () => boxes.splice(0).forEach((box) => box.remove());
  const moved = (event) => {
    const chart = event.target.closest?.(`.st-key-${data.chart} .js-plotly-plot`);
    const area = event.target.closest?.('.nsewdrag');
    hide();
    const panels = chart?._fullLayout?._plots;
    if (!panels || !area || event.buttons || event.pointerType === 'touch') return;
    const under = panels[area.dataset.subplot], place = area.getBoundingClientRect();
    const col = Math.floor(under.xaxis.p2l(event.clientX - place.left) + 0.5);
    const row = Math.floor(under.yaxis.p2l(event.clientY - place.top) + 0.5);
    if (row < 0 || col < 0 || row >= data.rows || col >= data.cols) return;
    const all = Object.values(panels).filter(({ id }) => id);
    for (const panel of all) outline(chart.getBoundingClientRect(), panel, row, col);
  };
  const outline = (frame, { xaxis, yaxis }, row, col) => {
    const [left, right] = [col - 0.5, col + 0.5].map((x) => xaxis._offset + xaxis.l2p(x));
    const [top, bottom] = [row - 0.5, row + 0.5].map((y) => yaxis._offset + yaxis.l2p(y));
    const box = document.createElement('div');
    box.className = 'cell-cursor';
    Object.assign(box.style, {
      position: 'fixed', pointerEvents: 'none', zIndex: 10, border: '2px solid #ffffff', outline: '1px solid #111111',
      left: `${frame.left + left}px`, top: `${frame.top + top}px`,
      width: `${right - left}px`, height: `${bottom - top}px`, boxSizing: 'border-box',
    });
    document.body.append(box);
    boxes.push(box);
  };
  const options = { capture: true, passive: true };
  document.addEventListener('pointermove', moved, options);
  document.addEventListener('pointerdown', hide, options);
  document.addEventListener('scroll', hide, options);
  return () => {
    hide();
    document.removeEventListener('pointermove', moved, options);
    document.removeEventListener('pointerdown', hide, options);
    document.removeEventListener('scroll', hide, options);
  };
}
"""
_follower = st.components.v2.component("vit_engine.cursor", js=_JS)


def follow(chart: str, *, rows: int, cols: int) -> None:
    """In the chart of a key, whose panels have so many cells, the first one's middle at 0, and one unit apart."""
    _follower(key=keys.cursor_of(chart), data={"chart": chart, "rows": rows, "cols": cols}, height="content")
