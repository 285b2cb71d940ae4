"""Slow connections and busy machines, to type faster than the server answers."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.browser.support import TIMEOUT

LAG = 400  # milliseconds until what the server says gets to the page
SPINNERS = 1  # processes that keep a core busy each

# What comes over the page's websockets goes through `deliver`, a function of (what hands a message on); what the page
# sends goes out at once.
_THROUGH = """(() => {
    const deliver = %s;
    const through = (listener) => function (event) { deliver(() => listener.call(this, event)); };
    const add = WebSocket.prototype.addEventListener;
    WebSocket.prototype.addEventListener = function (type, listener, options) {
        return add.call(this, type, type === 'message' ? through(listener) : listener, options);
    };
    const handler = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    Object.defineProperty(WebSocket.prototype, 'onmessage', {
        ...handler, set(listener) { handler.set.call(this, listener && through(listener)); },
    });
})()"""
_LATE = "hand => setTimeout(hand, %d)"  # in their order
_HELD = "hand => window.held ? window.held.push(hand) : hand()"
_RELEASE = "() => { const held = window.held; window.held = null; held.forEach(hand => hand()); }"


def lagging(page: Page, milliseconds: int = LAG) -> Page:
    """A page that is not opened yet, with a slow way from the server."""
    page.add_init_script(_THROUGH % (_LATE % milliseconds))
    return page


class Connection:
    """The way from the server to a page that is not opened yet; it can be held up.

    Playwright sees messages when they come to the browser, also where the page does not get them yet.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._messages: list[ForwardMsg] = []
        page.add_init_script(_THROUGH % _HELD)
        page.on("websocket", lambda socket: socket.on("framereceived", self._receive))

    def _receive(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self._messages.append(ForwardMsg.FromString(frame))

    def hold(self) -> None:
        """Keep messages from the page from now on."""
        self._page.evaluate("window.held = []")
        self._messages.clear()

    def release(self) -> None:
        """Let the page have what was held up, and all that comes."""
        self._page.evaluate(_RELEASE)

    def wait_for_finished_run(self) -> None:
        """Wait until the server has said, since hold(), that a run came to its end."""
        deadline = time.monotonic() + TIMEOUT / 1000
        while not any(message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY for message in self._finished()):
            assert time.monotonic() < deadline, "no run was finished"
            self._page.wait_for_timeout(50)

    def _finished(self) -> list[ForwardMsg]:
        return [message for message in self._messages if message.WhichOneof("type") == "script_finished"]


@contextmanager
def busy_machine() -> Iterator[None]:
    """The machine has other things to do."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(SPINNERS)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
