"""The benchmark of the pages in a real browser: when a chart counts as painted. No time is held to anything."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page

from benchmarks.pages import painted, plan
from benchmarks.pages.plan import Change, Step, View
from dashboard import keys
from tests.browser.server import Server

TWO_MAPS = """
<div class="st-key-maps"><div class="js-plotly-plot"><svg><g class="heatmaplayer"><image href="a"/></g>
<g class="heatmaplayer"><image href="b"/></g></svg></div></div>"""
CHART = "document.querySelector('.js-plotly-plot')"
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def watched(page: Page) -> Page:
    """A page with two maps that is looked at, and a key that was pressed."""
    page.set_content(TWO_MAPS)
    page.evaluate(painted._WATCH, [".st-key-maps .js-plotly-plot", 2])
    page.keyboard.press("ArrowLeft")
    return page


def ended(page: Page) -> bool:
    for _ in range(3):
        page.evaluate(TWO_FRAMES)
    return page.evaluate(painted._ENDED)


def test_a_new_map_is_painted_after_the_key(watched: Page) -> None:
    assert not ended(watched)
    watched.evaluate(f"() => {CHART}.querySelector('image').setAttribute('href', 'c')")
    watched.wait_for_function(painted._ENDED)
    assert watched.evaluate(painted._MILLISECONDS) > 0
    watched.keyboard.press("ArrowLeft")
    assert not ended(watched), "a key starts a new measurement"


@pytest.mark.parametrize(
    "change",
    [
        "{chart}.querySelector('image').setAttribute('href', 'a')",
        "{chart}.querySelector('image').setAttribute('href', '')",
        "{chart}.querySelector('image').remove()",
        "{chart}.querySelector('g').append({chart}.querySelector('image').cloneNode())",
        "{chart}.style.display = 'none', {chart}.querySelector('image').setAttribute('href', 'c')",
        "{chart}.after({chart}.cloneNode(true)), {chart}.querySelector('image').setAttribute('href', 'c')",
    ],
)
def test_the_same_maps_some_of_them_or_unseen_ones_are_not_painted(watched: Page, change: str) -> None:
    watched.evaluate(f"() => {{ {change.format(chart=CHART)} }}")
    assert not ended(watched)


def test_every_widget_of_the_benchmark_makes_the_page_paint(page: Page, server: Server) -> None:
    for one in (plan.compare(96), plan.heads(96)):
        found = painted.paint(page, server.url, one, repeats=1)
        assert list(found) == [change.name for change in one.changes]
        for each in found.values():
            assert len(each.seconds) == len(each.sent_bytes) == 1
            assert each.seconds[0] > 0
            assert each.sent_bytes[0] > 0


def test_a_change_that_paints_nothing_is_named(page: Page, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = Change("scale", "segments", keys.COMPARE_SCALE, (Step("own", "Own"), Step("own", "Own")))
    real, steps = painted.act, []

    def act(page: Page, view: View, change: Change, step: Step) -> None:
        real(page, view, change, step)
        steps.append(step)
        if len(steps) == 2:  # what never comes is not waited for as long as what comes
            monkeypatch.setattr(painted, "TIMEOUT", 1_000)  # milliseconds

    monkeypatch.setattr(painted, "act", act)
    with pytest.raises(RuntimeError, match=r"^Compare, 4 panes at 12×12: scale, turn 1, must paint another chart"):
        painted.paint(page, server.url, replace(plan.compare(96), changes=(scale,)), repeats=2)
