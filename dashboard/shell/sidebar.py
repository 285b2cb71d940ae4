"""The widgets of the sidebar and of Explore, and the Selection that they make."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import fields, replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.charts import AUTO
from dashboard.links import widgets
from dashboard.links.selection import CLIPS, COLOURS, DEFAULT, SIZES, Selection, clamp_to_model
from dashboard.services import catalogue
from dashboard.services.analyses import Request
from dashboard.services.pictures import Picture
from dashboard.services.requests import PictureRequest
from dashboard.services.tokens import TokenRequest
from dashboard.shell import method_control, page_state, picture_controls
from dashboard.shell.controls import segments, select_slider, selectbox
from dashboard.shell.formatting import format_duration, plain
from vit_engine import ModelSpec, VitEngineError

_DEPTH = "_depth"  # session state: the layers of the model that was drawn last
# Of the run of the script in this thread, and gone with it: in the session's state they would keep pixels in memory.
_picture: ContextVar[Picture] = ContextVar("picture")
_request: ContextVar[Request] = ContextVar("request")
_cost_place: ContextVar[DeltaGenerator] = ContextVar("cost_place")
_SHARED = ("size", "query", "opacity", "colours", "clip")  # of the Selection, where panes have models of their own
_SCALE_TITLES = {"shared": "Shared", "own": "Own"}


def sidebar(*, panes: bool = False, tokens: bool = False) -> None:
    """The shared controls: picture, model, working size, look. panes: a page whose panes have models of their own.

    tokens: a page of tokens, whose colours cover the picture, and which asks by token_request().

    A link that somebody opened is brought into them. What they say is looked up here, once a run, and handed down to
    the page by picture() and request().
    """
    keep = [field.name for field in fields(Selection) if field.name not in _SHARED] if panes else ()
    page_state.restore(Selection, _opened, keep=keep)
    page_state.defaults(Selection, "model", "size", "opacity", "colours", "scale", "clip", "options", "target")
    page_state.defaults(Selection, "worth", "baseline", "steps", "object", "ranked")
    with st.sidebar:
        _picture.set(picture_controls.show())
        if panes:
            _size_control()
        else:
            _request.set(_model_controls(picture()))
            _cost_place.set(st.container())
            if not tokens:
                _cost(request())
        _look_controls(scale=not panes and not tokens, over=not tokens)


def _opened(selection: Selection) -> Mapping[str, Any]:
    """What a link sets beside its own fields."""
    return {**picture_controls.FIRST.opened(selection.picture), **method_control.forget_set_aside()}


def picture() -> Picture:
    """The picture in use, for a page."""
    return _picture.get()


def request() -> Request:
    """The picture in the model in use at the working size, for a page whose panes have no models of their own."""
    return _request.get()


def token_request(facet: str) -> TokenRequest:
    """The same for a page of tokens: one facet of them, as features() has it."""
    asked = request()
    tokens = TokenRequest(asked.picture, asked.spec, asked.size, facet)
    with _cost_place.get():
        _cost(tokens)
    return tokens


def _model_controls(shown: Picture) -> Request:
    specs = catalogue.models()
    _keep_to(specs)
    name = selectbox(
        "Model",
        list(specs),
        key=keys.MODEL,
        format_func=lambda option: specs[option].title,
        help="Type to search. The page Models says what each one is, what is here and what it costs.",
    )
    _checkpoint_control(name)
    st.caption(_where_from(specs[name]))
    return Request(shown, specs[name], _size_control())


def _size_control() -> int:
    return selectbox(
        "Short side",
        SIZES,
        key=keys.SIZE,
        format_func=lambda side: f"{side} px",
        help="The picture is scaled to this short side, its aspect ratio kept. More pixels: more patches, more time.",
    )


def _cost(asked: PictureRequest) -> None:
    """What an analysis at this size will take, before it is run."""
    try:
        cost = asked.cost
    except VitEngineError:
        return  # the page tells it, in the place of the analysis
    takes = f"needs {cost.memory}"
    takes = f":red[{takes}: {cost.refusal}]" if cost.refusal else f"{takes} · about {format_duration(cost.seconds)}"
    st.caption(
        f"{cost.grid.rows}×{cost.grid.cols} patches of {asked.spec.patch_size} px  \n{takes}",
        help="Memory beside the model, at most, and the time that this machine is expected to take.",
    )


def _keep_to(specs: Mapping[str, ModelSpec]) -> None:
    """A model can go while it is chosen: its file was deleted, or somebody removed it."""
    chosen = widgets.value_of(keys.MODEL)
    if chosen not in specs:
        gone = f"The model {chosen!r} is no longer here: add it again on the page Models. Using {DEFAULT.model}."
        page_state.note(Selection, gone)
        widgets.give(keys.MODEL, DEFAULT.model)


def _checkpoint_control(model: str) -> None:
    """Steps through the checkpoints of a run, where the model is one of several; everything else stays."""
    members = {name: number for number, name in catalogue.series_of(model)}
    if members:
        with widgets.holding(keys.CHECKPOINT_STEP, model, tuple(members)):
            st.select_slider(
                "Checkpoint",
                list(members),
                key=keys.CHECKPOINT_STEP,
                format_func=lambda name: str(members[name]),
                on_change=widgets.take,
                args=(lambda: {keys.MODEL: st.session_state[keys.CHECKPOINT_STEP]},),
                help="The training checkpoints of this run that were added on the page Models.",
            )


def _where_from(spec: ModelSpec) -> str:
    if catalogue.is_own(spec.name):
        icon = "cloud" if catalogue.is_from_hub(spec.name) else "folder_open"
        return f":material/{icon}: {plain(spec.description)}"
    icon = "casino" if spec.weights is None else "check" if catalogue.is_ready(spec) else "download"
    size = f" About {catalogue.download_bytes(spec) / 1e6:.0f} MB." if icon == "download" else ""
    return f":material/{icon}: {spec.description}{size}"


def _look_controls(*, scale: bool, over: bool) -> None:
    """scale: with that of heads. over: with what attention over a picture has, its opacity and where its scale ends."""
    with st.expander("Look", expanded=True, key="look", type="compact"):
        if over:
            with _slider_that_comes_back(keys.OPACITY):
                st.slider("Opacity", 0, 100, key=keys.OPACITY, format="%d %%", persist_state="session")
        st.selectbox(
            "Colours",
            COLOURS,
            key=keys.COLOURS,
            format_func=str.capitalize,
            persist_state="session",
            help="Auto takes inferno on a dark page and viridis on a light one.",
        )
        if scale:
            segments(
                "Colour scale of each head",
                _SCALE_TITLES,
                key=keys.SCALE,
                width="stretch",
                help="Shared: the same colour is the same weight everywhere, heads can be compared. "
                "Own: every head uses the whole scale, its pattern is seen best.",
            )
        if over:
            with _slider_that_comes_back(keys.CLIP):
                select_slider(
                    "Scale ends at percentile",
                    CLIPS,
                    key=keys.CLIP,
                    help="A single hot patch would blacken the rest: values above this percentile get the last colour.",
                )


def _slider_that_comes_back(key: str) -> AbstractContextManager[None]:
    """A slider that another page did not have would start over from its lowest value."""
    return widgets.holding(key, widgets.value_of(key))


def colours() -> str:
    """The colour scale in use: a name in vit_engine.report.colours.COLOUR_SCALES."""
    chosen = st.session_state[keys.COLOURS]
    return AUTO.get(st.context.theme.type or "light", "viridis") if chosen == "auto" else chosen


def settle(spec: ModelSpec, *, per_head: bool = False) -> None:
    """Keep layer and head within what this model has, and the method to one that there is.

    Call before selection() on a page without their widgets. per_head: only methods with a map of each head.
    """
    state = st.session_state
    page_state.defaults(Selection, "view", "method", "sinks")
    method_control.settle(spec, per_head=per_head)
    wanted = widgets.value_of(keys.LAYER), widgets.value_of(keys.HEAD)
    was_last = state.get(_DEPTH) not in (None, spec.depth) and wanted[0] == state[_DEPTH] - 1
    layer, head = clamp_to_model(None if was_last else wanted[0], wanted[1], depth=spec.depth, heads=spec.heads)
    widgets.hold(keys.LAYER, layer, spec.depth)
    widgets.give(keys.HEAD, head)
    state[_DEPTH] = spec.depth


def selection(spec: ModelSpec) -> Selection:
    """What the widgets say now."""
    chosen = page_state.chosen(Selection, picture=picture().name)
    return replace(chosen, layer=None) if chosen.layer == spec.depth - 1 else chosen


def shared_selection() -> Selection:
    """What the sidebar says now, where panes have models of their own."""
    return page_state.chosen(Selection, *_SHARED, picture=picture().name)
