"""Slow connections and busy machines, to type faster than the server answers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

LAG = 400  # milliseconds until what the server says gets to the page
SPINNERS = 1  # processes that keep a core busy each

# Messages are handed on later, in their order; what the page sends goes out at once.
_LATE = """(() => {
    const late = (listener) => function (event) { setTimeout(() => listener.call(this, event), %d); };
    const add = WebSocket.prototype.addEventListener;
    WebSocket.prototype.addEventListener = function (type, listener, options) {
        return add.call(this, type, type === 'message' ? late(listener) : listener, options);
    };
    const handler = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    Object.defineProperty(WebSocket.prototype, 'onmessage', {
        ...handler, set(listener) { handler.set.call(this, listener && late(listener)); },
    });
})()"""


def lagging(page: Page, milliseconds: int = LAG) -> Page:
    """A page that is not opened yet, with a slow way from the server."""
    page.add_init_script(_LATE % milliseconds)
    return page


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
