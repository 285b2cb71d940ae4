"""A script for Streamlit's document that has a visitor see the large map first, and the rest of the page after it.

Streamlit draws all that a run sends at once: the map would wait for the other charts, the table, and their code. So
what comes behind the map's chart is held in the page until the map is painted, once for each load of the page. Nothing
is lost or overtaken: to Streamlit the server was slower. Plotly's module takes a third of a second to run: it is
fetched from the start, and runs while the page waits for the server's first answer.
"""

from pathlib import Path

from dashboard import keys

# Messages are held for as many milliseconds where no map is painted. Only those count in which the page could have
# painted it: a slow computer, busy with the map, still has it first.
_LONGEST = 4000
_LOADING = 1500  # where Plotly is still on its way: on a slow network the rest comes first
TICK = 50  # milliseconds; however long the page was busy in between, it counts as one
_LARGE = 4000  # bytes that a message with a chart has at least
# Streamlit's name for the map's chart. The style sheet has the key alone.
MAP_ID = rf"\$\$ID-[0-9a-f]+-{keys.OVERLAY}(?!_)"  # overlay_events is the component that listens to it
_SCRIPT = """
(() => {
  const plotly = "./static/js/%(plotly)s";
  document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href: plotly }));
  const Socket = window.WebSocket, map = ".st-key-%(key)s .heatmaplayer image";
  let loaded = false;
  const painted = (then) => {
    let waited = 0, frames = 0;  // frames since the map's picture was there: in the second it has been on the screen
    const end = () => { if (frames < Infinity) { clearInterval(clock); frames = Infinity; then(); } };
    const late = () => document.hidden || (waited += %(tick)d) >= (loaded ? %(longest)d : %(loading)d);
    const clock = setInterval(() => { if (late()) end(); }, %(tick)d);
    const look = () => {
      if (document.querySelector(map)) frames += 1;
      if (frames < 3) requestAnimationFrame(look); else if (frames < Infinity) setTimeout(end);
    };
    look();
  };
  const hasMap = (data) =>
    !document.hidden && data.byteLength > %(large)d && /%(id)s/.test(new TextDecoder("latin1").decode(data));
  const mapFirst = (listener) => {
    let held = null, done = false;
    return (event) => {
      if (held) { held.push(event); return; }
      listener(event);
      if (done || !hasMap(event.data)) return;
      done = true;
      held = [];
      painted(() => { const events = held; held = null; events.forEach(listener); });
    };
  };
  window.WebSocket = class extends Socket {
    constructor(...address) {
      super(...address);
      window.WebSocket = Socket;  // a connection that is made again has a page that is drawn
      super.addEventListener("open", () => import(plotly).then(() => { loaded = true; }), { once: true });
    }
    addEventListener(kind, listener, ...options) {
      super.addEventListener(kind, kind === "message" ? mapFirst(listener) : listener, ...options);
    }
  };
})();
"""


def first_paint_script(static: Path) -> str:
    """The script's text; empty where Streamlit's parts have other names. static: the folder of what it serves."""
    plotly = sorted(path.name for path in (static / "static" / "js").glob("PlotlyChart.*.js"))
    limits = {"longest": _LONGEST, "loading": _LOADING, "tick": TICK, "large": _LARGE}
    return _SCRIPT % {**limits, "key": keys.OVERLAY, "id": MAP_ID, "plotly": plotly[0]} if plotly else ""
