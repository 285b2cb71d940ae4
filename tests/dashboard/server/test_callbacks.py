"""Presses that count although a newer input comes just after them."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner.script_runner import ScriptRunnerEvent
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.local_script_runner import LocalScriptRunner

from dashboard.server.callbacks import uninterrupted_callbacks
from dashboard.testing import APP, TIMEOUT


def press_in_a_callback() -> None:
    import streamlit as st  # noqa: PLC0415  (a script of its own)

    def press() -> None:
        for _ in range(3):  # each a touch of the session state
            st.session_state["presses"] = st.session_state.get("presses", 0) + 1

    st.button("Press", key="press", on_click=press)
    st.text(f"presses: {st.session_state.get('presses', 0)}")


def press_in_the_script() -> None:
    import streamlit as st  # noqa: PLC0415

    from dashboard.shell.controls import button  # noqa: PLC0415

    st.text("What stands before the button.")
    if button("Press", key="press"):
        st.session_state["presses"] = st.session_state.get("presses", 0) + 1
    st.text(f"presses: {st.session_state.get('presses', 0)}")


def press_of_what_changes() -> None:
    import streamlit as st  # noqa: PLC0415

    from dashboard.shell.controls import button  # noqa: PLC0415

    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    st.text("What stands before the button.")
    pressed = button("Press", key="press", made_for=st.session_state["runs"])
    st.text(f"pressed: {pressed}")


@pytest.fixture
def newer_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[ScriptRunnerEvent], None]:
    """Has a newer input, which presses nothing, come at the first event of a kind in the next run."""
    run = LocalScriptRunner.run

    def at(awaited: ScriptRunnerEvent) -> None:
        def run_with_input(runner: LocalScriptRunner, widgets: WidgetStates, *args: Any, **kwargs: Any) -> Any:
            other = WidgetStates(widgets=[each for each in widgets.widgets if not each.trigger_value])
            came: list[ScriptRunnerEvent] = []

            def come(_: object, event: ScriptRunnerEvent, **__: Any) -> None:
                if event == awaited and not came:
                    came.append(event)
                    runner.request_rerun(RerunData(widget_states=other))

            runner.on_event.connect(come, weak=False)
            tree = run(runner, widgets, *args, **kwargs)
            assert runner.events.count(ScriptRunnerEvent.SCRIPT_STOPPED_FOR_RERUN) == 1
            return tree

        monkeypatch.setattr(LocalScriptRunner, "run", run_with_input)

    return at


def test_a_press_counts_where_a_newer_input_comes_before_its_callback(
    newer_input: Callable[[ScriptRunnerEvent], None],
) -> None:
    at = AppTest.from_function(press_in_a_callback).run()
    newer_input(ScriptRunnerEvent.SCRIPT_STARTED)
    with uninterrupted_callbacks():
        at.button(key="press").click().run()
    assert at.text[0].value == "presses: 3"


def test_a_press_counts_where_a_newer_input_comes_before_the_script_gets_to_its_button(
    newer_input: Callable[[ScriptRunnerEvent], None],
) -> None:
    at = AppTest.from_function(press_in_the_script).run()
    newer_input(ScriptRunnerEvent.ENQUEUE_FORWARD_MSG)
    with uninterrupted_callbacks():
        at.button(key="press").click().run()
    assert at.text[1].value == "presses: 1"


def test_a_press_counts_for_nothing_that_a_newer_input_puts_in_its_place(
    newer_input: Callable[[ScriptRunnerEvent], None],
) -> None:
    at = AppTest.from_function(press_of_what_changes).run()
    newer_input(ScriptRunnerEvent.ENQUEUE_FORWARD_MSG)
    with uninterrupted_callbacks():
        at.button(key="press").click().run()
    assert at.text[1].value == "pressed: False"
    assert "_pressed_press" not in at.session_state


def test_a_press_on_a_page_that_was_left_at_once_is_forgotten() -> None:
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    at.query_params["size"] = "96"
    at.session_state["_pressed_open_model"] = "demo_vit_p16"
    at.run()
    assert "_pressed_open_model" not in at.session_state


def test_what_streamlit_does_is_as_before_where_the_server_has_ended(
    newer_input: Callable[[ScriptRunnerEvent], None],
) -> None:
    at = AppTest.from_function(press_in_a_callback).run()
    newer_input(ScriptRunnerEvent.SCRIPT_STARTED)
    with uninterrupted_callbacks():
        pass
    at.button(key="press").click().run()
    assert at.text[0].value == "presses: 0", "Streamlit keeps such presses by now: dashboard/server/callbacks.py can go"
