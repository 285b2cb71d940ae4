"""What the browser says with a run of the script, beside its widgets' values and its address.

Streamlit knows both and has no public name for them; what breaks with another release of it breaks here.
"""

from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.state.common import user_key_from_element_id


def went_back() -> bool:
    """Whether this run is for a step back or forward in the browser's history."""
    context = get_script_run_ctx()
    return context is not None and context.is_history_navigation


def is_set_since(key: str) -> bool:
    """Whether the session state was given this value after what the browser sent last: by this run or its callbacks.

    Or by the run before, where that asked for this one and the browser sent nothing between the two.
    """
    context = get_script_run_ctx()
    return context is not None and context.session_state.is_new_state_value(key)


def brought() -> frozenset[str]:
    """The keys of the widgets whose values came with a session's first run.

    None on a page that is being opened. All that are on the screen where the browser has the page already and met
    another server in its place. Call before any widget.
    """
    context = get_script_run_ctx()
    states = [] if context is None else context.session_state.get_widget_states()
    return frozenset(key for state in states if (key := user_key_from_element_id(state.id)))
