"""What outlives a server: an open page goes on, its first click counts, and a link leads to the same comparison."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard import keys
from dashboard.keys import of_pane
from tests.browser.server import running_dashboard
from tests.browser.support import TIMEOUT, chart, drawn, nothing_amiss, opened_by, settled

Link = dict[str, list[str]]
LINK = {"picture": "scene_1", "size": "96"}
EXPLORE = LINK | {"model": "demo_vit_p16", "layer": "3", "head": "1", "query": "0.4000,0.7000", "opacity": "40"}
COMPARE = LINK | {"pane": ["demo_vit_p8:4:1", "demo_vit_p16:2:0"], "show": "difference", "keep": "50"}
HEADS = LINK | {"model": "demo_vit_p16", "layer": "3", "ranking": "local", "similar_layer": "2"}
DEEP = LINK | {
    "pane": ["demo_vit_p8:5:mean", "demo_vit_p16:2:1", "demo_vit_p16:2:1:raw:0.9000,0.1000"],
    "reference": "B",
    "show": "mask",
    "pane_scale": "log",
    "keep": "85",
    "zoom": "0.1000,0.2000,0.6000,0.7000",
    "query": "0.4000,0.7000",
    "statistic": "distance_px",
    "rows": "all",
    "order": "difference",
    "chart": "violin",
    "opacity": "35",
}
_PARTS = """chart => Object.entries(chart._fullLayout)
    .filter(([name]) => /^[xy]axis\\d*$/.test(name)).map(([name, axis]) => [name, axis.range])"""


def link_of(page: Page) -> Link:
    return parse_qs(urlsplit(page.url).query)


PANES = ["demo_vit_p8:3:1", "demo_vit_p16:2:0"]
CASES = {
    "explore": ("", EXPLORE, (keys.LAYER, "ArrowLeft"), {"layer": ["2"]}),
    "heads": ("heads", HEADS, (keys.HEADS_RANKING, "Global"), {"ranking": ["global"]}),
    "compare": ("compare", COMPARE, (of_pane(keys.PANE_LAYER, 0), "ArrowLeft"), {"pane": PANES}),
}  # the page, its link, the control and what is done with it, and what the address says then


@dataclass(frozen=True)
class Restarted:
    """What there was before a server was started again.

    pages: of every case, still open, and the address that it had. comparison: the address of one, and what it drew.
    """

    pages: dict[str, tuple[Page, Link]]
    comparison: tuple[str, dict[str, object]]


@pytest.fixture(scope="module")
def restarted(opener: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    folder, pages = tmp_path_factory.mktemp("restarted"), {case: opened_by(opener) for case in CASES}
    with running_dashboard(folder / "first.log") as server:
        for (path, link, *_), page in zip(CASES.values(), pages.values(), strict=True):
            page.bring_to_front()
            opened(page, f"{server.url}/{path}?{urlencode(link, doseq=True)}")
        before = {case: (page, link_of(page)) for case, page in pages.items()}
        page = opened(opened_by(opener), f"{server.url}/compare?{urlencode(DEEP, doseq=True)}")
        comparison = page.url, pictured(page)
        page.close()
    for page in pages.values():
        expect(always_there(page)).to_be_disabled(timeout=TIMEOUT)
    with running_dashboard(folder / "second.log", port=urlsplit(server.url).port):
        yield Restarted(before, comparison)
    for page in pages.values():
        page.close()


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    return settled(page, timeout=3 * TIMEOUT)


def pictured(page: Page) -> dict[str, object]:
    """All that the figure of a comparison draws, and the parts of the picture that it shows."""
    names = [f"{what} {pane}" for what in ("attention", "patches", "outline", "query") for pane in "ABC"]
    traces = {name: drawn(page, keys.COMPARISON, name) for name in names}
    return traces | {"parts": chart(page, keys.COMPARISON).evaluate(_PARTS)}


def always_there(page: Page) -> Locator:
    """A control that every page has: it cannot be used while the page is without its server."""
    return page.locator(f".st-key-{keys.OPACITY}").get_by_role("slider")


@pytest.mark.parametrize("case", CASES)
def test_the_first_click_after_a_restart_counts_and_all_else_stays(restarted: Restarted, case: str) -> None:
    _, _, (key, act), wanted = CASES[case]
    page, before = restarted.pages[case]
    page.bring_to_front()
    expect(always_there(page)).to_be_enabled(timeout=TIMEOUT)
    control = page.locator(f".st-key-{key}")
    if act.startswith("Arrow"):
        control.get_by_role("slider").press(act)
    else:
        control.get_by_text(act, exact=True).click()
    page.wait_for_function(
        "([name, value]) => new URLSearchParams(location.search).getAll(name).includes(value)",
        arg=[next(iter(wanted)), next(iter(wanted.values()))[0]],
        timeout=TIMEOUT,
    )
    settled(page)
    assert link_of(page) == before | wanted


def test_a_deep_link_on_a_fresh_server_reopens_exactly_the_comparison(page: Page, restarted: Restarted) -> None:
    address, before = restarted.comparison
    with nothing_amiss(page):
        opened(page, address)
        assert link_of(page) == {name: [value] if isinstance(value, str) else value for name, value in DEEP.items()}
        assert pictured(page) == before
        assert not page.get_by_test_id("stAlert").count()
