"""The large map is painted before the rest of the page is drawn; the rest comes whatever becomes of the map."""

import json

from playwright.sync_api import Page, Route

from dashboard.server.first_paint import TICK
from tests.browser.server import Server
from tests.browser.support import chart, settled

SMALL = "/?picture=scene_1&model=demo_vit_p16&size=96"
MAP = ".st-key-overlay .heatmaplayer image"
OTHERS = (".st-key-mosaic .main-svg", ".st-key-head_grid .main-svg", ".st-key-head_statistics")
# A slow computer: the page is busy for longer than messages are held when the map's place is there. The limits count
# the time in which it was not; they are ten times as long here, so that none ends the wait on a machine under load.
_SLOW = """([place, tick]) => {
    const every = window.setInterval;
    window.setInterval = (then, pause, ...rest) => every(then, pause === tick ? 10 * tick : pause, ...rest);
    new MutationObserver((_, observer) => {
        if (!document.querySelector(place)) return;
        observer.disconnect();
        for (const start = performance.now(); performance.now() < start + 4500;);
    }).observe(document, {subtree: true, childList: true});
}"""
# What of the page is there when the map's picture is.
_WATCH = """([map, others]) => {
    new MutationObserver((_, observer) => {
        if (!document.querySelector(map)) return;
        window.besideMap = others.filter(selector => document.querySelector(selector));
        observer.disconnect();
    }).observe(document, {subtree: true, childList: true});
}"""


def test_the_map_is_painted_before_the_rest_of_the_page_on_a_slow_computer_too(page: Page, server: Server) -> None:
    page.add_init_script(f"({_SLOW})({json.dumps(['.st-key-overlay', TICK])})")
    page.add_init_script(f"({_WATCH})({json.dumps([MAP, OTHERS])})")
    page.goto(server.url + SMALL)
    settled(page)
    assert page.evaluate("window.besideMap") == []
    for selector in OTHERS:
        assert page.locator(selector).first.is_visible()


def test_a_map_that_is_never_painted_does_not_keep_the_rest(page: Page, server: Server) -> None:
    def without_plotly(route: Route) -> None:
        route.abort() if "PlotlyChart" in route.request.url else route.continue_()

    page.route("**/*.js", without_plotly)
    page.goto(server.url + SMALL)
    page.locator(".st-key-head_statistics").wait_for()
    assert chart(page, "overlay").count() == 0
