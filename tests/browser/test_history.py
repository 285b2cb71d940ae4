"""The browser's Back and Forward: at every step address, title, query marker and controls say the same."""

import contextlib
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from dashboard import keys
from tests.browser.lag import Connection
from tests.browser.server import Server
from tests.browser.support import TIMEOUT, chart, click_cell, settled

LINK = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
PATIENCE = 30_000  # milliseconds
QUICK = 6  # steps

# What the page says; of a link's parameter the only value, or all.
_VIEW = f"""() => {{
    const link = new URLSearchParams(location.search), chart = (key) =>
        document.querySelector(`.st-key-${{key}} .js-plotly-plot`)?.data ?? [];
    const values = (name) => {{ const all = link.getAll(name); return all.length > 1 ? all : all[0]; }};
    const mark = [...chart('{keys.OVERLAY}'), ...chart('{keys.COMPARISON}')].find((t) => /^query( A)?$/.test(t.name));
    const chosen = (key) => document.querySelector(`.st-key-${{key}} [aria-checked=true]`)?.innerText ?? null;
    return {{
        page: location.pathname.slice(1),
        link: Object.fromEntries([...new Set(link.keys())].map((name) => [name, values(name)])),
        title: document.querySelector('h4')?.innerText ?? null,
        marked: Boolean(mark),
        head: chosen('{keys.HEAD}'),
        ranking: chosen('{keys.HEADS_RANKING}'),
        show: chosen('{keys.COMPARE_SHOW}'),
        query: document.querySelector('.st-key-query_line, .st-key-compare_query')
            ?.innerText.match(/Query: [^·\\n]+/)?.[0].trim() ?? null,
    }};
}}"""
_SAYS = f"""(wanted) => {{
    const view = ({_VIEW})(), text = (value) => JSON.stringify(value && typeof value === 'object' && !value.length
        ? Object.entries(value).sort() : value ?? null);
    return Object.entries(wanted).every(([name, value]) => text(view[name]) === text(value));
}}"""
_STEP = f"""(by) => new Promise((done, fail) => {{
    setTimeout(() => fail(new Error("no entry there")), {PATIENCE});
    addEventListener('popstate', done, {{once: true}});
    history.go(by);
}})"""

View = dict[str, Any]


def assert_says(page: Page, view: View) -> None:
    """Wait until the page says all of this, and see that it goes on saying it."""
    with contextlib.suppress(TimeoutError):  # what follows says more
        page.wait_for_function(_SAYS, arg=view, timeout=PATIENCE)
    settled(page)
    now = page.evaluate(_VIEW)
    assert {name: now[name] for name in view} == view


def open_explore(page: Page, server: Server, **link: str) -> View:
    page.goto(f"{server.url}/?{urlencode(link)}")
    expect(chart(page, keys.OVERLAY)).to_be_visible(timeout=3 * TIMEOUT)  # the server may be starting
    return view_now(page)


def view_now(page: Page) -> View:
    return settled(page).evaluate(_VIEW)


def choose_head(page: Page, head: str) -> View:
    page.locator(f".st-key-{keys.HEAD}").get_by_text(head, exact=True).click()
    page.wait_for_function(_SAYS, arg={"head": head}, timeout=PATIENCE)
    page.wait_for_function(
        "(head) => (new URLSearchParams(location.search).get('head') ?? 'mean') === head", arg=head, timeout=PATIENCE
    )
    return view_now(page)


def ask_patch(page: Page, row: int, col: int) -> View:
    click_cell(page, chart(page, keys.OVERLAY), row, col)
    page.wait_for_function(_SAYS, arg={"query": f"Query: patch row {row}, col {col}"}, timeout=PATIENCE)
    return view_now(page)


def open_page(page: Page, title: str, key: str) -> View:
    """Go to another page by the navigation."""
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=title).click()
    page.locator(f".st-key-{key}").first.wait_for(timeout=TIMEOUT)  # of panes that fill, two at times
    return view_now(page)


def back(page: Page) -> None:
    page.evaluate(_STEP, -1)


def forward(page: Page) -> None:
    page.evaluate(_STEP, 1)


@pytest.mark.parametrize("link", [LINK, {}], ids=["a link", "the bare address"])
def test_steps_in_explore_come_back_one_by_one(page: Page, server: Server, link: dict[str, str]) -> None:
    start = open_explore(page, server, **link)
    patch_a, patch_b = ask_patch(page, 1, 2), ask_patch(page, 4, 3)
    head = choose_head(page, "2")
    assert patch_a["marked"]
    assert len({str(view) for view in (start, patch_a, patch_b, head)}) == 4
    for step, view in ((back, patch_b), (back, patch_a), (forward, patch_b), (back, patch_a), (back, start)):
        step(page)
        assert_says(page, view)
    forward(page)
    assert_says(page, patch_a)
    page.evaluate(_STEP, 2)
    assert_says(page, head)


def test_another_page_is_one_step(page: Page, server: Server) -> None:
    open_explore(page, server, **LINK)
    explore = choose_head(page, "1")
    compare = open_page(page, "Compare", keys.COMPARISON)
    assert compare["title"] == "Compare"
    back(page)
    assert_says(page, explore)
    forward(page)
    assert_says(page, compare)
    page.locator(f".st-key-{keys.COMPARE_SHOW}").get_by_text("Mask", exact=True).click()
    assert_says(page, compare | {"show": "Mask", "link": compare["link"] | {"show": "mask"}})
    for view in (compare, explore):
        back(page)
        assert_says(page, view)


def test_a_head_that_is_opened_from_heads_is_one_step(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/heads?{urlencode(LINK | {'ranking': 'global'})}")
    expect(chart(page, keys.PROFILE)).to_be_visible(timeout=3 * TIMEOUT)
    heads = view_now(page)
    click_cell(page, chart(page, keys.STATISTIC_MAP), row=3, col=1)
    opened = {"page": "", "link": LINK | {"layer": "3", "head": "1"}, "head": "1"}
    assert_says(page, opened)
    back(page)
    assert_says(page, heads)
    forward(page)
    assert_says(page, opened)


def open_compare_late(page: Page, connection: Connection) -> View:
    """Go to Compare, which says nothing before its first run is finished."""
    connection.hold()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Compare").click()
    connection.wait_for_finished_run()
    connection.release()
    page.locator(f".st-key-{keys.COMPARISON}").wait_for(timeout=TIMEOUT)
    compare = view_now(page)
    assert compare["link"]["pane"]
    return compare


def test_an_address_that_comes_before_the_path_of_its_page_makes_no_step(page: Page, server: Server) -> None:
    """A busy browser changes the path only after the new page's first run has written its address."""
    connection = Connection(page)
    page.goto(f"{server.url}/heads?{urlencode(LINK | {'ranking': 'global'})}")
    expect(chart(page, keys.PROFILE)).to_be_visible(timeout=3 * TIMEOUT)
    heads = view_now(page)
    connection.hold()
    click_cell(page, chart(page, keys.STATISTIC_MAP), row=3, col=1)
    connection.wait_for_finished_run()
    connection.release()
    opened = {"page": "", "link": LINK | {"layer": "3", "head": "1"}, "head": "1"}
    assert_says(page, opened)
    compare = open_compare_late(page, connection)
    back(page)
    assert_says(page, opened)
    back(page)
    assert_says(page, heads)
    for view in (opened, compare):
        forward(page)
        assert_says(page, view)


def test_a_choice_that_is_answered_after_the_press_on_another_page_stays_a_step(page: Page, server: Server) -> None:
    connection = Connection(page)
    explore = open_explore(page, server, **LINK)
    connection.hold()
    page.locator(f".st-key-{keys.HEAD}").get_by_text("1", exact=True).click()
    connection.wait_for_finished_run()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Models").click()
    connection.release()
    page.locator(f".st-key-{keys.MODELS_TABLE}").wait_for(timeout=TIMEOUT)
    assert_says(page, {"page": "models"})
    back(page)
    assert_says(page, {"page": "", "link": LINK | {"head": "1"}, "head": "1"})
    back(page)
    assert_says(page, explore)


def test_a_page_that_writes_no_address_stays_a_step_where_that_of_the_next_comes_early(
    page: Page, server: Server
) -> None:
    connection = Connection(page)
    explore = open_explore(page, server, **LINK)
    plain = open_page(page, "Models", keys.MODELS_TABLE)
    compare = open_compare_late(page, connection)
    for view in (plain, explore):
        back(page)
        assert_says(page, view)
    for view in (plain, compare):
        forward(page)
        assert_says(page, view)


def test_a_model_that_is_opened_from_a_link_to_models_is_one_step(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/models?{urlencode(LINK)}")
    button = page.locator(f".st-key-{keys.OPEN_MODEL} button")
    button.wait_for(timeout=3 * TIMEOUT)
    models = view_now(page)
    button.click()
    assert_says(page, {"page": "", "link": LINK, "head": "mean"})
    back(page)
    assert_says(page, models)


def test_what_a_page_began_with_comes_back_where_its_link_names_nothing_of_it(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/heads?{urlencode(LINK)}")
    expect(chart(page, keys.PROFILE)).to_be_visible(timeout=3 * TIMEOUT)
    start = view_now(page)
    page.locator(f".st-key-{keys.HEADS_RANKING}").get_by_text("Local", exact=True).click()
    assert_says(page, start | {"ranking": "Local", "link": LINK | {"ranking": "local"}})
    back(page)
    assert_says(page, start)


def test_pages_that_write_no_address_change_nothing(page: Page, server: Server) -> None:
    open_explore(page, server)
    explore = choose_head(page, "1")
    models = open_page(page, "Models", keys.MODELS_TABLE)
    back(page)
    assert_says(page, explore)
    forward(page)
    assert_says(page, models)
    assert open_page(page, "Explore", keys.OVERLAY) == explore
    back(page)
    assert_says(page, models)


def test_a_page_that_is_opened_without_a_link_is_left_in_one_step(page: Page, server: Server) -> None:
    page.goto("about:blank")
    page.goto(f"{server.url}/compare")
    expect(chart(page, keys.COMPARISON).first).to_be_visible(timeout=3 * TIMEOUT)  # of panes that fill, two at times
    assert view_now(page)["link"]["pane"]
    page.go_back()
    assert page.url == "about:blank"


def test_quick_steps_end_where_they_lead_and_leave_every_step_as_it_was(page: Page, server: Server) -> None:
    views = [open_explore(page, server, **LINK)]
    heads = ["0", "1", "2", "max", "0", "3"]
    assert len(heads) == QUICK
    views += [choose_head(page, head) for head in heads]
    for _ in range(QUICK):
        back(page)
    assert_says(page, views[0])
    for view in views[1:3]:
        forward(page)
        assert_says(page, view)
    for _ in range(QUICK - 2):
        forward(page)
    assert_says(page, views[-1])
    for view in views[-2:-4:-1]:
        back(page)
        assert_says(page, view)


def test_what_comes_after_a_step_and_answers_no_input_makes_no_entry(page: Page, server: Server) -> None:
    open_explore(page, server, **LINK)
    first, second = choose_head(page, "1"), choose_head(page, "2")
    back(page)
    assert_says(page, first)
    page.evaluate("history.pushState({}, '', '?head=0')")  # as Streamlit does, late, for a step that was left again
    assert_says(page, first)
    forward(page)
    assert_says(page, second)


def test_a_step_back_before_the_answer_to_a_choice_has_come(page: Page, server: Server) -> None:
    connection = Connection(page)
    start = open_explore(page, server, **LINK)
    first = choose_head(page, "1")
    connection.hold()
    page.locator(f".st-key-{keys.HEAD}").get_by_text("3", exact=True).click()
    connection.wait_for_finished_run()
    back(page)
    connection.release()
    assert_says(page, start)
    forward(page)
    assert_says(page, first)
    assert_says(page, choose_head(page, "2"))
    back(page)
    assert_says(page, first)
