"""Middleware that has the page know where its server is, and make one entry of the browser's history a choice.

Streamlit's page asks at /compare/_stcore/health first, and then at /_stcore/health: two requests that fail, and two
errors in the console, at each direct load of a page. Where `window.__streamlit` names the server, it asks there.

It also makes two entries of a change of page: a bare address, and what the page's first run writes. In a busy browser
the latter comes first, and at the old page's path. The second takes the first one's place here. And after a step back,
what comes late from a run before would be written over the entry that the browser went to, or take the place of those
ahead. So an entry that was made stays as it is, and no other is made until somebody chooses something.
"""

from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from dashboard import keys
from dashboard.server.first_paint import first_paint_script
from dashboard.server.responses import header_values

# Pages are one level below the root, wherever a proxy has put that: their folder is the root.
_SERVER = 'window.__streamlit = { BACKEND_BASE_URL: new URL("./", location.href).href };'
_HISTORY = """
(() => {
  const push = history.pushState.bind(history), replace = history.replaceState.bind(history);
  const written = () => document.querySelector(".st-key-%s");  // stands on a page once that has written its address
  let entered = true, left = null;  // whether the page is new, and this of the page before, which may stay for a while
  let presses = 0;  // since an address came: what comes after two of them may answer the first
  let early = null;  // parameters that came after one: perhaps of a page whose path is to come
  let stepped = false;  // whether the browser went back or forward, and nobody has chosen anything since
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { presses += 1; early = null; }, true);
  for (const kind of ["click", "input", "popstate"]) addEventListener(kind, () => { early = null; }, true);
  for (const kind of ["pointerdown", "keydown", "click", "input", "change", "wheel", "drop"])
    addEventListener(kind, () => { stepped = false; }, {capture: true, passive: true});
  addEventListener("popstate", () => { stepped = true; }, true);
  history.pushState = (state, title, url) => {
    const before = location.href, target = new URL(url ?? before, before);
    const elsewhere = target.pathname !== location.pathname;
    if (stepped && !elsewhere) return location.search ? undefined : replace(state, title, target.href);
    const completes = entered && !elsewhere && (!written() || written() === left);
    const follows = elsewhere && early;
    if (elsewhere) left = written();
    if (follows) target.search = location.search;
    if (follows && early.completed) replace(state, title, early.before);  // of the page that is left, and has none
    (completes || (follows && !early.completed) ? replace : push)(state, title, target.href);
    entered = elsewhere && !follows;
    early = !elsewhere && presses < 2 ? {before, completed: completes} : null;
    presses = 0;
  };
  history.replaceState = () => {};
})();
"""
_FIRST_PAINT = first_paint_script(Path(streamlit.__file__).parent / "static")
SCRIPT = f"<script>{_SERVER}{_HISTORY % keys.ADDRESS_SEEN}{_FIRST_PAINT}</script>".encode()
_BEFORE = b'<script type="module"'
_CONDITIONS = {b"accept-encoding", b"if-none-match", b"if-modified-since", b"if-range", b"range"}


class ServerInPage:
    """Adds SCRIPT to Streamlit's page, before the script that looks for its server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and _wants_page(scope):
            headers = [(name, value) for name, value in scope["headers"] if name not in _CONDITIONS]
            await self._app({**scope, "headers": headers}, receive, _Rewriter(send).send)
        else:
            await self._app(scope, receive, send)


def _wants_page(scope: Scope) -> bool:
    """Whether a browser asks for a page: nothing that is deeper than one is Streamlit's own document."""
    base = config.get_option("server.baseUrlPath").strip("/")
    path = scope["path"].strip("/").removeprefix(base).strip("/")
    return "/" not in path and any("text/html" in value for value in header_values(scope, b"accept"))


class _Rewriter:
    """Holds a page back until it is whole; sends everything else as it comes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_page(self._start)

    async def _send_page(self, start: Message) -> None:
        body = self._body.replace(_BEFORE, SCRIPT + _BEFORE, 1)
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["content-length"] = str(len(body))
        for name in ("etag", "last-modified", "accept-ranges"):  # of the file as it was
            del headers[name]
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _is_page(message: Message) -> bool:
    headers = Headers(raw=message["headers"])
    return message["status"] == 200 and headers.get("content-type", "").startswith("text/html")
