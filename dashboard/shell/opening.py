"""A head that was chosen on one page opens in Explore."""

import streamlit as st

from dashboard import keys
from dashboard.shell import page_state

EXPLORE = "views/explore.py"
_WANTED = "_open_in_explore"  # session state: whether a callback of this run asked for it


def choose(layer: int, head: int) -> dict[str, object]:
    """For a callback: what makes this head of the model in use the one that Explore shows, and asks for Explore."""
    return {keys.LAYER: int(layer), keys.HEAD: str(int(head)), _WANTED: True}


def follow(kind: type) -> None:
    """Early in a page with this state: go to Explore where a callback asked for it."""
    if st.session_state.pop(_WANTED, False):
        page_state.leave_for(EXPLORE, kind)
