"""Callbacks of widgets that come to their end.

Streamlit looks for a newer request at every touch of the session state, from just before a run's callbacks on, and
gives the run up for it. The press of a button that came with that run is then lost, or its callback ends halfway, where
another input follows within milliseconds. Here it looks again only once the callbacks are through. That needs
runner.fastReruns = false, as .streamlit/config.toml has it: else the newer run would begin beside these callbacks.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.state.safe_session_state import SafeSessionState


@contextmanager
def uninterrupted_callbacks() -> Iterator[None]:
    """Within it, a newer request of a session waits until the callbacks of the run before have ended."""
    look, call = ScriptRunner._maybe_handle_execution_control_request, SafeSessionState.on_script_will_rerun
    thread = threading.local()

    def look_between(runner: ScriptRunner) -> None:
        if not getattr(thread, "in_callbacks", False):
            look(runner)

    def call_to_the_end(state: SafeSessionState, *args: Any, **kwargs: Any) -> None:
        thread.in_callbacks = True
        try:
            call(state, *args, **kwargs)
        finally:
            thread.in_callbacks = False

    _replace(look_between, call_to_the_end)
    try:
        yield
    finally:
        _replace(look, call)


def _replace(look: Any, call: Any) -> None:
    ScriptRunner._maybe_handle_execution_control_request = look  # type: ignore[method-assign]
    SafeSessionState.on_script_will_rerun = call  # type: ignore[method-assign]
