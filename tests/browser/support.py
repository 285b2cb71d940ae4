"""What browser tests do again and again. `from tests.browser.support import settled`."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Locator, Page

QUIET = 300  # milliseconds without a script run
AFTER_A_RUN = 100  # milliseconds: as much is enough once the run that an input began has come to its end
TIMEOUT = 60_000  # milliseconds

# A click's script run begins a moment after the click, and charts are drawn after it: one look is not enough. What the
# page sends begins a run of its own, or replaces one that goes on, whose end then says nothing. A frame counts for
# at most 50 ms of rest, however long the browser had no time for it.
_IS_QUIET = """([quiet, afterRun]) => {
    const state = () => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState;
    const watch = () => {
        const settling = {rest: 0, ran: false, replaces: false}, send = WebSocket.prototype.send;
        const begin = () => Object.assign(settling, {rest: 0, ran: false});
        for (const input of ['keydown', 'pointerdown', 'pointerup', 'popstate']) addEventListener(input, begin, true);
        WebSocket.prototype.send = function (...message) {
            begin().replaces = state() === 'running';
            return send.apply(this, message);
        };
        const look = () => { if (state() === 'running') settling.ran = !settling.replaces; };
        const options = {subtree: true, attributeFilter: ['data-test-script-state']};
        new MutationObserver(look).observe(document, options);
        return settling;
    };
    const settling = window.settling ??= watch(), now = performance.now();
    const passed = Math.min(now - (settling.looked ?? now), 50);
    settling.looked = now;
    const deaf = '[class*=_events]:not([class*=_cursor_events], .st-key-window_events, :has([data-listens]))';
    const unfinished = `[data-testid=stSkeleton], [data-stale=true], .stPlotlyChart:not(:has(.main-svg)), ${deaf}`;
    if (state() !== 'notRunning' || document.querySelector(unfinished)) { settling.rest = 0; return false; }
    settling.rest += passed;
    if (settling.rest < (settling.ran ? afterRun : quiet)) return false;
    Object.assign(settling, {rest: 0, ran: false, replaces: false});
    return true;
}"""

# Plotly keeps an array that came encoded beside its code; a chart that is being replaced has no data.
TRACE = """(chart, name) => {
    const trace = chart?.data?.find(one => one.name === name);
    const rows = array => Array.from(array, row => ArrayBuffer.isView(row) ? Array.from(row) : row);
    const numbers = array => array && rows(array._inputArray ?? array);
    return trace && Object.fromEntries(['z', 'x', 'y', 'customdata'].map(part => [part, numbers(trace[part])]));
}"""
# The middle of a cell of a heatmap, in units of the axes.
_MIDDLE = """(chart, [name, row, col]) => {
    const {x0, dx, y0, dy} = chart.data.find(one => one.name === name);
    return [y0 + row * dy, x0 + col * dx];
}"""
_CELL_TO_PIXELS = """(chart, [row, col]) => {
    const box = chart.getBoundingClientRect(), {xaxis, yaxis} = chart._fullLayout;
    return [box.left + xaxis._offset + xaxis.l2p(col), box.top + yaxis._offset + yaxis.l2p(row)];
}"""


def opened_by(opener: Page) -> Page:
    """A new page, about:blank. At an address of the same site it runs in the process of the page that opens it."""
    with opener.expect_popup() as popup:
        opener.evaluate("() => { window.open() }")
    popup.value.goto("about:blank")  # into its history, as in every new page
    return popup.value


def settled(page: Page, quiet: int | None = None, timeout: int = TIMEOUT) -> Page:
    """Wait until the app's script has run, its charts are drawn and take clicks, and all stays at rest.

    quiet: milliseconds at rest; None for 300, or 100 after a run that an input has begun.
    """
    page.evaluate("window.settling && Object.assign(window.settling, {rest: 0, looked: undefined})")
    page.wait_for_function(_IS_QUIET, arg=[quiet or QUIET, quiet or AFTER_A_RUN], timeout=timeout)
    return page


def chart(page: Page, key: str) -> Locator:
    """The Plotly chart of the widget with this key."""
    return page.locator(f".st-key-{key} .js-plotly-plot")


def drawn(page: Page, key: str, name: str) -> dict[str, list] | None:
    """A trace of a chart as the browser has it, or None where there is none of this name."""
    return chart(page, key).evaluate(TRACE, name)


@contextmanager
def nothing_amiss(page: Page) -> Iterator[None]:
    """At the end nothing was asked from elsewhere, and the console has no errors."""
    strangers: list[str] = []
    errors: list[str] = []

    def look(message: ConsoleMessage) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("request", lambda request: None if _is_local(request.url) else strangers.append(request.url))
    page.on("console", look)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield
    assert strangers == []
    assert errors == []


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"data", "blob"} or parts.hostname in {"127.0.0.1", "localhost"}


def cell_to_pixels(chart: Locator, row: float, col: float) -> tuple[float, float]:
    """Where the point (row, col) in a chart's own axis units lies in the window: (x, y)."""
    chart.scroll_into_view_if_needed()
    x, y = chart.evaluate(_CELL_TO_PIXELS, [row, col])
    return x, y


def click_map(page: Page, key: str, row: int, col: int, *, wait: bool = True) -> None:
    """Click the middle of a map in a mosaic."""
    click_cell(page, chart(page, key), *middle(page, key, row, col), wait=wait)


def middle(page: Page, key: str, row: int, col: int) -> tuple[float, float]:
    """Where the middle of a map in a mosaic is, (row, col) in units of its axes."""
    y, x = chart(page, key).evaluate(_MIDDLE, ["cells", row, col])
    return y, x


def click_cell(page: Page, chart: Locator, row: float, col: float, *, wait: bool = True) -> None:
    """Click a point of a chart, and wait until what it changes is drawn, if asked to."""
    page.mouse.click(*cell_to_pixels(chart, row, col))
    if wait:
        settled(page)


def tap_cell(page: Page, chart: Locator, row: float, col: float) -> None:
    """The same with a finger."""
    page.touchscreen.tap(*cell_to_pixels(chart, row, col))
    settled(page)


def hover_cell(page: Page, chart: Locator, row: float, col: float) -> Locator:
    """What a chart tells where the pointer is, once it does; Plotly looks again only when the pointer has moved."""
    x, y = cell_to_pixels(chart, row, col)
    page.mouse.move(x - 2, y)
    page.wait_for_timeout(150)
    page.mouse.move(x, y)
    return chart.locator(".hovertext")
