"""The page of a comparison, opened from its file in a real browser that reaches nothing else."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.vit_engine.report.builders import FRAME, PANES, SIZE, STATISTIC, a_picture, compared
from vit_engine.analysis.comparison import Comparison
from vit_engine.report.bundle import files
from vit_engine.report.panels import Panel, panels
from vit_engine.report.style import Style

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
FIGURE = "#comparison"

_AXES = """figure => ['', '2', '3'].map(
    axis => [figure._fullLayout['xaxis' + axis].range, figure._fullLayout['yaxis' + axis].range])"""
_POINT = """(figure, [axis, y, x]) => {
    const box = figure.getBoundingClientRect(), layout = figure._fullLayout;
    const [across, down] = [layout['xaxis' + axis], layout['yaxis' + axis]];
    return [box.left + across._offset + across.d2p(x), box.top + down._offset + down.d2p(y)];
}"""
_VALUES = """figure => figure.data.filter(trace => trace.name.startsWith('attention')).map(trace => {
    const z = trace.z._inputArray ?? trace.z;
    return Array.from(z, row => ArrayBuffer.isView(row) ? Array.from(row) : row);
})"""


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compared(*PANES, picture=a_picture(), reference="B", keep=0.5)


@pytest.fixture
def opened(page: Page, comparison: Comparison, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Writes the page, opens it, and at the end the console has no errors and nothing else was asked for."""
    path = tmp_path / "comparison.html"
    errors: list[str] = []
    asked: list[str] = []

    def guard(route: Route) -> None:
        asked.append(route.request.url)
        if route.request.url == path.as_uri():
            route.continue_()
        else:
            route.abort()

    page.route("**/*", guard)
    page.on("console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: errors.append(str(error)))

    def open_it(look: Style = Style(), *, drawn: tuple[Panel, ...] | None = None, link: str = "") -> Page:  # noqa: B008
        options = {"picture": a_picture(), "size": SIZE, "statistic": STATISTIC, "all_layers": False}
        path.write_bytes(files(comparison, look, **options, drawn=drawn, link=link)["comparison.html"])
        page.goto(path.as_uri())
        page.locator(f"{FIGURE} .main-svg").first.wait_for()
        return page

    yield open_it
    assert errors == []
    assert set(asked) == {path.as_uri()}


def test_the_maps_are_drawn_and_the_tables_are_there(opened: Callable[..., Page], comparison: Comparison) -> None:
    page = opened()
    for values, one in zip(page.locator(FIGURE).evaluate(_VALUES), comparison.results, strict=True):
        np.testing.assert_allclose(values, one.map.values, rtol=1e-6)
    assert page.title() == "Attention compared: Demo ViT /8, Demo ViT /16, Random ViT-Ti/16"
    assert page.get_by_role("columnheader", name="JSD (bits)").is_visible()
    assert page.get_by_text("RANDOM WEIGHTS").count() == 1


def test_zooming_one_pane_zooms_all_and_a_double_click_shows_all_again(opened: Callable[..., Page]) -> None:
    page = opened()
    figure = page.locator(FIGURE)
    whole = figure.evaluate(_AXES)
    assert whole == [[[0, FRAME[1]], [FRAME[0], 0]]] * 3
    (left, top), (right, bottom) = (figure.evaluate(_POINT, ["2", *place]) for place in ((16, 24), (64, 92)))
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=3)
    page.mouse.move(right, bottom, steps=3)
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('{FIGURE}')._fullLayout.xaxis.range[0] > 1")
    zoomed = figure.evaluate(_AXES)
    assert zoomed[0] == zoomed[1] == zoomed[2]
    (x0, x1), (y1, y0) = zoomed[0]
    assert (x0, x1) == pytest.approx((24, 92), abs=2)
    assert (y0 + y1) / 2 == pytest.approx(40, abs=2)
    x, y = figure.evaluate(_POINT, ["3", 40, 60])
    page.mouse.dblclick(x, y)
    page.wait_for_function(f"document.querySelector('{FIGURE}')._fullLayout.xaxis.range[0] < 1")
    assert figure.evaluate(_AXES) == whole


def test_hovering_tells_value_patch_and_pane(opened: Callable[..., Page], comparison: Comparison) -> None:
    page = opened()
    x, y = page.locator(FIGURE).evaluate(_POINT, ["2", 40.0, 72.0])  # the middle of patch 2, 4 of B
    page.mouse.move(x - 30, y)
    page.mouse.move(x, y, steps=4)
    weight = comparison.results[1].map.values[2, 4]
    label = page.locator(f"{FIGURE} .hovertext")
    expect(label).to_have_text(re.compile(rf"^B attention weight {weight:.3%}"))  # after those on the way there


def test_nothing_offers_to_upload_it(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator(FIGURE).hover()
    buttons = page.locator(f"{FIGURE} .modebar-btn")
    titles = [buttons.nth(number).get_attribute("data-title") for number in range(buttons.count())]
    assert "Zoom in" in titles
    assert not [title for title in titles if title is None or "loud" in title or "hare" in title or "dit" in title]
    assert page.locator("a[href]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_readers_colours(scheme: str, page: Page, opened: Callable[..., Page]) -> None:
    page.emulate_media(color_scheme=scheme)
    opened()
    paper, ink = page.evaluate("(style => [style.backgroundColor, style.color])(getComputedStyle(document.body))")
    light = [sum(int(part) for part in text[4:-1].split(",")) > 384 for text in (paper, ink)]
    assert light == ([True, False] if scheme == "light" else [False, True])


@pytest.mark.parametrize("width", [400, 1440])
def test_titles_and_legends_stand_at_their_panes_and_nothing_overflows(
    width: int, page: Page, opened: Callable[..., Page]
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    opened(Style(show="mask"))
    wide, visible = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= visible
    figure = page.locator(FIGURE)
    for number, axis in enumerate(("", "2", "3")):
        left, _ = figure.evaluate(_POINT, [axis, 0, 0])
        right, _ = figure.evaluate(_POINT, [axis, 0, FRAME[1]])
        assert right - left > 250  # narrower panes scroll
        for row in (page.locator(".panes").first, page.locator(".panes").last):
            box = row.locator("> div").nth(number).bounding_box()
            assert box is not None
            assert box["x"] == pytest.approx(left, abs=3)
            assert box["x"] + box["width"] == pytest.approx(right, abs=3)


def test_names_of_strangers_run_nothing(opened: Callable[..., Page], comparison: Comparison) -> None:
    drawn = (*panels(comparison, Style()), Panel("D", HOSTILE, message=HOSTILE))
    page = opened(drawn=drawn, link=HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.get_by_text("window.hacked").count() >= 2
