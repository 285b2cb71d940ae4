"""Values of the server's process, shared by all sessions and out of reach of any of them.

Not st.cache_resource: any client can send Streamlit's "clear cache", which would take everybody's uploads, analyses
and jobs away. Only models are cached there, and even of those the store is kept here.
"""

import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

Value = TypeVar("Value")
_values: dict[Callable, object] = {}
_lock = threading.RLock()  # a value may be made of another one


def once_per_process(make: Callable[[], Value]) -> Callable[[], Value]:
    """A function that makes its value once, at the first call in any thread, and returns the same ever after."""

    @wraps(make)
    def value() -> Value:
        with _lock:
            if make not in _values:
                _values[make] = make()
            return _values[make]  # type: ignore[return-value]  # of this function

    return value


def forget_all() -> None:
    """Discard all values, Streamlit's caches too; each is made again at its next use. For tests: an empty server."""
    st.cache_resource.clear()
    st.cache_data.clear()
    with _lock:
        _values.clear()


def session() -> str:
    """The name of the session whose script runs in this thread; empty in a thread of the server's own."""
    context = get_script_run_ctx(suppress_warning=True)
    return "" if context is None else context.session_id
