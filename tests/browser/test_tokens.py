"""Tokens in a real browser: clicks in both panels, one cursor, the layer's slider, zoom, narrow screens."""

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard import keys
from tests.browser.server import Server
from tests.browser.support import TIMEOUT, chart, drawn, nothing_amiss, settled

LINK = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
# Where a cell of a panel lies in the window.
_CELL_IN_PANEL = """(chart, [axis, row, col]) => {
    const box = chart.getBoundingClientRect(), full = chart._fullLayout;
    const [x, y] = [full[`xaxis${axis}`], full[`yaxis${axis}`]];
    return [box.left + x._offset + x.l2p(col), box.top + y._offset + y.l2p(row)];
}"""
_RANGE = "(chart, axis) => [chart._fullLayout[`xaxis${axis}`].range, chart._fullLayout[`yaxis${axis}`].range]"


def open_tokens(page: Page, server: Server, **link: str) -> Page:
    page.goto(f"{server.url}/tokens?{urlencode(LINK | link)}")
    expect(chart(page, keys.TOKEN_MAP)).to_be_visible(timeout=TIMEOUT)
    return settled(page)


def figure(page: Page) -> Locator:
    return chart(page, keys.TOKEN_MAP)


def place(page: Page, axis: str, row: float, col: float) -> tuple[float, float]:
    figure(page).scroll_into_view_if_needed()
    x, y = figure(page).evaluate(_CELL_IN_PANEL, [axis, row, col])
    return x, y


def query_of(page: Page) -> set[tuple[int, int]]:
    trace = drawn(page, keys.TOKEN_MAP, "query")
    return set() if trace is None else set(zip(trace["y"], trace["x"], strict=True))


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def laid_out(page: Page, *, stacked: bool) -> None:
    """Wait until the panels stand so: the browser tells the server how narrow it is."""
    domain = "document.querySelector(`.st-key-${key} .js-plotly-plot`)?.layout?.xaxis2?.domain?.[0]"
    page.wait_for_function(f"([key, stacked]) => ({domain} === 0) === stacked", arg=[keys.TOKEN_MAP, stacked])
    settled(page)


def panels(page: Page) -> list[dict[str, float]]:
    """The boxes of both, the picture's first."""
    return figure(page).evaluate(
        """chart => ['', '2'].map(axis => {
            const x = chart._fullLayout[`xaxis${axis}`], y = chart._fullLayout[`yaxis${axis}`];
            return {left: x._offset, top: y._offset, width: x._length, height: y._length};
        })"""
    )


def test_a_click_in_either_panel_asks_for_what_is_like_that_patch_and_back_leads_to_components(
    page: Page, server: Server
) -> None:
    with nothing_amiss(page):
        open_tokens(page, server)
        for axis, row, col in (("", 4, 6), ("2", 1, 2)):
            page.mouse.click(*place(page, axis, row, col))
            settled(page)
            assert query_of(page) == {(row, col)}
            assert parameters(page)["tokens"] == ["similarity"]
            similarity = drawn(page, keys.TOKEN_MAP, "tokens")
            assert similarity is not None
            assert similarity["z"][row][col] == pytest.approx(1, abs=1e-3)
    for _ in range(2):
        page.go_back()
        settled(page)
    expect(page.get_by_text("First three components explain")).to_be_visible()
    assert query_of(settled(page)) == set()


@pytest.mark.parametrize(("width", "close"), [(640, False), (700, False), (768, False), (769, False), (1440, True)])
def test_no_bar_covers_the_top_of_the_page(page: Page, server: Server, width: int, close: bool) -> None:
    """close: the sidebar."""
    page.set_viewport_size({"width": width, "height": 900})
    open_tokens(page, server)
    if close:
        page.get_by_test_id("stSidebarHeader").hover()
        page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
        expect(page.get_by_test_id("stExpandSidebarButton")).to_be_visible()
    is_on_top = page.get_by_role("button", name="Export").evaluate(
        """button => {
            const {x, y, width} = button.getBoundingClientRect();
            return button.contains(document.elementFromPoint(x + width / 2, y + 2));
        }"""
    )
    assert is_on_top


@pytest.mark.parametrize("view", ["pca", "norms"])
def test_the_first_click_moves_nothing_below_the_map(page: Page, server: Server, view: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    open_tokens(page, server, tokens=view)
    slider = page.locator(f".st-key-{keys.TOKEN_LAYER}")
    before = slider.bounding_box()
    page.mouse.click(*place(page, "", 1, 2))
    expect(page.locator(f".st-key-{keys.RESET_QUERY}")).to_be_visible()
    settled(page)
    assert slider.bounding_box() == before


def test_the_patch_under_the_pointer_is_outlined_in_both_panels(page: Page, server: Server) -> None:
    open_tokens(page, server)
    cursors = page.locator(".cell-cursor")
    for axis in ("", "2"):
        page.mouse.move(*place(page, axis, 2.3, 4.3))
        expect(cursors).to_have_count(2)
        for each, cursor in zip(("", "2"), cursors.all(), strict=True):
            box = cursor.bounding_box()
            assert box is not None
            left, top = place(page, each, 1.5, 3.5)
            right, bottom = place(page, each, 2.5, 4.5)
            corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
            assert corners == pytest.approx((left, top, right, bottom), abs=1.5)
        page.mouse.move(5, 5)
        expect(cursors).to_have_count(0)


def test_the_slider_and_a_click_in_the_profile_choose_the_layer_of_the_map(page: Page, server: Server) -> None:
    open_tokens(page, server, tokens="norms")
    last = drawn(page, keys.TOKEN_MAP, "tokens")
    page.locator(f".st-key-{keys.TOKEN_LAYER}").get_by_role("slider").press("ArrowLeft")
    settled(page)
    assert parameters(page)["token_layer"] == ["4"]
    before = drawn(page, keys.TOKEN_MAP, "tokens")
    assert before != last
    page.mouse.click(*_in_profile(chart(page, keys.TOKEN_PROFILE), 2))
    settled(page)
    assert parameters(page)["token_layer"] == ["2"]
    assert drawn(page, keys.TOKEN_MAP, "tokens") != before


def _in_profile(profile: Locator, layer: int) -> tuple[float, float]:
    profile.scroll_into_view_if_needed()
    x, y = profile.evaluate(
        """(chart, layer) => {
            const box = chart.getBoundingClientRect(), {xaxis, yaxis} = chart._fullLayout;
            return [box.left + xaxis._offset + xaxis.l2p(layer), box.top + yaxis._offset + yaxis._length / 3];
        }""",
        layer,
    )
    return x, y


def test_a_box_zooms_both_panels_and_stays_for_the_next_layer(page: Page, server: Server) -> None:
    open_tokens(page, server)
    page.mouse.move(*place(page, "2", 1, 2))
    page.mouse.down()
    page.mouse.move(*place(page, "2", 3, 4), steps=5)
    page.mouse.up()
    settled(page)
    (across, down), second = (figure(page).evaluate(_RANGE, axis) for axis in ("", "2"))
    assert [across, down] == second
    assert across[1] - across[0] < 4
    page.locator(f".st-key-{keys.TOKEN_LAYER}").get_by_role("slider").press("ArrowLeft")
    settled(page)
    assert figure(page).evaluate(_RANGE, "")[0] == pytest.approx(across)
    page.locator(f".st-key-{keys.TOKEN_RESET_ZOOM} button:visible").click()
    settled(page)
    assert figure(page).evaluate(_RANGE, "")[0] == pytest.approx([-0.5, 7.5])


def test_panels_keep_their_aspect_and_stand_one_below_the_other_where_it_is_narrow(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 400, "height": 900})
    open_tokens(page, server)
    for width, stacked in ((400, True), (1000, False), (1440, False), (400, True)):
        page.set_viewport_size({"width": width, "height": 900})
        laid_out(page, stacked=stacked)
        first, second = panels(page)
        assert (second["top"] > first["top"]) == stacked
        assert (second["left"] > first["left"]) != stacked
        for panel in (first, second):
            assert panel["width"] / panel["height"] == pytest.approx(8 / 6, rel=0.02)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_heads_keys_open_from_explore_and_the_way_back_leads_there(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?{urlencode(LINK | {'layer': '3', 'head': '1'})}")
    expect(chart(page, keys.OVERLAY)).to_be_visible(timeout=TIMEOUT)
    settled(page)
    page.locator(f".st-key-{keys.OPEN_KEYS} button:visible").click()
    expect(figure(page)).to_be_visible(timeout=TIMEOUT)
    found = parameters(settled(page))
    assert (found["facet"], found["token_head"], found["token_layer"]) == (["key"], ["1"], ["3"])
    page.go_back()
    expect(chart(page, keys.OVERLAY)).to_be_visible(timeout=TIMEOUT)
    assert parameters(settled(page))["head"] == ["1"]


def test_the_numbers_can_be_downloaded(page: Page, server: Server) -> None:
    open_tokens(page, server)
    page.locator(f".st-key-{keys.TOKEN_EXPORT} button").first.click()
    with page.expect_download() as download:
        page.locator(f".st-key-{keys.DOWNLOAD_TOKENS} button:visible").click()
    assert download.value.suggested_filename == "pca-tokens-layer-5-demo_vit_p16.npz"
