"""The large map is painted before the rest of the page is drawn; the rest comes whatever becomes of the map."""

import json

from playwright.sync_api import Page, Route

from tests.browser.server import Server
from tests.browser.support import chart, settled

SMALL = "/?picture=scene_1&model=demo_vit_p16&size=96"
MAP = ".st-key-overlay .heatmaplayer image"
OTHERS = (".st-key-mosaic .main-svg", ".st-key-head_grid .main-svg", ".st-key-head_statistics")
# What of the page is there when the map's picture is.
_WATCH = """([map, others]) => {
    new MutationObserver((_, observer) => {
        if (!document.querySelector(map)) return;
        window.besideMap = others.filter(selector => document.querySelector(selector));
        observer.disconnect();
    }).observe(document, {subtree: true, childList: true});
}"""


def test_the_map_is_painted_before_the_rest_of_the_page_is_there(page: Page, server: Server) -> None:
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
