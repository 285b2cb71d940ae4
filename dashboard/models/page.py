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
        clicked = st.session_state.get(keys.SHOWN_MODEL)  # which may have gone since
        details.show(catalogue.find_row(clicked if clicked in catalogue.models() else st.session_state[keys.MODEL]))
        checkpoint_controls.show()
