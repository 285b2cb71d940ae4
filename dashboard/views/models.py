"""Models: what can be loaded, what is here, what it costs, and what happened when it was loaded."""

import streamlit as st

from dashboard import checkpoint_controls, controls, keys, model_details, model_table, services, widgets
from dashboard.texts import plain


def page() -> None:
    widgets.mark()
    if notices := controls.notices():
        st.warning("\n\n".join(map(plain, notices)), icon=":material/link_off:")
    with st.container(key="models_page"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.markdown("#### Models", width="content")
            model_table.memory_meter()
        model_table.show()
        model_details.show(services.find_row(_shown()))
        checkpoint_controls.show()


def _shown() -> str:
    """The model whose details are shown: the one that was clicked, as long as it is there, else the one in use."""
    chosen = st.session_state.get(keys.SHOWN_MODEL)
    return chosen if chosen in services.models() else st.session_state[keys.MODEL]


page()
