"""Values that the server gives to widgets, and a browser that has not got them yet."""

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.links import widgets
from dashboard.testing import click_layer_and_head
from tests.dashboard.support import assert_drawn, open_small, small_trace


def page() -> None:
    """Two controls and a button that gives one of them a value, as pages have them."""
    import streamlit as st  # noqa: PLC0415  (AppTest runs this function's source alone)

    from dashboard.links import widgets  # noqa: PLC0415

    if not st.session_state.pop("given_up", False):  # as where a newer input waits already
        widgets.begin("one")
    widgets.default("level", 5)
    if "wanted" in st.session_state:
        widgets.give("level", st.session_state.pop("wanted"))
    top = st.session_state.get("top", 9)
    widgets.hold("level", min(widgets.value_of("level"), top), top)
    st.slider("Level", 0, top, key="level")
    widgets.made("level", top)
    st.slider("Other", 0, 9, key="other")
    widgets.mark()
    st.button("Two", key="two", on_click=widgets.take, args=(lambda: {"level": 2},))
    st.button("Three", key="three", on_click=widgets.take, args=(lambda: {"level": 3},))


def opened() -> AppTest:
    at = AppTest.from_function(page).run()
    assert not at.exception
    return at


def stale(at: AppTest, level: int, *, seen: int = 0) -> AppTest:
    """What comes from a browser that has not got the last run's values: of the slider and of the hidden number."""
    at.slider(key="level").set_value(level)
    at.number_input(key=keys.SEEN).set_value(seen)
    return at


def test_a_value_that_the_browser_has_not_got_yet_is_not_undone_by_its_next_input() -> None:
    at = opened()
    at.button(key="two").click().run()
    assert at.slider(key="level").value == 2
    stale(at, 5).slider(key="other").set_value(7).run()
    assert (at.slider(key="level").value, at.slider(key="other").value) == (2, 7)
    stale(at, 5).slider(key="other").set_value(8).run()
    assert (at.slider(key="level").value, at.slider(key="other").value) == (2, 8)


def test_of_two_values_that_the_browser_has_not_got_yet_the_last_stays() -> None:
    at = opened()
    at.button(key="two").click().run()
    at.session_state["wanted"] = 3  # as of a link, beside no input
    stale(at, 5).run()
    stale(at, 5).slider(key="other").set_value(7).run()
    assert (at.slider(key="level").value, at.slider(key="other").value) == (3, 7)


def test_of_a_given_value_and_a_persons_own_since_the_persons_own_stands() -> None:
    at = opened()
    at.button(key="two").click().run()
    stale(at, 4).run()
    assert at.slider(key="level").value == 4
    assert at.get_by_key("level").proto.set_value  # the 2 is still on its way to the browser


def test_a_value_that_is_given_with_the_news_that_the_browser_has_the_last_one_is_not_undone() -> None:
    at = opened()
    at.button(key="two").click().run()
    stale(at, 2, seen=1).button(key="three").click().run()
    assert at.slider(key="level").value == 3
    stale(at, 2, seen=1).slider(key="other").set_value(7).run()
    assert (at.slider(key="level").value, at.slider(key="other").value) == (3, 7)


def test_once_the_browser_has_the_value_the_one_from_before_can_be_chosen_again() -> None:
    at = opened()
    at.button(key="two").click().run()
    at.slider(key="level").set_value(5).run()
    assert at.slider(key="level").value == 5


def test_an_input_is_not_set_back_into_the_browser() -> None:
    at = opened()
    for level in (4, 3, 2):
        at.slider(key="level").set_value(level).run()
        assert not at.get_by_key("level").proto.set_value


def test_a_slider_of_another_range_says_what_the_one_before_said() -> None:
    at = opened()
    at.session_state["top"] = 7
    assert at.run().slider(key="level").value == 5
    at.session_state["top"] = 3
    assert at.run().slider(key="level").value == 3


def test_a_callback_is_done_to_the_end_though_a_newer_input_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    done, newer = [], RerunException(RerunData(query_string="newer"))
    waiting = [newer, newer]

    def give(key: str, value: int) -> None:
        if waiting:
            raise waiting.pop()
        done.append((key, value))

    monkeypatch.setattr(widgets, "give", give)
    with pytest.raises(RerunException) as raised:
        widgets.take(lambda: {"layer": 3, "head": 1})
    assert raised.value is newer
    assert done == [("layer", 3), ("head", 1)]


def test_in_explore_a_click_in_a_chart_outlasts_an_input_that_did_not_know_of_it() -> None:
    at = click_layer_and_head(open_small(), layer=2, head=1)
    at.slider(key=keys.LAYER).set_value(5)
    at.segmented_control(key=keys.HEAD).set_value("mean")
    at.number_input(key=keys.SEEN).set_value(0)
    at.slider(key=keys.OPACITY).set_value(40).run()
    assert_drawn(at, small_trace(), layer=2, head=1)
    assert at.slider(key=keys.OPACITY).value == 40


def test_a_click_whose_run_was_given_up_before_it_began_is_not_undone_either() -> None:
    at = opened()
    at.session_state["given_up"] = True
    at.button(key="two").click().run()
    stale(at, 5).slider(key="other").set_value(7).run()
    assert (at.slider(key="level").value, at.slider(key="other").value) == (2, 7)
