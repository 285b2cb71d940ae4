"""What was chosen on one page opens on another: a head in Explore, and its keys on Tokens."""

import streamlit as st

from dashboard import keys
from dashboard.shell import method_control, page_state

EXPLORE, TOKENS = "views/explore.py", "views/tokens.py"
_WANTED = "_open_page"  # session state: the page that a callback of this run asked for


def choose(layer: int, head: int) -> dict[str, object]:
    """For a callback: what makes this head of the model in use the one that Explore shows, and asks for Explore.

    By the method that is shown here: one without heads, which Explore showed before, has no map of it.
    """
    shown = method_control.forget_set_aside()
    return {keys.LAYER: int(layer), keys.HEAD: str(int(head)), **shown, _WANTED: EXPLORE}


def choose_keys(layer: int, head: int) -> dict[str, object]:
    """For a callback: what makes the keys of this head the features that Tokens shows, and asks for Tokens."""
    head_keys = {keys.FACET: "key", keys.TOKEN_LAYER: int(layer), keys.TOKEN_HEAD: str(int(head))}
    return {**head_keys, _WANTED: TOKENS}


def follow(*kinds: type) -> None:
    """Early in a page with these states of its own: go to the page that a callback asked for."""
    if page := st.session_state.pop(_WANTED, ""):
        page_state.leave_for(page, *kinds)
