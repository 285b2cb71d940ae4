"""The controls of Explore that walk through a model: layer, head, target and method, as far as maps depend on them."""

from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.links import widgets
from dashboard.services.analyses import Request
from dashboard.shell import method_control, method_options, sidebar, target_control
from dashboard.shell.controls import layer_slider, segments
from vit_engine import Method, ModelSpec, find_method
from vit_engine.analysis import methods
from vit_engine.trace import REDUCTIONS

_WIDTHS = {"layer": 2.4, "head": 4.2, "target": 2.8, "scope": 3.4, "method": 2.8}


def show(request: Request) -> DeltaGenerator | None:
    """The controls, kept within what the model has; the place of the target's, or None without one."""
    spec = request.spec
    sidebar.settle(spec)
    method = find_method(widgets.value_of(keys.METHOD))
    parts = _parts(method)
    columns = st.columns([_WIDTHS[part] for part in parts], gap="medium", vertical_alignment="top")
    places = dict(zip(parts, columns, strict=True))
    widgets.gone(*(key for part, key in (("layer", keys.LAYER), ("head", keys.HEAD)) if part not in places))
    if "layer" in places:
        with places["layer"]:
            layer_slider(spec.depth, key=keys.LAYER, help="Counted from 0.")
    if "head" in places:
        with places["head"]:
            _head_control(spec)
    if "scope" in places:
        with places["scope"], st.container(key="method_scope"):
            st.caption(method_control.scope(method))
    if "method" in places:
        with places["method"]:
            _method_control(method, request)
    return places.get("target")


def _parts(method: Method) -> list[str]:
    """What stands side by side, from the left."""
    parts: list[str] = [part for part in ("layer", "head", "target") if part in method.depends_on]
    parts += ["scope"] if method_control.scope(method) else []
    return parts + (["method"] if len(methods.METHODS) > 1 else [])


def _head_control(spec: ModelSpec) -> None:
    segments(
        "Head",
        {name: name for name in (*REDUCTIONS, *map(str, range(spec.heads)))},
        key=keys.HEAD,
        wrap=True,
        help="One head, or the mean, maximum or minimum over all heads, patch by patch.",
    )


def _method_control(method: Method, request: Request) -> None:
    """The choice, what the method is, and its options."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", wrap=False, key="method_row"):
        method_control.show()
        with st.popover(
            ":material/info:", type="tertiary", help="What it is, what it takes", key=keys.METHOD_CARD, width="content"
        ):
            method_control.card(method, target_control.takes(request, method))
        if method.options:
            _options(method, request.spec)


def _options(method: Method, spec: ModelSpec) -> None:
    chosen = dict(widgets.value_of(keys.OPTIONS))
    icon = ":primary[:material/tune:]" if chosen else ":material/tune:"
    with st.popover(icon, type="tertiary", help="Options", key=keys.METHOD_OPTIONS, width="content"):
        change = partial(widgets.take, _take_option)
        method_options.options(method, spec, chosen, key=_option_key, on_change=change)


def _option_key(name: str) -> str:
    return f"{keys.OPTION}_{name}"


def _take_option(name: str) -> dict[str, Any]:
    """For a callback; what is at its default is left out when the controls are drawn."""
    state = st.session_state
    return {keys.OPTIONS: tuple((dict(state[keys.OPTIONS]) | {name: state[_option_key(name)]}).items())}
