"""Explore in a real browser: clicks on charts, the address bar, narrow screens, and nothing from elsewhere."""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, TimeoutError

import vit_engine as ve
from dashboard import keys
from dashboard.services import pictures
from tests.browser.server import Server
from tests.browser.support import TRACE, chart, click_cell, click_map, drawn, nothing_amiss, settled

LINK = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
LAST = 5
CLOSE = {"rtol": 1e-4, "atol": 1e-7}

_DRAWS = f"""([selector, values]) => {{
    const drawn = ({TRACE})(document.querySelector(selector), 'attention')?.z.flat();
    const close = (value, at) => Math.abs(drawn[at] - value) <= {CLOSE["atol"]} + {CLOSE["rtol"]} * Math.abs(value);
    return drawn?.length === values.length && values.every(close);
}}"""


@functools.cache
def engine_trace() -> ve.AttentionTrace:
    """What the engine says about the view of LINK."""
    loaded = ve.load_model(LINK["model"])
    picture = ve.open_image(pictures.sample_picture(LINK["picture"]).data)
    return ve.attend(loaded, ve.prepare_image(picture, loaded.spec, size=int(LINK["size"])))


@pytest.fixture
def open_page(page: Page, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens the app by a link; at the end nothing was asked from elsewhere, and the console has no errors."""

    def open_link(**link: str) -> Page:
        page.goto(f"{server.url}/?{urlencode(LINK | link)}")
        return settled(page)

    with nothing_amiss(page):
        yield open_link


def link_of(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def assert_shows(
    page: Page, *, layer: int = LAST, head: int | str = "mean", query: str | tuple[int, int] = "cls"
) -> None:
    """The large map becomes what the engine says, and stays so once the page is at rest; the query is marked."""
    expected = engine_trace().attention_map(layer, head, query).values
    wanted = [f".st-key-{keys.OVERLAY} .js-plotly-plot", expected.ravel().tolist()]
    with contextlib.suppress(TimeoutError):  # the comparison below says more
        page.wait_for_function(_DRAWS, arg=wanted)
    drawn_trace = drawn(settled(page), keys.OVERLAY, "attention")
    assert drawn_trace
    np.testing.assert_allclose(drawn_trace["z"], expected, **CLOSE)
    mark = drawn(page, keys.OVERLAY, "query")
    assert (set(zip(mark["y"], mark["x"], strict=True)) if mark else "cls") == (query if query == "cls" else {query})


def test_the_page_opens_on_a_heatmap(page: Page, server: Server) -> None:
    page.goto(server.url)
    settled(page)
    values = np.array(drawn(page, keys.OVERLAY, "attention")["z"])
    assert values.size > 1
    assert values.max() > values.min() >= 0
    assert link_of(page) == {}


def test_a_click_on_a_patch_shows_where_it_attends_marks_it_and_stands_in_the_link(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    assert_shows(page)
    click_cell(page, chart(page, keys.OVERLAY), 2, 5)
    assert_shows(page, query=(2, 5))
    assert "query" in link_of(page)
    page.reload()
    assert_shows(page, query=(2, 5))


def test_clicks_anywhere_in_a_patch_are_clicks_on_it_and_the_same_patch_can_be_clicked_again(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    for row, col in ((0, 0), (5, 7)):
        inwards = 0.4 if row else -0.4
        click_cell(page, chart(page, keys.OVERLAY), row + inwards, col + inwards)
        assert_shows(page, query=(row, col))
    for _ in range(3):  # a second click keeps it, and a third one too
        click_cell(page, chart(page, keys.OVERLAY), 4, 1)
        assert_shows(page, query=(4, 1))
    page.locator(f".st-key-{keys.RESET_QUERY} button").click()
    assert_shows(page)
    click_cell(page, chart(page, keys.OVERLAY), 4, 1)
    assert_shows(page, query=(4, 1))


def test_a_click_in_the_grid_opens_that_head_again_and_again(open_page: Callable[..., Page]) -> None:
    page = open_page(layer="2")
    for head in (3, 1, 3):
        click_map(page, keys.HEAD_GRID, *divmod(head, 2))
        assert_shows(page, layer=2, head=head)
        assert link_of(page)["head"] == str(head)
    page.locator(f".st-key-{keys.HEAD}").get_by_text("mean", exact=True).click()
    assert_shows(page, layer=2)
    click_map(page, keys.HEAD_GRID, 1, 1)  # it was left by another control
    assert_shows(page, layer=2, head=3)


def test_a_click_in_the_mosaic_opens_that_layer_and_head_again_and_again(open_page: Callable[..., Page]) -> None:
    page = open_page(query="0.4,0.7")
    for layer, head in ((1, 2), (LAST, 0), (1, 2), (LAST, 2)):
        click_map(page, keys.MOSAIC, layer, head)
        assert_shows(page, layer=layer, head=head, query=(2, 5))
        assert link_of(page)["head"] == str(head)
    click_map(page, keys.HEAD_GRID, 0, 0)
    assert_shows(page, head=0, query=(2, 5))
    click_map(page, keys.MOSAIC, LAST, 2)  # it was left by another chart
    assert_shows(page, head=2, query=(2, 5))
    click_map(page, keys.HEAD_GRID, 0, 0)
    assert_shows(page, head=0, query=(2, 5))


def test_a_reload_shows_the_same_view(open_page: Callable[..., Page]) -> None:
    page = open_page(layer="3", head="1", query="0.4,0.7", opacity="30", view="beside", scale="own", clip="95")
    before, link = drawn(page, keys.OVERLAY, "attention"), link_of(page)
    page.reload()
    assert drawn(settled(page), keys.OVERLAY, "attention") == before
    assert_shows(page, layer=3, head=1, query=(2, 5))
    assert link_of(page) == link


def test_the_guide_and_back_keeps_the_view(open_page: Callable[..., Page]) -> None:
    page = open_page(layer="3", head="1")
    click_cell(page, chart(page, keys.OVERLAY), 4, 1)
    link = link_of(page)
    page.get_by_role("link", name="Guide").click()
    page.get_by_role("heading", name="Guide").wait_for()
    settled(page).get_by_role("link", name="Explore").click()
    page.wait_for_url(lambda url: "query" in url)
    assert_shows(page, layer=3, head=1, query=(4, 1))
    assert link_of(page) == link


def test_the_download_is_the_table_of_all_heads(open_page: Callable[..., Page]) -> None:
    page = open_page(layer="3")
    with page.expect_download() as download:
        page.locator(f".st-key-{keys.DOWNLOAD_STATISTICS}").get_by_role("button", name="CSV").click()
    frame = pd.read_csv(io.BytesIO(download.value.path().read_bytes()))
    pd.testing.assert_frame_equal(frame, engine_trace().statistics.to_frame(), check_dtype=False, rtol=1e-3, atol=1e-4)
    assert download.value.suggested_filename == f"heads-{LINK['model']}.csv"


@pytest.mark.parametrize("view", ["over", "beside"])
def test_on_a_narrow_screen_nothing_overflows_and_the_map_keeps_its_aspect(
    page: Page, open_page: Callable[..., Page], view: str
) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    open_page(view=view)
    wide, visible = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= visible
    inner = page.evaluate(
        "(main => [main.scrollWidth, main.clientWidth])(document.querySelector('[data-testid=stMain]'))"
    )
    assert inner[0] <= inner[1]
    assert_patches_are_square(page)
    if view == "over":
        assert_keeps_its_aspect(page)


@pytest.mark.parametrize("width", [900, 1500])
def test_the_map_keeps_its_aspect_at_every_width(page: Page, open_page: Callable[..., Page], width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_page()
    assert_patches_are_square(page)
    assert_keeps_its_aspect(page)


def assert_keeps_its_aspect(page: Page) -> None:
    box = chart(page, keys.OVERLAY).bounding_box()
    assert box["width"] / box["height"] == pytest.approx(128 / 96, rel=0.02)


def assert_patches_are_square(page: Page) -> None:
    """Within 2 %."""
    high, wide = chart(page, keys.OVERLAY).evaluate(
        "({_fullLayout: {xaxis, yaxis}}) => [yaxis.d2p(1) - yaxis.d2p(0), xaxis.d2p(1) - xaxis.d2p(0)]"
    )
    assert wide / high == pytest.approx(1, rel=0.02)
    assert wide > 20
