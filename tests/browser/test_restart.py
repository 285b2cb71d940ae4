"""A page that is open while its server is started again goes on, and the first click on it counts."""

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Page, expect

from dashboard import keys
from dashboard.keys import of_pane
from tests.browser.server import running_dashboard
from tests.browser.support import TIMEOUT, settled

LINK = {"picture": "scene_1", "size": "96"}
EXPLORE = LINK | {"model": "demo_vit_p16", "layer": "3", "head": "1", "query": "0.4000,0.7000", "opacity": "40"}
COMPARE = LINK | {"pane": ["demo_vit_p8:4:1", "demo_vit_p16:2:0"], "show": "difference", "keep": "50"}
HEADS = LINK | {"model": "demo_vit_p16", "layer": "3", "ranking": "local", "similar_layer": "2"}


def connected(page: Page) -> None:
    """Wait until the page has met its server again: its controls can be used."""
    expect(page.locator(f".st-key-{keys.OPACITY}").get_by_role("slider")).to_be_enabled(timeout=TIMEOUT)


def link_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


PANES = ["demo_vit_p8:3:1", "demo_vit_p16:2:0"]
CASES = {
    "explore": ("", EXPLORE, (keys.LAYER, "ArrowLeft"), {"layer": ["2"]}),
    "heads": ("heads", HEADS, (keys.HEADS_RANKING, "Global"), {"ranking": ["global"]}),
    "compare": ("compare", COMPARE, (of_pane(keys.PANE_LAYER, 0), "ArrowLeft"), {"pane": PANES}),
}  # the page, its link, the control and what is done with it, and what the address says then


@pytest.mark.parametrize("case", CASES)
def test_the_first_click_after_a_restart_counts_and_all_else_stays(page: Page, tmp_path: Path, case: str) -> None:
    path, link, (key, act), wanted = CASES[case]
    with running_dashboard(tmp_path / "first.log") as server:
        page.goto(f"{server.url}/{path}?{urlencode(link, doseq=True)}")
        settled(page, timeout=3 * TIMEOUT)
        before = link_of(page)
    expect(page.locator(f".st-key-{keys.OPACITY}").get_by_role("slider")).to_be_disabled(timeout=TIMEOUT)
    with running_dashboard(tmp_path / "second.log", port=urlsplit(server.url).port):
        connected(page)
        control = page.locator(f".st-key-{key}")
        if act.startswith("Arrow"):
            control.get_by_role("slider").press(act)
        else:
            control.get_by_text(act, exact=True).click()
        page.wait_for_function(
            "([name, value]) => new URLSearchParams(location.search).getAll(name).includes(value)",
            arg=[next(iter(wanted)), next(iter(wanted.values()))[0]], timeout=TIMEOUT,
        )  # fmt: skip
        settled(page)
        assert link_of(page) == before | wanted
