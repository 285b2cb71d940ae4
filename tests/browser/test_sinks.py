"""Attention sinks in a real browser: set aside, the colours change, the patch has an outline, and nothing moves."""

from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import Page

from dashboard import keys
from tests.browser.server import Server
from tests.browser.support import chart, click_cell, drawn, hover_cell, nothing_amiss, settled

LINK = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96", "layer": "3", "head": "2"}
LINK |= {"scale": "own", "clip": "100"}  # the colours end at the head's largest weight
PATCH = (3, 6)  # takes most of this head's attention

_OUTLINES = """chart => Array.from(chart.querySelectorAll('.shapelayer path'), path => {
    const {x, y, width, height} = path.getBBox(), {xaxis, yaxis} = chart._fullLayout;
    const middle = (axis, pixels) => axis.p2d(pixels - axis._offset);
    return [middle(yaxis, y + height / 2), middle(xaxis, x + width / 2), width / xaxis._m];
})"""


@pytest.fixture
def open_page(page: Page, server: Server) -> Iterator[Callable[..., Page]]:
    def open_link(**link: str) -> Page:
        page.goto(f"{server.url}/?{urlencode(LINK | link)}")
        return settled(page)

    with nothing_amiss(page):
        yield open_link


def switch(page: Page) -> None:
    page.locator(f".st-key-{keys.SET_ASIDE} button").click()
    settled(page)


def limit(page: Page) -> float:
    return chart(page, keys.OVERLAY).evaluate("chart => chart.data.find(one => one.name === 'attention').zmax")


def top(page: Page, key: str) -> float:
    box = chart(page, key).bounding_box()
    assert box
    return box["y"]


def test_the_switch_outlines_the_sink_and_changes_the_limit_back_undoes_it_and_nothing_moves(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    place = top(page, keys.MOSAIC)
    values = np.array(drawn(page, keys.OVERLAY, "attention")["z"])
    assert limit(page) == pytest.approx(values[PATCH])
    assert chart(page, keys.OVERLAY).evaluate(_OUTLINES) == []
    switch(page)
    assert top(page, keys.MOSAIC) == place
    assert limit(page) == pytest.approx(np.sort(values, axis=None)[-2])
    assert np.array(drawn(page, keys.OVERLAY, "attention")["z"])[PATCH] == values[PATCH]
    outlines = chart(page, keys.OVERLAY).evaluate(_OUTLINES)
    assert outlines == [pytest.approx([*PATCH, 1], abs=0.05)] * 2
    assert "sinks=aside" in page.url
    page.go_back()
    page.wait_for_function("() => !location.search.includes('sinks')")
    settled(page)
    assert limit(page) == pytest.approx(values[PATCH])
    assert top(page, keys.MOSAIC) == place
    for head in ("1", "0", "mean"):  # no sink, one that is no patch, two
        page.locator(f".st-key-{keys.HEAD}").get_by_text(head, exact=True).click()
        settled(page)
        assert top(page, keys.MOSAIC) == place


def test_an_outlined_patch_tells_its_weight_and_can_be_clicked(open_page: Callable[..., Page]) -> None:
    page = open_page(sinks="aside")
    weight = drawn(page, keys.OVERLAY, "attention")["z"][PATCH[0]][PATCH[1]]
    assert f"{weight:.3%}" in (hover_cell(page, chart(page, keys.OVERLAY), *PATCH).text_content() or "")
    click_cell(page, chart(page, keys.OVERLAY), *PATCH)
    mark = drawn(page, keys.OVERLAY, "query")
    assert {*zip(mark["y"], mark["x"], strict=True)} == {PATCH}
