"""Models: what can be loaded, what is here, what it costs, and what happened when it was loaded."""

import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.models import checkpoint_controls, details, table
from dashboard.services import catalogue
from dashboard.shell import page_state


def page() -> None:
    widgets.mark()
    page_state.tell()
    with st.container(key="models_page"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown("#### Models", width="content")
            table.memory_meter()
        table.show()
        details.show(catalogue.find_row(_shown()))
        checkpoint_controls.show()


def _shown() -> str:
    """The model whose details are shown: the one that was clicked, as long as it is there, else the one in use."""
    chosen = st.session_state.get(keys.SHOWN_MODEL)
    return chosen if chosen in catalogue.models() else st.session_state[keys.MODEL]
