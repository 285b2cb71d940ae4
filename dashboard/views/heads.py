"""Heads: all heads of a model at once; which to look at, and which say the same."""

import streamlit as st

from dashboard import (
    controls,
    heads_controls,
    heads_rankings,
    heads_similarity,
    heads_statistics,
    opening,
    stage,
    widgets,
)
from dashboard.heads_state import NAMES, HeadsView
from dashboard.services import Analysis
from dashboard.state import Selection
from dashboard.texts import plain


def page() -> None:
    opening.follow()
    spec = controls.current_spec()
    controls.settle(spec)
    if notices := (*controls.notices(), *heads_controls.restore(spec)):
        st.warning("\n\n".join(map(plain, notices)), icon=":material/link_off:")
    title, below = st.container(key="title"), st.container(key="heads")
    selection, view = controls.selection(spec), heads_controls.view(spec)
    controls.share(selection, heads_controls.own_link(spec), names=NAMES)
    analysis = stage.analyse(selection, below)
    with title:
        stage.title(spec, selection, analysis)
    if analysis is not None:
        with below:
            _parts(analysis, selection, view)
    widgets.mark()
    if widgets.differed() and heads_controls.view(spec) != view:
        widgets.again()


def _parts(analysis: Analysis, selection: Selection, view: HeadsView) -> None:
    """Two by two; what may have to wait for other models comes last, in its place."""
    left, right = st.columns(2, gap="large")
    with left:
        heads_statistics.show_map(analysis, selection)
    below_left, below_right = st.columns([2, 3], gap="large")
    with below_left:
        heads_rankings.show(analysis, selection, view)
    with below_right:
        heads_similarity.show(analysis, selection, view)
    with right:
        heads_statistics.show_profile(analysis, selection, view)


page()
