"""The panes of Compare: the controls of each, and what is done with them: copied, moved, removed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from dashboard import keys, services
from dashboard.compare_state import LEAST_PANES, fitted, pane_name
from dashboard.keys import of_pane
from vit_engine import ModelSpec
from vit_engine.comparison import MAX_PANES, Pane
from vit_engine.methods import METHODS
from vit_engine.trace import REDUCTIONS

_QUERY_TITLES = {"shared": "Shared", "cls": "CLS", "own": "Pin here"}


def put(panes: Sequence[Pane], reference: int | None = None) -> None:
    """Make these the panes; the reference stays, as far as there are so many."""
    st.session_state[keys.PANES] = tuple(panes)
    last = len(panes) - 1
    st.session_state[keys.REFERENCE] = min(st.session_state[keys.REFERENCE] if reference is None else reference, last)


def show(number: int, specs: Mapping[str, ModelSpec]) -> None:
    """The controls of one pane."""
    pane: Pane = st.session_state[keys.PANES][number]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        reference = number == st.session_state[keys.REFERENCE]
        name = pane_name(number)
        mark = f":green-badge[:material/flag: {name}]" if reference else f"**{name}**"
        st.markdown(mark, width="content", help="The others are compared with this one." if reference else None)
        _model_control(number, pane, specs)
        _menu(number, pane)
    spec = specs[pane.model]
    with st.container(horizontal=True, gap="small", wrap=False, key=f"pane_row_{number}"):
        _layer_control(number, pane, spec)
        _head_control(number, pane, spec)


def _model_control(number: int, pane: Pane, specs: Mapping[str, ModelSpec]) -> None:
    key = of_pane(keys.PANE_MODEL, number)
    st.session_state[key] = pane.model
    st.selectbox(
        f"Model of pane {number}", list(specs), key=key, format_func=lambda name: specs[name].title,
        label_visibility="collapsed", on_change=_change, args=(number, "model", keys.PANE_MODEL),
    )  # fmt: skip


def _layer_control(number: int, pane: Pane, spec: ModelSpec) -> None:
    key = of_pane(keys.PANE_LAYER, number)
    st.session_state[key] = pane.layer
    st.slider(
        "Layer", 0, max(spec.depth - 1, 1), key=key, disabled=spec.depth == 1,
        on_change=_change, args=(number, "layer", keys.PANE_LAYER),
    )  # fmt: skip


def _head_control(number: int, pane: Pane, spec: ModelSpec) -> None:
    key = of_pane(keys.PANE_HEAD, number)
    st.session_state[key] = str(pane.head)
    options = [*REDUCTIONS, *map(str, range(spec.heads))]
    st.selectbox("Head", options, key=key, width=100, on_change=_change, args=(number, "head", keys.PANE_HEAD))


def _change(number: int, field: str, key: str) -> None:
    """Take a widget's value into its pane."""
    value = st.session_state[of_pane(key, number)]
    if field == "head":
        value = int(value) if value.isdecimal() else value
    panes = list(st.session_state[keys.PANES])
    panes[number] = fitted(replace(panes[number], **{field: value}), services.models()[panes[number].model])
    if field == "model":  # the layer stays the last one, where it was
        old = services.models()[st.session_state[keys.PANES][number].model]
        last = st.session_state[keys.PANES][number].layer == old.depth - 1
        spec = services.models()[value]
        panes[number] = fitted(replace(panes[number], layer=-1) if last else panes[number], spec)
    put(panes)


def _menu(number: int, pane: Pane) -> None:
    """What is done with a pane, and what it seldom changes."""
    count = len(st.session_state[keys.PANES])
    with st.popover(":material/more_horiz:", type="tertiary", help="Query, method, order", key=f"pane_menu_{number}"):
        _query_control(number, pane)
        key = of_pane(keys.PANE_METHOD, number)
        st.session_state[key] = pane.method
        st.selectbox(
            "Method", [method.name for method in METHODS], key=key, format_func=_method_title,
            on_change=_change, args=(number, "method", keys.PANE_METHOD),
        )  # fmt: skip
        for title, key, icon, able, act in (
            ("Make it the reference", keys.PANE_REFERENCE, "flag", number != st.session_state[keys.REFERENCE], _refer),
            ("Duplicate", keys.PANE_DUPLICATE, "content_copy", count < MAX_PANES, duplicate),
            ("Move left", keys.PANE_LEFT, "arrow_back", number > 0, _left),
            ("Move right", keys.PANE_RIGHT, "arrow_forward", number < count - 1, _right),
            ("Remove", keys.PANE_REMOVE, "delete", count > LEAST_PANES, _remove),
        ):
            st.button(
                title, key=of_pane(key, number), icon=f":material/{icon}:", disabled=not able, on_click=act,
                args=(number,), width="stretch",
            )  # fmt: skip


def _method_title(name: str) -> str:
    return next(method.title for method in METHODS if method.name == name)


def _query_control(number: int, pane: Pane) -> None:
    key = of_pane(keys.PANE_QUERY, number)
    st.session_state[key] = pane.query if isinstance(pane.query, str) else "own"
    st.segmented_control(
        "Query", tuple(_QUERY_TITLES), key=key, required=True, format_func=_QUERY_TITLES.__getitem__,
        on_change=_change_query, args=(number,),
        help="Shared: a click in any pane moves it. CLS: always the CLS token. Pin here: stays at the point that is "
        "shared now.",
    )  # fmt: skip


def _change_query(number: int) -> None:
    query = st.session_state[of_pane(keys.PANE_QUERY, number)]
    if query == "own":
        query = st.session_state.get(keys.QUERY) or "cls"
    panes = list(st.session_state[keys.PANES])
    panes[number] = replace(panes[number], query=query)
    put(panes)


def _refer(number: int) -> None:
    st.session_state[keys.REFERENCE] = number


def duplicate(number: int) -> None:
    """A copy of a pane, beside it."""
    panes, reference = list(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    panes.insert(number + 1, panes[number])
    put(panes, reference + (reference > number))


def _remove(number: int) -> None:
    panes, reference = list(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    del panes[number]
    put(panes, reference - 1 if reference > number else 0 if reference == number else reference)


def _left(number: int) -> None:
    _swap(number, number - 1)


def _right(number: int) -> None:
    _swap(number, number + 1)


def _swap(first: int, second: int) -> None:
    panes, reference = list(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    panes[first], panes[second] = panes[second], panes[first]
    put(panes, {first: second, second: first}.get(reference, reference))
