"""The parts of Streamlit's page that the dashboard draws with, named in the document for the browser to fetch at once.

Streamlit loads the code of a chart or a widget when the first one comes, one round trip after another, and Plotly's is
the largest. Fetched beside the page's own code it is there when the chart is.
"""

import re
from collections.abc import Iterator
from pathlib import Path

# Modules of Streamlit's elements, in the order in which a page wants them.
ELEMENTS = (
    "PlotlyChart",
    "BidiComponent",
    "Html",
    "ButtonGroup",
    "Selectbox",
    "Slider",
    "NumberInput",
    "DownloadButton",
    "DataFrame",
)
# Plotly's module takes a third of a second to run: in the time in which the page waits for the server's first answer.
_RUN_EARLY = """
(() => {
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...address) {
      super(...address);
      window.WebSocket = Socket;
      this.addEventListener("open", () => import("./static/js/%s"), { once: true });
    }
  };
})();
"""
_IMPORTED = re.compile(rb'(?:from|import)\s*"\./([\w.-]+\.js)"')
_HEAD = 20_000  # bytes of a module that hold its imports


def preload_links(static: Path) -> bytes:
    """Links for the head of Streamlit's document. static: its folder; without a module of an element, none for it."""
    document, folder = (static / "index.html").read_bytes(), static / "static" / "js"
    modules = dict.fromkeys(name for element in ELEMENTS for name in _needed(folder, element))
    links = [
        f'<link rel="modulepreload" crossorigin href="./static/js/{name}">'
        for name in modules
        if name.encode() not in document
    ]
    first = next(_needed(folder, ELEMENTS[0]), "")
    links.append(f"<script>{_RUN_EARLY % first}</script>")
    return "".join(links).encode()


def _needed(folder: Path, element: str) -> Iterator[str]:
    """The module of an element, and those that it imports, each once."""
    waiting, seen = [path.name for path in folder.glob(f"{element}.*.js")], set()
    while waiting:
        name = waiting.pop(0)
        if name in seen or not (folder / name).exists():
            continue
        seen.add(name)
        yield name
        with (folder / name).open("rb") as file:
            waiting += [found.decode() for found in _IMPORTED.findall(file.read(_HEAD))]
