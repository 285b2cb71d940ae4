"""The widgets of the page Heads, and the view that they make."""

from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.heads.state import (
    MAX_OVERLAY,
    THRESHOLDS,
    HeadsView,
    fitting,
)
from dashboard.links import widgets
from dashboard.services import catalogue
from dashboard.shell import page_state
from dashboard.shell.controls import csv_button, segments
from dashboard.shell.formatting import file_name
from vit_engine import ModelSpec
from vit_engine.trace.statistics import STATISTICS, Column

_PROFILE_TITLES = {"statistic": "This statistic", "entropy": "Entropy", "distance": "Attention distance"}
_RANKING_TITLES = {
    "focused": "Focused",
    "local": "Local",
    "global": "Global",
    "unlike": "Unlike",
    "redundant": "Redundant",
}
_SCOPE_TITLES = {"layer": "One layer", "all": "All layers"}
_ORDER_TITLES = {"cluster": "By likeness", "number": "By number"}


def restore(spec: ModelSpec) -> None:
    """Bring a link's part for this page into the widgets, and them to what the model has; call before any of them."""
    page_state.restore(HeadsView, lambda view: {keys.HEADS_OVERLAY: list(view.overlay)}, model=spec.name)
    widgets.default(keys.HEADS_OVERLAY, [])
    page_state.defaults(HeadsView)
    last, layer = spec.depth - 1, widgets.value_of(keys.HEADS_LAYER)
    widgets.hold(keys.HEADS_LAYER, last if layer is None else min(layer, last), spec.depth)
    overlay = fitting(widgets.value_of(keys.HEADS_OVERLAY), models=catalogue.models(), model=spec.name)
    widgets.give(keys.HEADS_OVERLAY, list(overlay))


def view(spec: ModelSpec) -> HeadsView:
    """What the widgets say now."""
    chosen = page_state.chosen(HeadsView, overlay=tuple(widgets.value_of(keys.HEADS_OVERLAY)))
    return replace(chosen, layer=None) if chosen.layer == spec.depth - 1 else chosen


def statistic() -> Column:
    """Which statistic is mapped."""
    name = st.selectbox(
        "Statistic",
        list(STATISTICS),
        key=keys.HEADS_STATISTIC,
        persist_state="session",
        format_func=lambda option: titled(STATISTICS[option]),
        label_visibility="collapsed",
    )
    return STATISTICS[name]


def titled(column: Column) -> str:
    """A statistic's title with its unit."""
    return column.title if column.unit == "0..1" else f"{column.title} ({column.unit})"


def profile() -> None:
    """Which statistic is drawn by depth."""
    segments("Profile", _PROFILE_TITLES, key=keys.HEADS_PROFILE, collapsed=True, wrap=True)


def overlay(spec: ModelSpec) -> None:
    """Which models are drawn beside the one in use."""
    specs = catalogue.models()
    st.multiselect(
        "Models beside it",
        [name for name in specs if name != spec.name],
        key=keys.HEADS_OVERLAY,
        format_func=lambda name: specs[name].title,
        max_selections=MAX_OVERLAY,
        persist_state="session",
        placeholder="Overlay other models on the same picture",
        label_visibility="collapsed",
        wrap=True,
    )


def ranking() -> None:
    """What heads are ranked by."""
    segments("Ranking", _RANKING_TITLES, key=keys.HEADS_RANKING, collapsed=True, wrap=True)


def similarity(spec: ModelSpec) -> None:
    """Which heads the matrix is of, and in which order."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="similarity_controls"):
        segments("Heads", _SCOPE_TITLES, key=keys.HEADS_SCOPE, collapsed=True, wrap=True)
        segments("Order", _ORDER_TITLES, key=keys.HEADS_ORDER, collapsed=True, wrap=True)
    left, right = st.columns(2, gap="medium")
    with left:
        st.slider(
            "Layer",
            0,
            max(spec.depth - 1, 1),
            key=keys.HEADS_LAYER,
            persist_state="session",
            disabled=spec.depth == 1 or st.session_state[keys.HEADS_SCOPE] == "all",  # a slider has two ends
        )
        widgets.made(keys.HEADS_LAYER, spec.depth)
    with right:
        redundant()


def redundant() -> None:
    """How near heads must be to be a redundant group."""
    st.select_slider(
        "Redundant up to",
        THRESHOLDS,
        key=keys.HEADS_REDUNDANT,
        format_func=lambda bits: f"{bits:g} bits",
        persist_state="session",
        help="In a redundant group no two heads are further apart than this. 0 bits: the same map; 1 bit: no patch "
        "in common.",
    )


def download(frame: pd.DataFrame, name: str, *, key: str, help: str) -> None:
    """A button that gives a table as a CSV file of this name, made once it is pressed: one of all pairs is large."""
    csv_button(partial(_csv, frame), f"{file_name(name)}.csv", key=key, help=help, type="tertiary")


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False)
