"""The second picture of the page Tokens: none, a sample or an upload, and its size."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.links.selection import SIZES
from dashboard.samples import SAMPLES, find_sample
from dashboard.services import pictures
from dashboard.services.pictures import Picture
from dashboard.services.tokens import TokenAnalysis, TokenRequest
from dashboard.shell import analysis_panel, picture_controls
from dashboard.shell.controls import segments, selectbox
from dashboard.shell.picture_controls import SAMPLE_TITLES, PictureKeys
from dashboard.tokens.maps import Query
from dashboard.tokens.state import AS_FIRST, NO_PICTURE, TokensView
from vit_engine.analysis.comparison import Point

SECOND = PictureKeys(
    source=keys.SECOND_SOURCE,
    sample=keys.SECOND_SAMPLE,
    upload=keys.SECOND_UPLOAD,
    uploaded=keys.SECOND_UPLOADED,
    remove=keys.REMOVE_SECOND,
)
_NONE = "none"
_SOURCE_TITLES = {_NONE: "None", "samples": "Sample", "upload": "Upload"}
_HELP = (
    "Runs in the same model. Patches that are each other's nearest neighbour are joined by lines, a click shows "
    "similarity in both pictures, and principal components are fitted to both."
)
_SIZE_HELP = "The second picture's short side. Another size than the first one's also compares a picture with itself."
_FIRST_QUERY = "_first_query"  # session state: what keys.QUERY was when the query last stood in the second picture


def opened(view: TokensView) -> Mapping[str, Any]:
    """What a link to this view sets besides its parameters' own keys."""
    source = {keys.SECOND_SOURCE: _NONE} if view.second == NO_PICTURE else SECOND.opened(view.second)
    return {**source, _FIRST_QUERY: widgets.value_of(keys.QUERY)}


def ask(point: tuple[float, float]) -> dict[str, Any]:
    """What makes a point of the second picture the query, in fractions of it; keys.QUERY stays."""
    return {keys.ASKS: point, _FIRST_QUERY: st.session_state.get(keys.QUERY)}


def ask_first(point: tuple[float, float] | None) -> dict[str, Any]:
    """What makes a point of the first picture the query; None for its CLS token."""
    return {keys.QUERY: point, keys.ASKS: None}


def query(analyses: Sequence[TokenAnalysis], point: Point | None, view: TokensView) -> Query:
    """Of the first picture's point, or of the second's, where there is a second and it has one."""
    if len(analyses) > 1 and view.asks is not None:
        return Query(analyses[1].patch(view.asks), 1)
    return Query(analyses[0].patch(point))


def analyse(request: TokenRequest, other: Picture | None, view: TokensView) -> TokenAnalysis | None:
    """The second picture, asked for like the first; None where there is none, or, with the reason, if it fails."""
    if other is None:
        return None
    size = request.size if view.second_size == AS_FIRST else view.second_size
    return analysis_panel.run(TokenRequest(other, request.spec, size, request.facet))


def show(first: Picture) -> Picture | None:
    """The controls; returns the second picture. Call after the page's link was restored."""
    _settle(first)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="second_picture"):
        source = segments("Second picture", _SOURCE_TITLES, key=keys.SECOND_SOURCE, help=_HELP)
        if source == "samples":
            selectbox(
                "Sample",
                list(SAMPLE_TITLES),
                key=keys.SECOND_SAMPLE,
                format_func=SAMPLE_TITLES.__getitem__,
                width=170,
                filter_mode=None,
            )
        if source != _NONE:
            selectbox(
                "Its short side",
                (AS_FIRST, *SIZES),
                key=keys.SECOND_SIZE,
                format_func=_size,
                help=_SIZE_HELP,
                width=150,
                filter_mode=None,
            )
        _offer_pair(first)
    if source == "samples":
        return pictures.sample_picture(st.session_state[keys.SECOND_SAMPLE])
    return picture_controls.take(picture_controls.file_control(SECOND), SECOND) if source == "upload" else None


def _settle(first: Picture) -> None:
    """The sample to begin with is another one than the first picture; a new query takes the place of the second's."""
    widgets.default(keys.SECOND_SOURCE, _NONE)
    widgets.default(keys.SECOND_SAMPLE, next(sample.name for sample in SAMPLES if sample.name != first.sample))
    if st.session_state.get(_FIRST_QUERY) != widgets.value_of(keys.QUERY):
        widgets.give(keys.ASKS, None)


def _size(side: int) -> str:
    return "as the first" if side == AS_FIRST else f"{side} px"


def _offer_pair(first: Picture) -> None:
    """One click to the other eye, where the first picture is one of a stereo pair."""
    sample = find_sample(first.sample)
    pair = find_sample(sample.pair) if sample is not None else None
    chosen = st.session_state[keys.SECOND_SOURCE], st.session_state.get(keys.SECOND_SAMPLE)
    if pair is not None and chosen != ("samples", pair.name):
        st.button(
            f"Compare with {pair.title}",
            key=keys.COMPARE_PAIR,
            on_click=widgets.take,
            args=(SECOND.opened, pair.name),
            type="tertiary",
            icon=":material/compare:",
        )
