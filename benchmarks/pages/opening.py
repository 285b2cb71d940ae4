"""What a first visitor waits for: from navigation until the map is painted, beside a minimal page of Streamlit's own.

In a browser context that has nothing of either page, on servers that are warm. Both take turns.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.pages.painted import VIEWPORT
from tests.browser.server import FLAGS, HOW_TO_GET_ONE, find_chromium, running_dashboard
from tests.browser.support import TIMEOUT

MINIMAL = Path(__file__).with_name("minimal.py")
OURS, LEAST = "dashboard", "minimal page"
_SERVERS = {LEAST: str(MINIMAL), OURS: "serve.py"}  # what each runs

# Two frames after the picture of the heatmap is in the chart it has been on the screen.
_WATCH = """
const look = () => {
    const images = [...document.querySelectorAll('.st-key-overlay .heatmaplayer image')];
    const there = images.some(image => image.checkVisibility() && (image.href.baseVal || image.getAttribute('href')));
    if (!there) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => { window.painted = performance.now(); }));
};
look();
"""


def measure_opening(*, repeats: int) -> dict[str, tuple[float, ...]]:
    """Seconds until the map is painted, of each page by its name; SystemExit without a browser."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(HOW_TO_GET_ONE)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {
            name: stack.enter_context(running_dashboard(folder / f"{number}.log", script=script)).url
            for number, (name, script) in enumerate(_SERVERS.items())
        }
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        return _take_turns(browser, urls, repeats)


def _take_turns(browser: Browser, urls: Mapping[str, str], repeats: int) -> dict[str, tuple[float, ...]]:
    """The first visit to each warms its server up, and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    for turn in range(repeats + 1):
        for name, url in urls.items():
            opened = _open(browser, url)
            if turn:
                seconds[name].append(opened)
    return {name: tuple(values) for name, values in seconds.items()}


def _open(browser: Browser, url: str) -> float:
    with browser.new_context(viewport=VIEWPORT) as context:
        page = context.new_page()
        page.add_init_script(_WATCH)
        page.goto(url)
        page.wait_for_function("() => window.painted", timeout=TIMEOUT)
        return page.evaluate("() => window.painted") / 1e3
