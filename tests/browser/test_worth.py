"""An object on Explore in a real browser: a box is dragged around it, and the heads that find it are ranked."""

from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.sync_api import Page

from dashboard import keys
from tests.browser.server import Server
from tests.browser.support import cell_to_pixels, chart, drawn, nothing_amiss, settled


def test_a_box_is_dragged_around_an_object_and_heads_are_ranked_by_it(page: Page, server: Server) -> None:
    with nothing_amiss(page):
        page.goto(f"{server.url}/?picture=scene_1&model=demo_vit_p16&size=96&worth=pointing")
        settled(page)
        overlay = chart(page, keys.OVERLAY)
        page.mouse.move(*cell_to_pixels(overlay, 0.5, 0.5))
        page.mouse.down()
        for row, col in ((1.5, 2.0), (3.5, 4.5)):
            page.mouse.move(*cell_to_pixels(overlay, row, col))
        assert page.locator(".drag-box").is_visible()
        page.mouse.up()
        settled(page)
        box = parse_qs(urlsplit(page.url).query)["object"][0]
        np.testing.assert_allclose(
            [float(edge) for edge in box.split(",")], [1 / 6, 16 / 134, 4 / 6, 80 / 134], atol=0.01
        )
        edge = drawn(page, keys.OVERLAY, "object")
        assert edge is not None
        np.testing.assert_allclose([min(edge["x"]), max(edge["x"])], [0.5, 4.5], atol=0.1)
        assert page.get_by_text("of the map lies in the box").is_visible()
        assert page.locator(f".st-key-{keys.POINTING_RANKING} canvas").first.is_visible()
