"""Methods beyond attention in a real browser: a box on the map is the query, a class is chosen by its name."""

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

import vit_engine as ve
from dashboard import keys
from dashboard.services import pictures
from tests.browser.server import Server
from tests.browser.support import cell_to_pixels, chart, drawn, nothing_amiss, settled
from tests.dashboard.support import small_trace
from vit_engine.image import with_short_side
from vit_engine.registry import find_model

SMALL = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
CLASSES = find_model(SMALL["model"]).class_names


@pytest.fixture
def open_page(page: Page, server: Server) -> Iterator[Callable[..., Page]]:
    def open_link(**link: str) -> Page:
        page.goto(f"{server.url}/?{urlencode(SMALL | link)}")
        return settled(page)

    with nothing_amiss(page):
        yield open_link


def link_of(page: Page) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


def choose(page: Page, key: str, typed: str) -> None:
    """The first option of a select box that has this text."""
    box: Locator = page.locator(f".st-key-{key} input")
    box.click()
    box.fill(typed)
    page.get_by_role("option").first.click()
    settled(page)


def attention(page: Page) -> np.ndarray:
    return np.array(drawn(page, keys.OVERLAY, "attention")["z"])


def test_a_box_that_is_dragged_is_the_query_and_is_outlined_until_it_is_taken_back(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(layer="3")
    whole = attention(page)
    page.mouse.move(*cell_to_pixels(chart(page, keys.OVERLAY), 4, 5))
    page.mouse.down()
    page.mouse.move(*cell_to_pixels(chart(page, keys.OVERLAY), 2, 3), steps=5)
    page.mouse.move(*cell_to_pixels(chart(page, keys.OVERLAY), 1, 2), steps=5)
    expect(page.locator(".drag-box")).to_have_count(1)
    page.mouse.up()
    settled(page)
    expect(page.locator(".drag-box")).to_have_count(0)
    expect(page.get_by_text("region of rows 1–4, cols 2–5")).to_be_visible()
    expected = small_trace().attention_map(3, query=(1, 2, 4, 5)).values
    np.testing.assert_allclose(attention(page), expected, rtol=1e-3)
    height, width = with_short_side(pictures.sample_picture(SMALL["picture"]).shape, 96)
    edges = 16 / height, 32 / width, 80 / height, 96 / width
    assert [float(side) for side in link_of(page)["query"].split(",")] == pytest.approx(edges, abs=1e-4)
    shapes = chart(page, keys.OVERLAY).evaluate(
        "chart => chart.layout.shapes.map(({x0, y0, x1, y1}) => [y0, x0, y1, x1])"
    )
    assert shapes == [[0.5, 1.5, 4.5, 5.5]] * 2
    page.locator(f".st-key-{keys.RESET_QUERY} button").click()
    settled(page)
    np.testing.assert_allclose(attention(page), whole)


def test_a_class_is_chosen_by_its_name_and_layer_and_head_come_back_with_attention(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(layer="3", head="2", method="legrad")
    expect(page.locator(f".st-key-{keys.LAYER}, .st-key-{keys.HEAD}")).to_have_count(0)
    other = CLASSES[-1]
    choose(page, keys.TARGET_CHOICE, other)
    number = CLASSES.index(other)
    expect(page.get_by_text(f"Target: class {number}, {other}")).to_be_visible()
    assert link_of(page)["target"] == str(number)
    picture = pictures.sample_picture(SMALL["picture"]).open()
    expected = ve.explain(SMALL["model"], picture, size=96, method="legrad", target=number).values
    np.testing.assert_allclose(attention(page), expected, rtol=1e-3, atol=1e-6)
    choose(page, keys.METHOD, "Raw attention")
    assert (link_of(page)["layer"], link_of(page)["head"]) == ("3", "2")
    np.testing.assert_allclose(attention(page), small_trace().attention_map(3, 2).values, rtol=1e-3)
    expect(page.locator(f".st-key-{keys.LAYER} [data-testid=stSliderThumbValue]")).to_have_text("3")
