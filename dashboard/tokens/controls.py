"""The controls of the page Tokens, and what they say."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.services.pictures import Picture
from dashboard.shell import page_state
from dashboard.shell.controls import layer_slider, segments, selectbox
from dashboard.tokens import second
from dashboard.tokens.state import ALL_HEADS, ALL_PATCHES, NO_PICTURE, TokensView
from vit_engine import ModelSpec
from vit_engine.planning.plan import FACETS, TOKEN

_DEPTH = "_token_depth"  # session state: the layers of the model that was drawn last
_VIEWS = {"pca": "PCA", "similarity": "Similarity", "norms": "Norms"}
_VIEW_HELP = (
    "PCA: the first three principal components of all patches as red, green and blue, so that similar patches "
    "have similar colours. Similarity: cosine similarity of every patch to the one that was clicked, 1 for the same "
    "direction. Norms: the Euclidean length of every token, which shows outliers."
)
_FACETS = {facet: name.capitalize() for facet, name in FACETS.items()}
_FACET_HELP = (
    "Tokens: what leaves a layer's block, after the model's final norm. Queries, keys and values: what its attention "
    "makes of the tokens that enter the block; keys often tell parts of objects apart best."
)
_FOREGROUNDS = {ALL_PATCHES: "Off", "high": "High", "low": "Low"}
_FOREGROUND_HELP = (
    "Colours only the patches whose first component is high, or low: one of the two sides often is the subject. "
    "The components are then fitted to that side alone. Where the background is coloured, choose the other side."
)


def restore(spec: ModelSpec) -> None:
    """Bring a link's part for this page into the widgets, and them to what the model has; call before any of them."""
    page_state.restore(TokensView, second.opened, model=spec.name)
    page_state.defaults(TokensView)
    state, last, layer = st.session_state, spec.depth - 1, widgets.value_of(keys.TOKEN_LAYER)
    was_last = state.get(_DEPTH) not in (None, spec.depth) and layer == state[_DEPTH] - 1
    widgets.hold(keys.TOKEN_LAYER, last if layer is None or was_last else min(layer, last), spec.depth)
    if widgets.value_of(keys.TOKEN_HEAD) not in _heads(spec):
        widgets.give(keys.TOKEN_HEAD, ALL_HEADS)
    state[_DEPTH] = spec.depth


def _heads(spec: ModelSpec) -> dict[str, str]:
    return {ALL_HEADS: "All", **{str(head): str(head) for head in range(spec.heads)}}


def view_control() -> None:
    segments("Show", _VIEWS, key=keys.TOKENS_VIEW, help=_VIEW_HELP)


def facet_controls(spec: ModelSpec) -> None:
    """What is looked at: the facet, of which head, and of which patches."""
    _choice("Features", _FACETS, key=keys.FACET, help=_FACET_HELP, width=115)
    if widgets.value_of(keys.FACET) != TOKEN:
        _choice("Head", _heads(spec), key=keys.TOKEN_HEAD, help="One head's, or all heads' side by side.", width=85)
    if widgets.value_of(keys.TOKENS_VIEW) == "pca":
        _choice("Foreground", _FOREGROUNDS, key=keys.FOREGROUND, help=_FOREGROUND_HELP, width=115)


def _choice(label: str, titles: Mapping[str, str], *, key: str, help: str, width: int) -> None:
    selectbox(label, list(titles), key=key, format_func=titles.__getitem__, help=help, width=width, filter_mode=None)


def layer_control(spec: ModelSpec) -> None:
    layer_slider(spec.depth, key=keys.TOKEN_LAYER, help="Counted from 0. Moving it does not run the model again.")


def chosen(spec: ModelSpec, other: Picture | None) -> TokensView:
    """What the widgets say now, as it stands in the link. other: the second picture."""
    view = page_state.chosen(TokensView, second=NO_PICTURE if other is None else other.name)
    view = view if other is not None else replace(view, asks=None)
    head = view.head if view.facet != TOKEN else ALL_HEADS
    return replace(view, head=head, layer=None if view.layer == spec.depth - 1 else view.layer)
