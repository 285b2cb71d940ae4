"""Heads: all heads of a model at once; which to look at, and which say the same."""

from dataclasses import replace

import streamlit as st

from dashboard import keys
from dashboard.heads import rankings, similarity, statistics
from dashboard.heads.asked import ask
from dashboard.heads.state import HeadsView, fitting
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services import catalogue
from dashboard.services.analyses import Analysis, Request
from dashboard.shell import analysis_panel, method_control, opening, page_state, sidebar
from vit_engine import ModelSpec


def page() -> None:
    opening.follow(HeadsView)
    request = sidebar.request()
    spec = request.spec
    sidebar.settle(spec, per_head=True)
    _restore(spec)
    page_state.tell()
    title, below = st.container(key="title"), st.container(key="heads")
    selection, view = sidebar.selection(spec), _view(spec)
    page_state.share(method_control.with_set_aside(selection, spec), view)
    analysis = analysis_panel.analyse(request, title=title, stage=below)
    if analysis is not None:
        with below:
            _parts(request, analysis, selection, view)
    widgets.mark()
    if widgets.differed() and _view(spec) != view:
        widgets.again()


def _restore(spec: ModelSpec) -> None:
    """Bring a link's part for this page into the widgets, and them to what the model has; call before any of them."""
    page_state.restore(HeadsView, lambda view: {keys.HEADS_OVERLAY: list(view.overlay)}, model=spec.name)
    widgets.default(keys.HEADS_OVERLAY, [])
    page_state.defaults(HeadsView)
    last, layer = spec.depth - 1, widgets.value_of(keys.HEADS_LAYER)
    widgets.hold(keys.HEADS_LAYER, last if layer is None else min(layer, last), spec.depth)
    overlay = fitting(widgets.value_of(keys.HEADS_OVERLAY), models=catalogue.models(), model=spec.name)
    widgets.give(keys.HEADS_OVERLAY, list(overlay))


def _view(spec: ModelSpec) -> HeadsView:
    view = page_state.chosen(HeadsView, overlay=tuple(widgets.value_of(keys.HEADS_OVERLAY)))
    return replace(view, layer=None) if view.layer == spec.depth - 1 else view


def _parts(request: Request, analysis: Analysis, selection: Selection, view: HeadsView) -> None:
    """Two by two; what may have to wait for other models comes last, in its place."""
    asked = ask(request, analysis, selection)
    left, right = st.columns(2, gap="large")
    with left:
        statistics.show_map(analysis, selection)
    below_left, below_right = st.columns([2, 3], gap="large")
    with below_left:
        rankings.show(request, analysis, selection, view, asked)
    if asked is not None:
        with below_right:
            similarity.show(analysis, view, asked)
    with right:
        statistics.show_profile(request, analysis, view)
