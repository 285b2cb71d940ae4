"""Inputs that come faster than the server answers: each control's last one wins, and all that is shown agrees."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, TimeoutError

import vit_engine as ve
from dashboard import keys
from dashboard.keys import of_pane
from dashboard.services import pictures
from tests.browser.lag import LAG, Connection, busy_machine, lagging
from tests.browser.server import Server
from tests.browser.support import TIMEOUT, TRACE, chart, click_cell, click_map, drawn, settled

SMALL = {"picture": "scene_1", "model": "demo_vit_p16", "size": "96"}
DEEP = "random_vit_base_p16"  # twelve layers
PAUSES = (250, 400, 300, 500, 350, 250, 450, 300)  # milliseconds after each key
QUIET = LAG + 400  # milliseconds: longer than anything is under way
PATIENCE = 20_000  # milliseconds until all agree
CLOSE = {"rtol": 1e-4, "atol": 1e-7}

_AGREES = f"""([selector, trace, values, link]) => {{
    const drawn = ({TRACE})(document.querySelector(selector), trace)?.z.flat();
    const close = (value, at) => Math.abs(drawn[at] - value) <= {CLOSE["atol"]} + {CLOSE["rtol"]} * Math.abs(value);
    const address = new URLSearchParams(location.search);
    return drawn?.length === values.length && values.every(close)
        && Object.entries(link).every(([name, value]) => address.get(name) === value);
}}"""


@pytest.fixture
def open_page(page: Page, server: Server) -> Iterator[Callable[..., Page]]:
    """Opens a page of the app by a link, with a slow connection; from then on the machine is busy."""

    def open_link(path: str = "", **link: str | list[str]) -> Page:
        lagging(page).goto(f"{server.url}/{path}?{urlencode(SMALL | link, doseq=True)}")
        settled(page, QUIET, timeout=3 * TIMEOUT)  # the server may be starting
        busy.enter_context(busy_machine())
        return page

    with contextlib.ExitStack() as busy:
        yield open_link


@functools.cache
def engine_map(model: str, layer: int, head: int | str) -> np.ndarray:
    """What the engine says about scene_1."""
    loaded = ve.load_model(model)
    picture = ve.open_image(pictures.sample_picture("scene_1").data)
    trace = ve.attend(loaded, ve.prepare_image(picture, loaded.spec, size=96))
    return trace.attention_map(layer, head, "cls").values


def link_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def slider(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key}").get_by_role("slider")


def press(page: Page, key: str, *presses: str) -> None:
    """Press keys on a slider, as fast as a person who looks at it."""
    slider(page, key).focus()
    for name, pause in zip(presses, PAUSES, strict=False):
        page.keyboard.press(name)
        page.wait_for_timeout(pause)


def segment(page: Page, key: str, title: str) -> None:
    page.locator(f".st-key-{key}").get_by_text(title, exact=True).click()


def select(page: Page, key: str, title: str) -> None:
    """Choose an option. A menu closes where its page is drawn again at that moment: a person opens it once more."""
    option = page.get_by_role("option", name=title, exact=True)
    for _ in range(5):
        page.locator(f".st-key-{key} input").fill(title)
        with contextlib.suppress(TimeoutError):
            return option.click(timeout=PATIENCE / 5)
    raise AssertionError(f"the menu of {key} never offered {title}")


def selected(page: Page, key: str) -> str:
    """What a segmented control or pills show as chosen."""
    return page.locator(f".st-key-{key} [aria-checked=true]").inner_text()


def assert_explore(
    page: Page, *, model: str = SMALL["model"], layer: int, head: int | str = "mean", **link: str
) -> None:
    """The map, the address and both controls say the same, and go on saying it."""
    values = engine_map(model, layer, head)
    depth = 12 if model == DEEP else 6
    wanted = (
        link | ({} if layer == depth - 1 else {"layer": str(layer)}) | ({} if head == "mean" else {"head": str(head)})
    )
    agree(page, f".st-key-{keys.OVERLAY} .js-plotly-plot", "attention", values, wanted)
    assert link_of(page) == {name: [value] for name, value in (SMALL | {"model": model} | wanted).items()}
    assert slider(page, keys.LAYER).input_value() == str(layer)
    assert selected(page, keys.HEAD) == str(head)
    np.testing.assert_allclose(drawn(page, keys.OVERLAY, "attention")["z"], values, **CLOSE)


def agree(page: Page, selector: str, trace: str, values: np.ndarray, link: dict[str, str]) -> None:
    """Wait until the chart and the address say this, and then until nothing is under way any more."""
    with contextlib.suppress(TimeoutError):  # what follows says more
        page.wait_for_function(_AGREES, arg=[selector, trace, values.ravel().tolist(), link], timeout=PATIENCE)
    settled(page, QUIET)


def test_arrow_keys_go_as_many_layers_as_they_are_pressed_and_back(open_page: Callable[..., Page]) -> None:
    page = open_page(model=DEEP)
    press(page, keys.LAYER, *["ArrowLeft"] * 8)
    assert_explore(page, model=DEEP, layer=3)
    press(page, keys.LAYER, "Home", "ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight", "ArrowRight", "ArrowLeft")
    assert_explore(page, model=DEEP, layer=2)


def test_of_heads_that_are_clicked_quickly_the_last_one_is_shown(open_page: Callable[..., Page]) -> None:
    page = open_page()
    for head in ("2", "mean", "3", "mean"):
        segment(page, keys.HEAD, head)
    assert_explore(page, layer=5)  # the address is as it was
    for head in ("0", "3", "max", "1", "2"):
        segment(page, keys.HEAD, head)
    assert_explore(page, layer=5, head=2)


def test_what_was_shown_before_comes_back_while_a_run_is_on_its_way(page: Page, server: Server) -> None:
    """A run may name no message that the page drops before that run's own messages come."""
    connection = Connection(page)
    page.goto(f"{server.url}/?{urlencode(SMALL)}")
    settled(page, timeout=3 * TIMEOUT)
    segment(page, keys.HEAD, "0")
    assert_explore(page, layer=5, head=0)
    connection.hold()
    segment(page, keys.HEAD, "1")
    connection.wait_for_finished_run()
    segment(page, keys.HEAD, "mean")
    connection.release()
    assert_explore(page, layer=5)


def test_clicks_on_many_controls_without_a_pause_all_count(open_page: Callable[..., Page]) -> None:
    page = open_page()
    segment(page, keys.HEAD, "3")
    segment(page, keys.VIEW, "Beside it")
    segment(page, keys.SCALE, "Own")
    select(page, keys.COLOURS, "Turbo")
    press(page, keys.LAYER, "ArrowLeft", "ArrowLeft")
    press(page, keys.OPACITY, "ArrowRight", "ArrowRight", "ArrowRight")
    assert_explore(page, layer=3, head=3, view="beside", scale="own", colours="turbo", opacity="68")
    assert selected(page, keys.VIEW) == "Beside it"
    assert selected(page, keys.SCALE) == "Own"
    assert slider(page, keys.OPACITY).input_value() == "68"


def test_models_and_sizes_that_are_chosen_quickly_fit_what_is_shown(open_page: Callable[..., Page]) -> None:
    page = open_page(size="128")
    select(page, keys.SIZE, "160 px")
    press(page, keys.LAYER, "ArrowLeft")
    select(page, keys.SIZE, "96 px")
    segment(page, keys.HEAD, "1")
    assert_explore(page, layer=4, head=1)


def test_a_click_in_a_chart_is_not_undone_by_the_next_control(open_page: Callable[..., Page]) -> None:
    page = open_page()
    click_map(page, keys.MOSAIC, 2, 1, wait=False)
    segment(page, keys.VIEW, "Beside it")
    segment(page, keys.SCALE, "Own")
    assert_explore(page, layer=2, head=1, view="beside", scale="own")


def test_clicks_in_two_charts_before_the_server_answers_both_count(page: Page, server: Server) -> None:
    connection = Connection(page)
    page.goto(f"{server.url}/?{urlencode(SMALL)}")
    settled(page, timeout=3 * TIMEOUT)
    connection.hold()  # an answer replaces the second chart, and with it what is being clicked
    click_map(page, keys.MOSAIC, 2, 1, wait=False)
    click_cell(page, chart(page, keys.OVERLAY), 2, 5, wait=False)
    connection.release()
    page.wait_for_url(lambda url: "layer=2" in url and "head=1" in url and "query=" in url, timeout=PATIENCE)
    assert drawn(settled(page, QUIET), keys.OVERLAY, "query")
    assert (slider(page, keys.LAYER).input_value(), selected(page, keys.HEAD)) == ("2", "1")


def test_after_a_click_in_a_chart_the_same_control_still_wins(open_page: Callable[..., Page]) -> None:
    page = open_page()
    click_map(page, keys.HEAD_GRID, 0, 1, wait=False)
    segment(page, keys.HEAD, "3")
    assert_explore(page, layer=5, head=3)
    click_map(page, keys.HEAD_GRID, 0, 0, wait=False)
    assert_explore(page, layer=5, head=0)


def test_the_ways_back_and_forward_bring_earlier_views(open_page: Callable[..., Page]) -> None:
    page = open_page()
    segment(page, keys.HEAD, "3")
    assert_explore(page, layer=5, head=3)
    segment(page, keys.HEAD, "1")
    assert_explore(page, layer=5, head=1)
    page.go_back()
    assert_explore(page, layer=5, head=3)
    page.go_forward()
    assert_explore(page, layer=5, head=1)


def assert_compare(page: Page, *panes: str, **link: str) -> None:
    """The panes' maps, their controls and the address say the same, and go on saying it."""
    model, layer, head = panes[0].split(":")[:3]
    first = engine_map(model, int(layer), int(head) if head.isdecimal() else head)
    agree(page, f".st-key-{keys.COMPARISON} .js-plotly-plot", "attention A", first, link)
    assert link_of(page)["pane"] == list(panes)
    assert {name: link_of(page)[name] for name in link} == {name: [value] for name, value in link.items()}
    for number, pane in enumerate(panes):
        model, layer, head = pane.split(":")[:3]
        values = engine_map(model, int(layer), int(head) if head.isdecimal() else head)
        shown = drawn(page, keys.COMPARISON, f"attention {'ABCDEFGH'[number]}")
        np.testing.assert_allclose(shown["z"], values, **CLOSE)
        assert slider(page, of_pane(keys.PANE_LAYER, number)).input_value() == layer
        assert page.locator(f".st-key-{of_pane(keys.PANE_HEAD, number)} input").input_value() == head


def open_compare(open_page: Callable[..., Page], *panes: str) -> Page:
    return open_page("compare", pane=list(panes))


def test_panes_follow_keys_and_choices_that_come_quickly(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page, "demo_vit_p8:5:mean", "demo_vit_p16:5:mean")
    press(page, of_pane(keys.PANE_LAYER, 0), *["ArrowLeft"] * 4)
    select(page, of_pane(keys.PANE_HEAD, 1), "2")
    press(page, of_pane(keys.PANE_LAYER, 1), "ArrowLeft", "ArrowLeft", "ArrowRight")
    segment(page, keys.COMPARE_SCALE, "Own")
    select(page, of_pane(keys.PANE_HEAD, 0), "1")
    assert_compare(page, "demo_vit_p8:1:1", "demo_vit_p16:4:2", pane_scale="own")


def test_what_is_done_to_panes_keeps_each_panes_own_choices(open_page: Callable[..., Page]) -> None:
    page = open_compare(open_page, "demo_vit_p8:5:mean", "demo_vit_p16:2:1:raw:cls")
    for number, title in ((0, "Duplicate"), (0, "Move right"), (1, "Move right")):
        in_menu(page, number, title)
        settled(page, QUIET)
    assert_compare(page, "demo_vit_p8:5:mean", "demo_vit_p16:2:1:raw:cls", "demo_vit_p8:5:mean")


def in_menu(page: Page, number: int, title: str) -> None:
    """Press a button in a pane's menu."""
    button = page.locator(f".st-key-pane_menu_{number} button").first
    button.click()
    page.get_by_role("button", name=title, exact=True).locator("visible=true").click()
    page.keyboard.press("Escape")


def test_the_page_heads_follows_choices_that_come_quickly(open_page: Callable[..., Page]) -> None:
    page = open_page("heads")
    segment(page, keys.HEADS_RANKING, "Global")
    segment(page, keys.HEADS_PROFILE, "Entropy")
    press(page, keys.HEADS_LAYER, *["ArrowLeft"] * 3)
    segment(page, keys.HEADS_ORDER, "By number")
    segment(page, keys.HEADS_RANKING, "Local")
    wanted = {"ranking": "local", "profile": "entropy", "similar_layer": "2", "similar_order": "number"}
    page.wait_for_url(lambda url: all(f"{name}={value}" in url for name, value in wanted.items()), timeout=PATIENCE)
    settled(page, QUIET)
    assert link_of(page) == {name: [value] for name, value in (SMALL | wanted).items()}
    assert slider(page, keys.HEADS_LAYER).input_value() == "2"
    assert selected(page, keys.HEADS_RANKING) == "Local"
