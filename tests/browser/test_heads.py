"""Heads in a real browser: clicks on its charts lead to Explore, links open it by themselves, narrow screens."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from dashboard import keys
from tests.browser.server import Server
from tests.browser.support import TIMEOUT, chart, click_cell, hover_cell, settled

LINK = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
EXPLORE = re.compile(r"^https?://[^/]+/\?")


def open_heads(page: Page, server: Server, **link: str) -> Page:
    page.goto(f"{server.url}/heads?{urlencode(LINK | link)}")
    expect(chart(page, keys.PROFILE)).to_be_visible(timeout=TIMEOUT)
    return settled(page)


def opened(page: Page) -> dict[str, list[str]]:
    """What Explore's address says, once a click has led there."""
    page.wait_for_url(EXPLORE, timeout=TIMEOUT)
    expect(chart(page, keys.OVERLAY)).to_be_visible(timeout=TIMEOUT)
    return parse_qs(urlsplit(settled(page).url).query)


def test_a_click_in_the_map_opens_that_head_in_explore(page: Page, server: Server) -> None:
    open_heads(page, server)
    click_cell(page, chart(page, keys.STATISTIC_MAP), row=3, col=1)
    found = opened(page)
    assert (found["layer"], found["head"]) == (["3"], ["1"])


def test_a_pair_is_named_on_hover_and_opens_the_rows_head_wherever_it_stands(page: Page, server: Server) -> None:
    open_heads(page, server, similar="all", similar_order="number", model="random_vit_base_p16")
    matrix = chart(page, keys.SIMILARITY)
    hover = hover_cell(page, matrix, row=20, col=100)
    expect(hover).to_contain_text("layer 1 · head 8")
    expect(hover).to_contain_text("layer 8 · head 4")
    click_cell(page, matrix, row=20, col=100)
    found = opened(page)
    assert (found["layer"], found["head"]) == (["1"], ["8"])


def test_a_ranked_head_opens_and_the_way_back_keeps_the_page(page: Page, server: Server) -> None:
    open_heads(page, server, ranking="local", statistic="distance_px")
    button = page.locator(f".st-key-{keys.RANKED_HEAD}_0 button").first
    numbers = re.findall(r"\d+", button.inner_text())
    button.click()
    found = opened(page)
    layer = found.get("layer", ["5"])  # the last layer is in no link
    assert [*layer, *found["head"]] == numbers
    page.get_by_role("link", name="Heads").click()
    expect(chart(page, keys.PROFILE)).to_be_visible(timeout=TIMEOUT)
    found = parse_qs(urlsplit(settled(page).url).query)
    assert (found["ranking"], found["statistic"]) == (["local"], ["distance_px"])


def test_the_table_of_pairs_can_be_downloaded(page: Page, server: Server) -> None:
    open_heads(page, server, similar="all")
    with page.expect_download() as download:
        page.locator(f".st-key-{keys.DOWNLOAD_SIMILARITY}").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == f"similarity-{LINK['model']}.csv"
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "layer,head,other_layer,other_head,divergence_bits"
    assert len(lines) == 1 + 24 * 23 / 2


@pytest.mark.parametrize(("width", "shown"), [(400, "none"), (1440, "inline")])
def test_numbers_are_written_into_cells_where_there_is_room_and_nothing_is_cut_off(
    page: Page, server: Server, width: int, shown: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_heads(page, server, model="random_vit_base_p16")
    labels = chart(page, keys.STATISTIC_MAP).locator(".heatmap-label")
    expect(labels).to_have_count(144)
    assert labels.first.evaluate("label => getComputedStyle(label).display") == shown
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
