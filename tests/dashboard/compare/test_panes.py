"""Panes are added, changed, ordered and removed; presets; they fill one after another and run no model twice."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.compare import page as compare_page
from dashboard.keys import of_pane
from dashboard.services import catalogue
from dashboard.testing import open_compare
from tests.dashboard.compare.fixtures_compare import (
    P8,
    P16,
    assert_maps,
    assert_works,
    opened,
    panes_of,
    picture_link,
    press,
)
from vit_engine.analysis.comparison import Pane

THREE = ("demo_vit_p16:0:0", "demo_vit_p16:1:1", "demo_vit_p8:2:2")
A, B, C = THREE


def reference(at: AppTest) -> str:
    """The letter of the pane that cannot be made the reference, for it is."""
    count = len(at.session_state[keys.PANES])
    (number,) = [one for one in range(count) if at.button(key=of_pane(keys.PANE_REFERENCE, one)).disabled]
    return "ABCDEFGH"[number]


def assert_panes(at: AppTest, *panes: str) -> None:
    """The controls, the link and the drawing are of these panes."""
    assert_works(at)
    assert panes_of(at) == list(panes)
    assert list(at.query_params["pane"]) == list(panes)
    assert_maps(at, *panes)


def test_a_new_pane_is_a_copy_of_the_last() -> None:
    assert_panes(press(opened(*THREE), keys.ADD_PANE), A, B, C, C)


def test_a_duplicate_stands_beside_its_pane() -> None:
    at = press(opened(*THREE, reference="B"), keys.PANE_DUPLICATE, 0)
    assert_panes(at, A, A, B, C)
    assert reference(at) == "C"  # still the same pane
    assert_panes(press(at, keys.PANE_DUPLICATE, 2), A, A, B, B, C)
    assert reference(at) == "C"


def test_eight_panes_can_be_had_and_no_more() -> None:
    eight = [f"demo_vit_p16:{layer}:{head}" for layer in (0, 5) for head in range(4)]
    at = opened(*eight)
    assert_panes(at, *eight)
    assert at.button(key=keys.ADD_PANE).disabled
    assert all(at.button(key=of_pane(keys.PANE_DUPLICATE, number)).disabled for number in range(8))
    assert len(at.dataframe(key=keys.AGREEMENT).value) == 28


@pytest.mark.parametrize(
    ("number", "left", "reference_before", "reference_after"),
    [(0, [B, C], "A", "A"), (0, [B, C], "C", "B"), (1, [A, C], "A", "A"), (2, [A, B], "B", "B"), (2, [A, B], "C", "A")],
)
def test_a_pane_can_be_removed(number: int, left: list[str], reference_before: str, reference_after: str) -> None:
    at = press(opened(*THREE, reference=reference_before), keys.PANE_REMOVE, number)
    assert_panes(at, *left)
    assert reference(at) == reference_after
    assert all(at.button(key=of_pane(keys.PANE_REMOVE, number)).disabled for number in range(2))


@pytest.mark.parametrize(
    ("key", "number", "order", "reference_after"),
    [
        (keys.PANE_RIGHT, 0, [B, A, C], "B"),
        (keys.PANE_LEFT, 1, [B, A, C], "B"),
        (keys.PANE_LEFT, 2, [A, C, B], "A"),
    ],
)
def test_a_pane_can_be_moved_and_the_reference_goes_along(
    key: str, number: int, order: list[str], reference_after: str
) -> None:
    at = press(opened(*THREE), key, number)
    assert_panes(at, *order)
    assert reference(at) == reference_after


def test_the_ends_cannot_be_moved_further() -> None:
    at = opened(*THREE)
    disabled = {
        (key, number): at.button(key=of_pane(key, number)).disabled
        for key in (keys.PANE_LEFT, keys.PANE_RIGHT)
        for number in range(3)
    }
    assert {place for place, is_so in disabled.items() if is_so} == {(keys.PANE_LEFT, 0), (keys.PANE_RIGHT, 2)}


def test_another_reference_is_marked_stands_in_the_link_and_leads_the_pairs() -> None:
    at = press(opened(*THREE), keys.PANE_REFERENCE, 2)
    assert reference(at) == at.query_params["reference"] == "C"
    assert at.dataframe(key=keys.AGREEMENT).value["first"].tolist() == ["C", "C", "A"]
    assert "reference" not in press(at, keys.PANE_REFERENCE, 0).query_params


def test_layer_head_and_model_are_chosen_for_each_pane_by_itself() -> None:
    at = opened(*THREE)
    at.slider(key=of_pane(keys.PANE_LAYER, 1)).set_value(4).run()
    assert_panes(at, A, "demo_vit_p16:4:1", C)
    at.selectbox(key=of_pane(keys.PANE_HEAD, 2)).set_value("max").run()
    assert_panes(at, A, "demo_vit_p16:4:1", "demo_vit_p8:2:max")
    at.selectbox(key=of_pane(keys.PANE_MODEL, 0)).set_value("random_demo_vit_p8").run()
    assert_panes(at, "random_demo_vit_p8:0:0", "demo_vit_p16:4:1", "demo_vit_p8:2:max")
    at.selectbox(key=of_pane(keys.PANE_HEAD, 0)).set_value("3").run()
    assert_panes(at, "random_demo_vit_p8:0:3", "demo_vit_p16:4:1", "demo_vit_p8:2:max")


def test_another_model_keeps_the_last_layer_the_last_and_the_rest_as_far_as_it_has_it() -> None:
    at = opened("demo_vit_p16:5:3", "demo_vit_p16:4:3")
    for number in range(2):
        at.selectbox(key=of_pane(keys.PANE_MODEL, number)).set_value("random_vit_tiny_p16").run()
    assert_panes(at, "random_vit_tiny_p16:11:2", "random_vit_tiny_p16:4:2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("patches", ["demo_vit_p8:1:2", "demo_vit_p16:1:2"]),
        ("last", ["demo_vit_p16:1:2", "demo_vit_p16:5:2"]),
        ("layers", [f"demo_vit_p16:{layer}:2" for layer in (0, 1, 3, 5)]),
        ("random", ["demo_vit_p16:1:2", "random_demo_vit_p16:1:2"]),
        ("heads", [f"demo_vit_p16:1:{head}" for head in range(4)]),
    ],
)
def test_a_preset_begins_at_the_reference_and_makes_the_first_pane_the_reference(
    name: str, expected: list[str]
) -> None:
    at = press(opened(A, "demo_vit_p16:1:2", reference="B"), f"{keys.PRESET}_{name}")
    assert_panes(at, *expected)
    assert reference(at) == "A"


def test_a_preset_that_cannot_be_had_says_why() -> None:
    button = opened().button(key=f"{keys.PRESET}_supervision")
    assert button.disabled
    assert "page Models" in button.help


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """For each drawing of the page, what its panes say: a message, or nothing where there is a map."""
    draw, seen = compare_page.compare_figure, []

    def watched(panels: list, **options: object) -> object:
        seen.append([panel.message for panel in panels])
        return draw(panels, **options)

    monkeypatch.setattr(compare_page, "compare_figure", watched)
    return seen


@pytest.mark.usefixtures("fresh_caches")
def test_panes_fill_one_after_another_and_a_model_that_is_in_two_panes_runs_once(
    runs: list[str], frames: list[list[str]]
) -> None:
    at = opened(P16, "demo_vit_p8:0:0", "demo_vit_p16:2:1")
    assert frames == [["…", "…", "…"], ["", "…", ""], ["", "", ""]]
    assert runs == ["demo_vit_p16", "demo_vit_p8"]
    assert_maps(at, P16, "demo_vit_p8:0:0", "demo_vit_p16:2:1")
    assert not at.get("progress")
    opened(P8, P16)  # in another session
    assert len(runs) == 2


@pytest.mark.usefixtures("fresh_caches")
def test_no_change_but_of_picture_size_or_model_runs_a_model(runs: list[str]) -> None:
    at = opened(P8, P16, query="0.4,0.7")
    assert sorted(runs) == ["demo_vit_p16", "demo_vit_p8"]
    at.slider(key=of_pane(keys.PANE_LAYER, 0)).set_value(1).run()
    at.selectbox(key=of_pane(keys.PANE_HEAD, 1)).set_value("2").run()
    for key in (keys.COMPARE_SHOW, keys.COMPARE_SCALE):
        for option in at.segmented_control(key=key).options:
            at.segmented_control(key=key).set_value(option.lower() if option != "Maps" else "map").run()
    at.select_slider(key=keys.COMPARE_KEEP).set_value(20).run()
    at.slider(key=keys.OPACITY).set_value(10).run()
    press(at, keys.RESET_QUERY)
    for key, number in ((keys.ADD_PANE, None), (keys.PANE_LEFT, 1), (keys.PANE_REFERENCE, 0), (keys.PANE_REMOVE, 0)):
        press(at, key, number)
    assert_works(at)
    assert len(runs) == 2
    at.selectbox(key=keys.SIZE).set_value(128).run()
    assert len(runs) == 4


def test_the_sidebar_has_no_model_and_is_there_on_every_run() -> None:
    at = opened()
    for _ in range(2):
        assert_works(at.run())
        assert keys.MODEL not in {box.key for box in at.sidebar.selectbox}
        assert keys.SCALE not in {control.key for control in at.sidebar.segmented_control}


def test_what_is_chosen_is_kept_over_a_visit_to_explore() -> None:
    at = opened(*THREE, reference="B", zoom="0.1,0.2,0.5,0.6", query="0.4,0.7")
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("mask")
    at.segmented_control(key=keys.COMPARE_SCALE).set_value("own")
    at.select_slider(key=keys.COMPARE_KEEP).set_value(35)
    at.segmented_control(key=keys.COMPARE_ROWS).set_value("all")
    at.segmented_control(key=keys.COMPARE_ORDER).set_value("difference")
    at.segmented_control(key=keys.COMPARE_CHART).set_value("violin")
    at.selectbox(key=keys.STATISTIC).set_value("distance_px").run()
    link, drawn = dict(at.query_params), at.get_by_key(keys.COMPARISON).proto.spec
    for page in ("explore", "guide"):
        at.switch_page(f"views/{page}.py").run()
        assert not at.exception
        at.query_params.clear()  # as a browser does
    at.switch_page("views/compare.py").run()
    assert_works(at)
    assert dict(at.query_params) == link
    assert at.get_by_key(keys.COMPARISON).proto.spec == drawn
    assert not at.warning


def test_the_first_visit_begins_at_what_explore_shows() -> None:
    link = {**picture_link(), "model": "demo_vit_p16", "layer": "2", "head": "1"}
    at = open_compare(**link)
    assert_panes(at, "demo_vit_p8:2:1", "demo_vit_p16:2:1")
    at = open_compare(**link, method="column")
    assert_works(at)
    assert list(at.query_params["pane"]) == ["demo_vit_p8:2:1:column", "demo_vit_p16:2:1:column"]


@pytest.mark.parametrize(
    ("others", "said"), [(":column", "Key: "), ("", "Key or query: ")], ids=["of one role", "of two"]
)
def test_the_chosen_token_is_called_what_it_is_to_the_panes_methods(others: str, said: str) -> None:
    at = opened("demo_vit_p8:2:1:column", f"demo_vit_p16:2:1{others}")
    assert sum(text.value.startswith(f"{said}**CLS token**") for text in at.markdown) == 1


def test_what_was_sent_before_the_browser_had_the_new_panes_changes_nothing() -> None:
    """A click right after another one brings along what the widgets said of the old panes."""
    at = opened("demo_vit_p16:5:mean", "demo_vit_p8:1:0", "demo_vit_p8:3:1")
    old = at._tree.get_widget_states()
    at.button(key=of_pane(keys.PANE_RIGHT, 0)).click().run()
    moved, reference = at.session_state[keys.PANES], at.session_state[keys.REFERENCE]
    assert [str(pane) for pane in moved] == ["demo_vit_p8:1:0", "demo_vit_p16:5:mean", "demo_vit_p8:3:1"]
    at._run(old)
    assert not at.exception
    assert (at.session_state[keys.PANES], at.session_state[keys.REFERENCE]) == (moved, reference) == (moved, 1)


def test_a_preset_of_fewer_panes_survives_what_was_sent_of_more() -> None:
    at = opened("demo_vit_p8:1:0", "demo_vit_p8:2:1", "demo_vit_p8:3:2", "demo_vit_p8:4:3")
    at.slider(key=of_pane(keys.PANE_LAYER, 3)).set_value(0)
    old = at._tree.get_widget_states()
    at.button(key=f"{keys.PRESET}_last").click().run()
    at._run(old)
    assert not at.exception
    assert [str(pane) for pane in at.session_state[keys.PANES]] == ["demo_vit_p8:1:0", "demo_vit_p8:5:0"]


def test_a_model_that_somebody_removed_can_be_exchanged_in_its_pane(monkeypatch: pytest.MonkeyPatch) -> None:
    at = opened("random_vit_tiny_p16:1:0", "demo_vit_p8:2:1")
    left = {name: spec for name, spec in catalogue.models().items() if name != "random_vit_tiny_p16"}
    monkeypatch.setattr(catalogue, "models", lambda: left)
    at.selectbox(key=of_pane(keys.PANE_MODEL, 0)).set_value("demo_vit_p16").run()
    assert not at.exception
    assert [str(pane) for pane in at.session_state[keys.PANES]] == ["demo_vit_p16:1:0", "demo_vit_p8:2:1"]


def test_panes_that_were_put_while_the_page_was_left_are_there_on_the_way_back() -> None:
    at = opened(P8, P16)
    at.session_state[keys.PANES] = (Pane("demo_vit_p8", 2, 1), Pane("demo_vit_p16", 3, 0))
    at.session_state["_made_panes"] = at.session_state["_made_panes"] + 1  # the page was left before it drew them
    at.switch_page("views/explore.py").run()
    at.switch_page("views/compare.py").run()
    assert panes_of(at) == ["demo_vit_p8:2:1", "demo_vit_p16:3:0"]


@pytest.mark.parametrize("marked", [False, True])
def test_what_widgets_said_of_panes_before_they_moved_changes_none_of_them(marked: bool) -> None:
    """marked: the browser knows that there are others, and has not got what all widgets say of them."""
    at = opened(f"{P8}:raw:0.3,0.4", P16)
    seen = at.number_input(key=keys.PANES_SEEN).value
    press(at, keys.PANE_DUPLICATE, 1)
    press(at, keys.PANE_RIGHT, 0)
    assert at.query_params["pane"] == [P16, f"{P8}:raw:0.3000,0.4000", P16]
    for number, query in enumerate(("own", "shared")):  # as a browser that has not got them yet
        at.segmented_control(key=of_pane(keys.PANE_QUERY, number)).set_value(query)
    if not marked:
        at.number_input(key=keys.PANES_SEEN).set_value(seen)
    at.number_input(key=keys.SEEN).set_value(0)
    at.segmented_control(key=keys.COMPARE_SCALE).set_value("own").run()
    assert at.query_params["pane"] == [P16, f"{P8}:raw:0.3000,0.4000", P16]
    assert at.query_params["pane_scale"] == "own"
