"""Clicks in charts of very many cells, and with a finger, in a real browser."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from dashboard import keys
from tests.browser.server import Server, running_dashboard
from tests.browser.support import (
    TIMEOUT,
    chart,
    click_cell,
    click_map,
    drawn,
    hover_cell,
    middle,
    nothing_amiss,
    settled,
    tap_cell,
)
from tests.dashboard.checkpoints import state_dict

SMALL = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
MANY_PATCHES = {"picture": "astronaut", "model": "file:fine.pth@2", "size": "320"}
MANY_HEADS = {"picture": "scene_1", "model": "file:deep.pth@32", "size": "96"}
DEPTH, HEADS = 40, 32
# Taken in the browser: all 1.6 million numbers would take longer to come than the page to draw them.
_DIAGONAL = """(chart, name) => {
    const {z} = chart.data.find(one => one.name === name);
    return Array.from(z._inputArray ?? z, (row, place) => row[place]);
}"""
SLOW = 3 * TIMEOUT  # milliseconds: an analysis of many patches, or heads


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard with random models of small patches, and of many layers and heads."""
    root = tmp_path_factory.mktemp("large")
    torch.save(state_dict(patch=3, depth=2), root / "fine.pth")
    torch.save(state_dict(depth=DEPTH, heads=HEADS, dim=4 * HEADS), root / "deep.pth")
    with running_dashboard(root / "log", {"VIT_ENGINE_CHECKPOINTS": str(root)}) as server:
        yield server


def opened(page: Page, server: Server, path: str, link: dict[str, str], **more: str) -> Page:
    page.goto(f"{server.url}/{path}?{urlencode(link | more)}")
    page.locator(".stPlotlyChart").first.wait_for(timeout=SLOW)
    return settled(page, timeout=SLOW)


def link_of(page: Page) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_of_more_than_a_hundred_by_a_hundred_patches_each_takes_clicks(page: Page, large: Server) -> None:
    with nothing_amiss(page):
        opened(page, large, "", MANY_PATCHES)
        overlay = chart(page, keys.OVERLAY)
        values = drawn(page, keys.OVERLAY, "attention")["z"]
        rows, cols = len(values), len(values[0])
        assert min(rows, cols) >= 100
        for row, col in ((61, 83), (rows - 1, cols - 1)):
            expect(hover_cell(page, overlay, row, col)).to_contain_text(f"row {row}, col {col}")
            click_cell(page, overlay, row, col)
            mark = drawn(page, keys.OVERLAY, "query")
            assert (set(mark["y"]), set(mark["x"])) == ({row}, {col})
            expect(page.get_by_text(f"patch row {row}, col {col}")).to_be_visible()


def opened_head(page: Page) -> tuple[str, str]:
    """Layer and head that Explore shows, once a click has led there."""
    page.locator(f".st-key-{keys.OVERLAY} .main-svg").first.wait_for(timeout=SLOW)
    assert "similar" not in link_of(settled(page, timeout=SLOW))
    return link_of(page).get("layer", str(DEPTH - 1)), link_of(page)["head"]  # the last layer is in no link


def test_each_of_1280_heads_is_told_and_opens_from_its_statistic_and_from_the_mosaic(page: Page, large: Server) -> None:
    with nothing_amiss(page):
        opened(page, large, "heads", MANY_HEADS)
        figure = chart(page, keys.STATISTIC_MAP)
        expect(hover_cell(page, figure, 17, 3)).to_contain_text("layer 17 · head 3")
        click_cell(page, figure, 39, 31)
        assert opened_head(page) == ("39", "31")
        click_map(page, keys.MOSAIC, 7, 19)
        assert opened_head(page) == ("7", "19")


def test_each_pair_of_1280_heads_is_told_and_opens_the_rows_head(page: Page, large: Server) -> None:
    """There are several heads in a pixel: what hover tells is what a click opens."""
    with nothing_amiss(page):
        opened(page, large, "heads", MANY_HEADS, similar="all", similar_order="number")
        figure = chart(page, keys.SIMILARITY)
        assert figure.evaluate(_DIAGONAL, "divergence") == [0] * DEPTH * HEADS
        for row, col in ((1279, 1279), (600, 1200)):
            hover = hover_cell(page, figure, row, col)
            expect(hover).to_contain_text(f"layer {col // HEADS} · head")
            layer, head, *_ = re.findall(r"\d+", hover.text_content() or "")
            assert abs(int(layer) * HEADS + int(head) - row) <= 3
        click_cell(page, figure, row, col)
        assert opened_head(page) == (layer, head)


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page that is touched."""
    page = browser.new_page(has_touch=True, viewport={"width": 400, "height": 800})
    with nothing_amiss(page):
        yield page
    page.close()


def test_a_finger_asks_a_patch_and_opens_heads(phone: Page, server: Server) -> None:
    opened(phone, server, "", SMALL)
    tap_cell(phone, chart(phone, keys.OVERLAY), 2, 5)
    mark = drawn(phone, keys.OVERLAY, "query")
    assert (set(mark["y"]), set(mark["x"])) == ({2}, {5})
    tap_cell(phone, chart(phone, keys.MOSAIC), *middle(phone, keys.MOSAIC, 3, 1))
    assert (link_of(phone)["layer"], link_of(phone)["head"]) == ("3", "1")
    tap_cell(phone, chart(phone, keys.HEAD_GRID), *middle(phone, keys.HEAD_GRID, 1, 0))
    assert link_of(phone)["head"] == "2"


def test_a_finger_opens_a_head_from_the_page_heads(phone: Page, server: Server) -> None:
    opened(phone, server, "heads", SMALL)
    tap_cell(phone, chart(phone, keys.STATISTIC_MAP), 2, 3)
    phone.locator(f".st-key-{keys.OVERLAY} .main-svg").first.wait_for(timeout=TIMEOUT)
    settled(phone)
    assert (link_of(phone)["layer"], link_of(phone)["head"]) == ("2", "3")


def test_a_finger_asks_all_panes(phone: Page, server: Server) -> None:
    opened(phone, server, "compare", {"picture": "scene_1", "size": "96", "pane": "demo_vit_p16:2:1"})
    tap_cell(phone, chart(phone, keys.COMPARISON), 40, 88)
    y, x = map(float, link_of(phone)["query"].split(","))
    assert (y * 96, x * 134) == pytest.approx((40, 88), abs=1)
