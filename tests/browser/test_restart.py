"""A page that is open while its server is started again goes on, and the first click on it counts."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from dashboard import keys
from dashboard.keys import of_pane
from tests.browser.server import running_dashboard
from tests.browser.support import TIMEOUT, opened_by, settled

Link = dict[str, list[str]]
LINK = {"picture": "scene_1", "size": "96"}
EXPLORE = LINK | {"model": "demo_vit_p16", "layer": "3", "head": "1", "query": "0.4000,0.7000", "opacity": "40"}
COMPARE = LINK | {"pane": ["demo_vit_p8:4:1", "demo_vit_p16:2:0"], "show": "difference", "keep": "50"}
HEADS = LINK | {"model": "demo_vit_p16", "layer": "3", "ranking": "local", "similar_layer": "2"}


def link_of(page: Page) -> Link:
    return parse_qs(urlsplit(page.url).query)


PANES = ["demo_vit_p8:3:1", "demo_vit_p16:2:0"]
CASES = {
    "explore": ("", EXPLORE, (keys.LAYER, "ArrowLeft"), {"layer": ["2"]}),
    "heads": ("heads", HEADS, (keys.HEADS_RANKING, "Global"), {"ranking": ["global"]}),
    "compare": ("compare", COMPARE, (of_pane(keys.PANE_LAYER, 0), "ArrowLeft"), {"pane": PANES}),
}  # the page, its link, the control and what is done with it, and what the address says then


@pytest.fixture(scope="module")
def restarted(opener: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Page, Link]]]:
    """A page of every case, still open after its server was started again, and the address that it had before."""
    folder, pages = tmp_path_factory.mktemp("restarted"), {case: opened_by(opener) for case in CASES}
    with running_dashboard(folder / "first.log") as server:
        for (path, link, *_), page in zip(CASES.values(), pages.values(), strict=True):
            page.bring_to_front()
            page.goto(f"{server.url}/{path}?{urlencode(link, doseq=True)}")
            settled(page, timeout=3 * TIMEOUT)
        before = {case: (page, link_of(page)) for case, page in pages.items()}
    for page in pages.values():
        expect(always_there(page)).to_be_disabled(timeout=TIMEOUT)
    with running_dashboard(folder / "second.log", port=urlsplit(server.url).port):
        yield before
    for page in pages.values():
        page.close()


def always_there(page: Page) -> Locator:
    """A control that every page has: it cannot be used while the page is without its server."""
    return page.locator(f".st-key-{keys.OPACITY}").get_by_role("slider")


@pytest.mark.parametrize("case", CASES)
def test_the_first_click_after_a_restart_counts_and_all_else_stays(
    restarted: dict[str, tuple[Page, Link]], case: str
) -> None:
    _, _, (key, act), wanted = CASES[case]
    page, before = restarted[case]
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
