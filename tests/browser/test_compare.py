"""Compare in a real browser: linked zoom and pan, one click for all panes, narrow screens, two themes."""

import functools
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page

import vit_engine as ve
from dashboard import keys
from dashboard.keys import of_pane
from dashboard.services import pictures
from tests.browser.server import Server
from tests.browser.support import TIMEOUT, chart, drawn, nothing_amiss, settled
from vit_engine.analysis.comparison import Pane
from vit_engine.grid import Query

P8, P16 = "demo_vit_p8:5:mean", "demo_vit_p16:2:1"
LINK = {"picture": "scene_1", "size": "96", "pane": [P8, P16]}
FRAME = (96, 134)  # px: 12×16 patches of 8 px, 6×8 of 16 px
CLOSE = {"rtol": 1e-4, "atol": 1e-7}

# Where each pane is and what it shows: (left, right) in the window, then (top, left, bottom, right) of the picture.
_PANES = """chart => {
    const box = chart.getBoundingClientRect(), layout = chart._fullLayout;
    return Object.keys(layout).filter(key => /^xaxis\\d*$/.test(key)).map(key => {
        const x = layout[key], y = layout['y' + key.slice(1)], left = box.left + x._offset;
        return [[left, left + x._length], [y.range[1], x.range[0], y.range[0], x.range[1]]];
    });
}"""
# Plotly advises a double click to zoom back out, and here a button does it.
_WATCH_ADVICE = """() => new MutationObserver(
    () => window.advice ??= document.querySelector('.plotly-notifier')?.textContent
).observe(document.body, {childList: true, subtree: true})"""
_TO_PIXELS = """(chart, [axis, y, x]) => {
    const box = chart.getBoundingClientRect(), layout = chart._fullLayout;
    const [across, down] = [layout['xaxis' + axis], layout['yaxis' + axis]];
    return [box.left + across._offset + across.d2p(x), box.top + down._offset + down.d2p(y)];
}"""


@functools.cache
def engine_map(text: str, query: Query) -> np.ndarray:
    """What the engine says a pane shows."""
    pane = Pane.parse(text)
    loaded = ve.load_model(pane.model)
    picture = ve.open_image(pictures.sample_picture("scene_1").data)
    trace = ve.attend(loaded, ve.prepare_image(picture, loaded.spec, size=96))
    return trace.attention_map(pane.layer, pane.head, query).values


@pytest.fixture
def open_page(page: Page, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens Compare by a link; at the end nothing was asked from elsewhere, and the console has no errors."""

    def open_link(**link: str | list[str]) -> Page:
        page.goto(f"{server.url}/compare?{urlencode(LINK | link, doseq=True)}")
        return settled(page)

    with nothing_amiss(page):
        yield open_link


def link_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def assert_shows(page: Page, *panes: str, queries: tuple[Query, ...]) -> None:
    """Each pane becomes what the engine says, and marks its own patch."""
    for letter, pane, query in zip("ABC", panes, queries, strict=False):
        values = engine_map(pane, query)
        trace = drawn(page, keys.COMPARISON, f"attention {letter}")
        assert trace
        np.testing.assert_allclose(trace["z"], values, **CLOSE)
        mark = drawn(page, keys.COMPARISON, f"query {letter}")
        patch = FRAME[0] // values.shape[0]
        middle = set() if isinstance(query, str) else {tuple((place + 0.5) * patch for place in query)}
        assert (set(zip(mark["y"], mark["x"], strict=True)) if mark else set()) == middle


def places(page: Page) -> list[tuple[float, float]]:
    """Where each pane begins and ends in the window, in pixels from the left."""
    return [tuple(place) for place, _ in chart(page, keys.COMPARISON).evaluate(_PANES)]


def part(page: Page) -> tuple[float, ...]:
    """The part of the picture, (top, left, bottom, right) in its pixels, that all panes show."""
    shown = [part for _, part in chart(page, keys.COMPARISON).evaluate(_PANES)]
    assert len(shown) == len(link_of(page)["pane"])
    for one in shown:
        assert one == pytest.approx(shown[0], abs=0.1)
    return tuple(shown[0])


def drag(page: Page, *, axis: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one point (y, x) of the picture to another in the pane of this axis."""
    figure = chart(page, keys.COMPARISON)
    figure.scroll_into_view_if_needed()
    (x, y), (end_x, end_y) = (figure.evaluate(_TO_PIXELS, [axis, *point]) for point in (start, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + end_x) / 2, (y + end_y) / 2, steps=4)
    page.mouse.move(end_x, end_y, steps=4)
    page.mouse.up()


def point(page: Page, *, axis: str, y: float, x: float) -> None:
    """Click a point of the picture in the pane of this axis as a person does: first the pointer is there."""
    figure = chart(page, keys.COMPARISON)
    figure.scroll_into_view_if_needed()
    place = figure.evaluate(_TO_PIXELS, [axis, y, x])
    page.mouse.move(*place)
    page.wait_for_timeout(150)
    page.mouse.click(*place)


def click(page: Page, *, axis: str, y: float, x: float) -> None:
    """The same where it makes another query."""
    before = page.url
    point(page, axis=axis, y=y, x=x)
    page.wait_for_function("address => location.href !== address", arg=before, timeout=TIMEOUT)
    settled(page)


WHOLE = (0, 0, *FRAME)
ZOOMED = (24, 67, 48, 100.5)  # a quarter of the height and of the width


def zoom(page: Page, *, axis: str = "2", part: tuple[float, ...] = ZOOMED) -> None:
    """Drag a box in the pane of this axis, which becomes the part that all panes show."""
    before = page.url
    drag(page, axis=axis, start=part[:2], end=part[2:])
    page.wait_for_function("address => location.href !== address", arg=before, timeout=TIMEOUT)
    settled(page)


def test_a_box_in_one_pane_zooms_all_alike_and_stays_after_a_change_and_a_reload(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    assert part(page) == pytest.approx(WHOLE)
    assert_shows(page, P8, P16, queries=("cls", "cls"))
    zoom(page)
    assert part(page) == pytest.approx(ZOOMED, abs=1)
    zoomed = part(page)
    slider = page.locator(f".st-key-{of_pane(keys.PANE_LAYER, 0)}").get_by_role("slider")
    slider.press("ArrowLeft")
    page.wait_for_url(lambda url: "demo_vit_p8%3A4" in url, timeout=TIMEOUT)
    settled(page)
    assert part(page) == pytest.approx(zoomed)
    assert_shows(page, "demo_vit_p8:4:mean", P16, queries=("cls", "cls"))
    page.reload()
    assert part(settled(page)) == pytest.approx(zoomed)
    page.locator(f".st-key-{keys.RESET_ZOOM} button:visible").click()
    page.wait_for_url(lambda url: "zoom=" not in url, timeout=TIMEOUT)
    assert part(settled(page)) == pytest.approx(WHOLE)


def test_a_zoomed_picture_can_be_zoomed_further_without_advice_and_a_click_in_it_finds_its_patch(
    open_page: Callable[..., Page],
) -> None:
    page = open_page()
    page.evaluate(_WATCH_ADVICE)
    zoom(page)
    once = part(page)
    zoom(page, axis="", part=(30, 75, 42, 91.75))
    top, left, bottom, right = part(page)
    assert (top, left, bottom, right) == pytest.approx((30, 75, 42, 91.75), abs=1)
    assert bottom - top < once[2] - once[0]
    assert page.evaluate("window.advice") is None
    click(page, axis="", y=36, x=84)
    assert_shows(page, P8, P16, queries=((4, 10), (2, 5)))
    assert part(page) == pytest.approx((top, left, bottom, right))


def test_moving_one_pane_moves_all(open_page: Callable[..., Page]) -> None:
    page = open_page(zoom="0.25,0.5,0.5,0.75")
    top, left, bottom, right = part(page)
    before = page.url
    figure = chart(page, keys.COMPARISON)
    figure.hover()
    figure.locator("[data-title=Pan]").click()
    drag(page, axis="2", start=(36, 80), end=(42, 70))
    moved = (top - 6, left + 10, bottom - 6, right + 10)
    page.wait_for_function("address => location.href !== address", arg=before, timeout=TIMEOUT)
    assert part(settled(page)) == pytest.approx(moved, abs=1)


def test_a_click_in_any_pane_asks_all_and_each_marks_its_own_patch(open_page: Callable[..., Page]) -> None:
    """The point at 37 and 106 px: of 8 px row 4, column 13; of 16 px row 2, column 6."""
    page = open_page()
    for axis, (y, x), queries in (
        ("2", (37, 106), ((4, 13), (2, 6))),  # the middle of the patch that is clicked would be at 40 and 104 px
        ("", (4, 30), ((0, 3), (0, 1))),
    ):
        click(page, axis=axis, y=y, x=x)
        assert_shows(page, P8, P16, queries=queries)
    page.reload()
    assert_shows(settled(page), P8, P16, queries=queries)
    link = link_of(page)
    for _ in range(2):  # the point that is chosen already
        point(page, axis="", y=4, x=30)
        assert_shows(settled(page), P8, P16, queries=queries)
    assert link_of(page) == link


def test_explore_and_back_keeps_the_comparison_and_the_addresses_are_each_pages_own(
    open_page: Callable[..., Page],
) -> None:
    page = open_page(show="difference", query="0.4,0.7", keep="35")
    link, before = link_of(page), drawn(page, keys.COMPARISON, "attention B")
    page.get_by_role("link", name="Explore").click()
    page.locator(f".st-key-{keys.OVERLAY} .main-svg").first.wait_for(timeout=TIMEOUT)
    assert "pane" not in link_of(settled(page))
    page.get_by_role("link", name="Compare").click()
    page.wait_for_url(lambda url: "pane=" in url, timeout=TIMEOUT)
    settled(page)
    assert link_of(page) == link
    assert drawn(page, keys.COMPARISON, "attention B") == before


def overflow(page: Page, selector: str) -> float:
    """How much wider a part's content is than the part, in pixels."""
    return page.evaluate(
        "selector => (part => part.scrollWidth - part.clientWidth)(document.querySelector(selector))", selector
    )


def heading_gap(page: Page) -> float:
    """How far the line below the page's heading is from it, in pixels."""
    return page.evaluate(
        """() => {
            const box = (selector) => document.querySelector(`.st-key-header ${selector}`).getBoundingClientRect();
            return box('[data-testid=stCaptionContainer]').top - box('h4').bottom;
        }"""
    )


@pytest.mark.parametrize(("width", "panes"), [(400, 3), (1440, 2), (1440, 8)])
def test_controls_stay_over_their_pane_and_what_does_not_fit_scrolls_in_the_strip_alone(
    page: Page, open_page: Callable[..., Page], width: int, panes: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_page(pane=[f"demo_vit_p16:{layer % 6}:mean" for layer in range(panes)])
    assert heading_gap(page) >= 0
    assert page.locator(".pane-heading").evaluate_all("all => new Set(all.map(one => one.offsetHeight)).size") == 1
    assert overflow(page, "html") <= 0
    assert overflow(page, "[data-testid=stMain]") <= 0
    scrolls = (width, panes) != (1440, 2)
    assert (overflow(page, ".st-key-compare_strip") > 50) == scrolls
    for scrolled in (0, 10_000) if scrolls else (0,):
        page.evaluate("to => document.querySelector('.st-key-compare_strip').scrollTo(to, 0)", scrolled)
        assert_over_panes(page, panes)


def assert_over_panes(page: Page, count: int) -> None:
    for number, (left, right) in enumerate(places(page)):
        assert right - left > 200
        box = page.locator(f".st-key-pane_row_{number}").bounding_box()
        assert box
        assert box["x"] == pytest.approx(left, abs=3)
        assert box["x"] + box["width"] == pytest.approx(right, abs=3)
    assert number == count - 1


@pytest.mark.parametrize(("theme", "darkest"), [("light", "rgb(68, 1, 84)"), ("dark", "rgb(0, 0, 4)")])
def test_the_page_is_drawn_in_light_and_in_dark(
    page: Page, open_page: Callable[..., Page], theme: str, darkest: str
) -> None:
    """Viridis begins with one colour, inferno with the other; what is drawn is the same."""
    page.emulate_media(color_scheme=theme)
    open_page()
    stops = chart(page, keys.COMPARISON).evaluate("chart => chart.data[0].colorscale")
    assert stops[0][1].replace(",", ", ").replace("  ", " ") == darkest
    assert_shows(page, P8, P16, queries=("cls", "cls"))
    background = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    brightness = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (brightness > 500) == (theme == "light")
    assert page.locator("div.legend").is_visible()
