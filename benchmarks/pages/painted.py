"""What a person waits for: from a key or a click, in a real browser, until the chart has its new colours."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Locator, Page, TimeoutError, ViewportSize, WebSocket, sync_playwright

from benchmarks.pages.plan import Change, Step, View
from tests.browser.server import FLAGS, HOW_TO_GET_ONE, find_chromium, running_dashboard
from tests.browser.support import TIMEOUT, chart, click_cell, settled

VIEWPORT: ViewportSize = {"width": 1440, "height": 1240}

# What is painted are the heatmaps' pictures, in a chart that is complete and seen. Each new one is noted two frames
# after it was there: by then it has been on the screen. The clock starts at the last key or press.
_WATCH = """([selector, heatmaps]) => {
    const painted = () => {
        const charts = [...document.querySelectorAll(selector)].filter(chart => chart.checkVisibility());
        const images = charts.flatMap(chart => [...chart.querySelectorAll('.heatmaplayer image')]);
        const sources = images.map(image => image.getAttribute('href') ?? image.getAttribute('xlink:href'));
        return sources.length === heatmaps && sources.every(Boolean) ? sources.join() : null;
    };
    const watch = window.watch = {seen: painted(), began: null, ended: null};
    const begin = event => { watch.began = event.timeStamp; watch.ended = null; };
    for (const kind of ['pointerdown', 'keydown']) window.addEventListener(kind, begin, true);
    const look = () => {
        const now = painted();
        if (now !== null && now !== watch.seen) {
            watch.seen = now;
            requestAnimationFrame(() => requestAnimationFrame(() => { watch.ended = performance.now(); }));
        }
        requestAnimationFrame(look);
    };
    look();
}"""
_ENDED = "() => watch.ended !== null"
_MILLISECONDS = "() => watch.ended - watch.began"


@dataclass(frozen=True)
class Painted:
    """Of every repeat: seconds, and bytes that the server sent."""

    seconds: tuple[float, ...]
    sent_bytes: tuple[int, ...]


@dataclass
class Wire:
    """Counts what the server sends to a page."""

    frames: list[int] = field(default_factory=list)

    def listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: self.frames.append(len(payload)))


@contextmanager
def running() -> Iterator[tuple[Browser, str]]:
    """A browser, and the address of a dashboard that runs as `make run` starts it; SystemExit without a browser."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(HOW_TO_GET_ONE)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_dashboard(Path(folder) / "streamlit.log") as server,
        sync_playwright() as playwright,
    ):
        yield playwright.chromium.launch(executable_path=chromium, args=list(FLAGS)), server.url


def paint(page: Page, url: str, view: View, *, repeats: int) -> dict[str, Painted]:
    """By the change's name, in a page of a browser. RuntimeError where a change paints nothing new."""
    wire = Wire()
    page.set_viewport_size(VIEWPORT)
    page.on("websocket", wire.listen)
    page.goto(f"{url}/{view.page}?{urlencode(view.parameters(), doseq=True)}")
    heatmaps = chart(page, view.chart).locator(".heatmaplayer image")
    heatmaps.nth(view.heatmaps - 1).wait_for(state="attached", timeout=2 * TIMEOUT)
    settled(page).evaluate(_WATCH, [f".st-key-{view.chart} .js-plotly-plot", view.heatmaps])
    return {change.name: _paint(page, wire, view, change, repeats) for change in view.changes}


def _paint(page: Page, wire: Wire, view: View, change: Change, repeats: int) -> Painted:
    seconds, sent = [], []
    for turn in range(repeats):
        wire.frames.clear()
        act(page, view, change, change.step(turn))
        try:
            page.wait_for_function(_ENDED, timeout=TIMEOUT)
        except TimeoutError as error:
            raise RuntimeError(f"{view}: {change.name}, turn {turn}, must paint another chart; got none.") from error
        seconds.append(settled(page).evaluate(_MILLISECONDS) / 1e3)
        sent.append(sum(wire.frames))
    return Painted(tuple(seconds), tuple(sent))


def act(page: Page, view: View, change: Change, step: Step) -> None:
    """What a person does to choose a value; its last key or press is what makes the change."""
    if change.kind == "click":
        assert isinstance(step.value, tuple)
        y, x = view.on_axes((step.value[0] * view.size, step.value[1] * view.size))
        click_cell(page, chart(page, change.key), y, x)
        return
    widget = page.locator(f".st-key-{change.key}")
    widget.scroll_into_view_if_needed()
    {"slider": _slide, "select": _select, "segments": _press}[change.kind](page, widget, step)


def _slide(page: Page, slider: Locator, step: Step) -> None:
    """One arrow key towards the value."""
    knob = slider.locator("input")
    knob.focus()
    page.keyboard.press("ArrowRight" if int(step.label) > int(knob.input_value()) else "ArrowLeft")


def _select(page: Page, box: Locator, step: Step) -> None:
    """Type its name first: of a long list the browser has only the options in view."""
    box.locator("input").fill(step.label)
    page.get_by_role("option", name=step.label, exact=True).click()


def _press(_: Page, segments: Locator, step: Step) -> None:
    segments.get_by_role("radio", name=step.label, exact=True).click()
