"""Heads: all heads of a model at once; which to look at, and which say the same."""

import streamlit as st

from dashboard.heads import controls, rankings, similarity, statistics
from dashboard.heads.state import HeadsView
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services.analyses import Analysis, Request
from dashboard.shell import analysis_panel, opening, page_state, sidebar


def page() -> None:
    opening.follow(HeadsView)
    request = sidebar.request()
    spec = request.spec
    sidebar.settle(spec, per_head=True)
    controls.restore(spec)
    page_state.tell()
    title, below = st.container(key="title"), st.container(key="heads")
    selection, view = sidebar.selection(spec), controls.view(spec)
    page_state.share(selection, view)
    analysis = analysis_panel.analyse(request, title=title, stage=below)
    if analysis is not None:
        with below:
            _parts(request, analysis, selection, view)
    widgets.mark()
    if widgets.differed() and controls.view(spec) != view:
        widgets.again()


def _parts(request: Request, analysis: Analysis, selection: Selection, view: HeadsView) -> None:
    """Two by two; what may have to wait for other models comes last, in its place."""
    left, right = st.columns(2, gap="large")
    with left:
        statistics.show_map(analysis, selection)
    below_left, below_right = st.columns([2, 3], gap="large")
    with below_left:
        rankings.show(analysis, selection, view)
    with below_right:
        similarity.show(analysis, selection, view)
    with right:
        statistics.show_profile(request, analysis, view)
