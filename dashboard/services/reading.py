"""The jobs that read weight files: one at a time, because each has a whole file in memory."""

import streamlit as st

from dashboard.jobs import Jobs


@st.cache_resource(show_spinner=False)
def readers() -> Jobs:
    """Of this server."""
    return Jobs(at_once=1, waiting="waiting for another weight file to be read")
