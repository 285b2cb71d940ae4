"""Two pictures on Tokens in a real browser: lines, what their ends tell, clicks in both pictures, narrow screens."""

import csv
import math
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard import keys
from tests.browser.server import Server
from tests.browser.support import TIMEOUT, chart, click_cell, drawn, hover_cell, nothing_amiss, settled

LINK = {"picture": "motorcycle_left", "model": "demo_vit_p16", "size": "96", "with": "motorcycle_right", "ratio": "1"}
ROWS, COLS = 6, 8
# Where a picture's cells lie; a chart that is being replaced has no data.
_CELLS = """([key, name]) => {
    const cells = document.querySelector(`.st-key-${key} .js-plotly-plot`)?.data?.find(one => one.name === name);
    return cells && {x0: cells.x0, dx: cells.dx, y0: cells.y0, dy: cells.dy};
}"""
_IS_MARKED = """([key, y, x]) => {
    const chart = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    const ring = chart?._fullData?.find(one => one.name === 'query');
    const middle = array => (Math.min(...array) + Math.max(...array)) / 2;
    return ring && Math.hypot(middle(ring.y) - y, middle(ring.x) - x) < 1;
}"""
_DRAWN_LINES = """chart => Array.from(chart.querySelectorAll('.scatterlayer .lines path'), path => path.getBBox())
    .map(({x, y, width, height}) => ({x, y, width, height}))"""


def open_pair(page: Page, server: Server, **link: str) -> Page:
    page.goto(f"{server.url}/tokens?{urlencode(LINK | link)}")
    expect(chart(page, keys.TOKEN_PAIR)).to_be_visible(timeout=TIMEOUT)
    return settled(page)


def figure(page: Page) -> Locator:
    return chart(page, keys.TOKEN_PAIR)


def middle(page: Page, picture: str, row: int, col: int) -> tuple[float, float]:
    """Of a patch: (y, x) in units of the axes."""
    cells = page.wait_for_function(_CELLS, arg=[keys.TOKEN_PAIR, picture], timeout=TIMEOUT).json_value()
    return cells["y0"] + row * cells["dy"], cells["x0"] + col * cells["dx"]


def click_patch(page: Page, picture: str, row: int, col: int) -> None:
    """And wait for the mark, however long the browser and the server take."""
    click_cell(page, figure(page), *middle(page, picture, row, col), wait=False)
    page.wait_for_function(_IS_MARKED, arg=[keys.TOKEN_PAIR, *middle(page, picture, row, col)], timeout=TIMEOUT)
    settled(page)


def parameters(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def ring(page: Page, name: str) -> tuple[float, float] | None:
    """The middle (y, x) of a mark."""
    trace = drawn(page, keys.TOKEN_PAIR, name)
    return None if trace is None else tuple((min(trace[axis]) + max(trace[axis])) / 2 for axis in "yx")


def lines(page: Page) -> list[tuple[float, float, float, float]]:
    """(y, x, y, x) of every line, as the chart has it."""
    found = []
    for number in range(7):
        trace = drawn(page, keys.TOKEN_PAIR, f"lines {number}")
        if trace is not None:
            ys, xs = trace["y"], trace["x"]
            found += [(ys[at], xs[at], ys[at + 1], xs[at + 1]) for at in range(0, len(ys), 3)]
    return found


def is_in(page: Page, picture: str, y: float, x: float) -> bool:
    top, left = middle(page, picture, 0, 0)
    bottom, right = middle(page, picture, ROWS - 1, COLS - 1)
    return top - 1e-3 <= y <= bottom + 1e-3 and left - 1e-3 <= x <= right + 1e-3


def test_lines_lead_from_picture_to_picture_and_their_ends_tell_both_patches(page: Page, server: Server) -> None:
    with nothing_amiss(page):
        open_pair(page, server, matches="10")
        found = lines(page)
        assert len(found) == 10
        for y, x, to_y, to_x in found:
            assert is_in(page, "first", y, x)
            assert is_in(page, "second", to_y, to_x)
        assert len(figure(page).evaluate(_DRAWN_LINES)) >= 8  # the dark ones, and seven colours
        for y, x in (found[0][:2], found[0][2:]):
            hover = hover_cell(page, figure(page), y, x)
            expect(hover).to_contain_text("first picture: patch row")
            expect(hover).to_contain_text("second picture: patch row")
            expect(hover).to_contain_text("cosine similarity")


@pytest.mark.parametrize(("picture", "other"), [("first", "second"), ("second", "first")])
def test_a_click_in_either_picture_asks_there_marks_the_best_match_in_the_other_and_is_one_step(
    page: Page, server: Server, picture: str, other: str
) -> None:
    with nothing_amiss(page):
        open_pair(page, server, matches="0")
        click_patch(page, picture, 4, 6)
    assert parameters(page)["tokens"] == ["similarity"]
    name = "query" if picture == "first" else "asks"
    assert {"query", "asks"} & parameters(page).keys() == {name}
    assert ring(page, "query") == pytest.approx(middle(page, picture, 4, 6), abs=0.01)
    y, x = ring(page, "best match") or (math.nan, math.nan)
    assert is_in(page, other, y, x)
    similar = drawn(page, keys.TOKEN_PAIR, picture)
    assert similar is not None
    assert similar["z"][4][6] == pytest.approx(1, abs=1e-3)
    expect(page.get_by_text(f"row 4, col 6 of the {picture} picture (ring)")).to_be_visible()
    page.go_back()
    page.wait_for_url(lambda url: name not in parse_qs(urlsplit(url).query), timeout=TIMEOUT)
    settled(page)
    assert ring(page, "query") is None
    page.go_forward()
    page.wait_for_url(lambda url: name in parse_qs(urlsplit(url).query), timeout=TIMEOUT)
    settled(page)
    assert ring(page, "query") == pytest.approx(middle(page, picture, 4, 6), abs=0.01)


def test_the_other_eye_is_one_click_away_and_the_lines_come_at_once(page: Page, server: Server) -> None:
    link = {name: value for name, value in LINK.items() if name != "with"}
    page.goto(f"{server.url}/tokens?{urlencode(link)}")
    page.get_by_role("button", name="Compare with Motorcycle, right eye").click(timeout=TIMEOUT)
    expect(figure(page)).to_be_visible(timeout=TIMEOUT)
    settled(page)
    assert parameters(page)["with"] == ["motorcycle_right"]
    assert lines(page)


def test_all_matches_can_be_downloaded(page: Page, server: Server) -> None:
    open_pair(page, server, matches="5")
    with page.expect_download() as download:
        page.locator(f".st-key-{keys.DOWNLOAD_MATCHES}").get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert len(rows) > 5
    assert {"first_row", "second_x_px", "cosine_similarity", "ratio"} <= rows[0].keys()


def test_on_a_narrow_screen_the_pictures_stand_one_above_the_other_and_take_clicks(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    open_pair(page, server, matches="10")
    page.wait_for_function(
        """key => document.querySelector(`.st-key-${key} .js-plotly-plot`)?.data
            ?.find(one => one.name === 'second')?.y0 > 90""",
        arg=keys.TOKEN_PAIR,
    )
    settled(page)
    (top, left), (below, same) = middle(page, "first", 0, 0), middle(page, "second", 0, 0)
    assert (same, below > top + 80) == (pytest.approx(left), True)
    assert len(lines(page)) == 10
    assert all(is_in(page, "second", *line[2:]) for line in lines(page))
    click_patch(page, "second", 4, 6)
    assert ring(page, "query") == pytest.approx(middle(page, "second", 4, 6), abs=0.01)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_controls_of_the_second_picture_stand_in_a_row(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    open_pair(page, server)
    labels = page.locator(".st-key-second_picture [data-testid=stWidgetLabel] p")
    expect(labels).to_have_text(["Second picture", "Sample", "Its short side"])
    tops = [label.evaluate("label => label.getBoundingClientRect().top") for label in labels.all()]
    assert tops == pytest.approx([tops[0]] * 3, abs=1)
