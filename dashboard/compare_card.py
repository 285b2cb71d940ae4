"""The panes of Compare: the controls of each, and what is done with them: copied, moved, removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import streamlit as st

from dashboard import keys, services
from dashboard.compare_state import LEAST_PANES, fitted, pane_name
from dashboard.keys import of_pane
from vit_engine import ModelSpec
from vit_engine.comparison import MAX_PANES, Pane
from vit_engine.methods import METHODS
from vit_engine.trace import REDUCTIONS

_MADE = "_made_panes"  # session state: how often the panes were made others
_QUERY_TITLES = {"shared": "Shared", "cls": "CLS", "own": "Pin here"}


def put(panes: Sequence[Pane], reference: int | None = None) -> None:
    """Make these the panes, in the place of the others; the reference stays, as far as there are so many."""
    st.session_state[_MADE] = st.session_state.get(_MADE, 0) + 1
    st.session_state[keys.PANES] = tuple(panes)
    last = len(panes) - 1
    st.session_state[keys.REFERENCE] = min(st.session_state[keys.REFERENCE] if reference is None else reference, last)


def mark_panes() -> None:
    """Have the browser say, with all that it sends, which panes it shows.

    Widgets go by the number of their pane. A click that comes before the browser has the new panes brings along what
    the widgets said of the old ones: that must change nothing.
    """
    st.session_state[keys.PANES_SEEN] = st.session_state.get(_MADE, 0)
    st.number_input("Panes", step=1, key=keys.PANES_SEEN, label_visibility="collapsed")  # hidden by the style sheet


def current() -> bool:
    """Whether what the browser says is of the panes that there are."""
    return st.session_state.get(keys.PANES_SEEN) in (None, st.session_state.get(_MADE, 0))


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
    if not current():
        return
    value = st.session_state[of_pane(key, number)]
    if field == "head":
        value = int(value) if value.isdecimal() else value
    pane, specs = st.session_state[keys.PANES][number], services.models()
    old = specs.get(pane.model)
    if field == "model" and old is not None and pane.layer == old.depth - 1:
        pane = replace(pane, layer=-1)  # the layer stays the last one, where it was
    changed = replace(pane, **{field: value})
    spec = specs.get(changed.model)  # models can go at any time: that is told when the page is drawn
    _set(number, changed if spec is None else fitted(changed, spec))


def _set(number: int, pane: Pane) -> None:
    panes = list(st.session_state[keys.PANES])
    panes[number] = pane
    st.session_state[keys.PANES] = tuple(panes)


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
            ("Duplicate", keys.PANE_DUPLICATE, "content_copy", count < MAX_PANES, _duplicate),
            ("Move left", keys.PANE_LEFT, "arrow_back", number > 0, _left),
            ("Move right", keys.PANE_RIGHT, "arrow_forward", number < count - 1, _right),
            ("Remove", keys.PANE_REMOVE, "delete", count > LEAST_PANES, _remove),
        ):
            st.button(
                title, key=of_pane(key, number), icon=f":material/{icon}:", disabled=not able, on_click=_act,
                args=(act, number), width="stretch",
            )  # fmt: skip


def _act(act: Callable[[int], None], number: int) -> None:
    """What a button does, where the pane that it stood at is still that one."""
    if current():
        act(number)


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
    if not current():
        return
    query = st.session_state[of_pane(keys.PANE_QUERY, number)]
    if query == "own":
        query = st.session_state.get(keys.QUERY) or "cls"
    _set(number, replace(st.session_state[keys.PANES][number], query=query))


def _refer(number: int) -> None:
    st.session_state[keys.REFERENCE] = number


def add() -> None:
    """One pane more, a copy of the last."""
    panes = st.session_state[keys.PANES]
    put((*panes, panes[-1])[:MAX_PANES])


def _duplicate(number: int) -> None:
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
