"""The panes of Compare: the controls of each, and what is done with them: copied, moved, removed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.compare.heading import heading
from dashboard.compare.state import LEAST_PANES, fitted, with_method
from dashboard.links import widgets
from dashboard.links.selection import middle
from dashboard.services import catalogue, targets
from dashboard.services.analyses import Analysis
from dashboard.services.pictures import Picture
from dashboard.shell import method_control, method_options, picture_controls
from dashboard.shell.controls import layer_slider, segments, selectbox
from vit_engine import Method, ModelSpec, find_method
from vit_engine.analysis.comparison import MAX_PANES, Pane, letter
from vit_engine.trace import REDUCTIONS

_MADE = "_made_panes"  # session state: how often the panes were made others
_FIELDS = {
    "model": keys.PANE_MODEL,
    "layer": keys.PANE_LAYER,
    "head": keys.PANE_HEAD,
    "method": keys.PANE_METHOD,
    "query": keys.PANE_QUERY,
}  # a field of a pane: the key of its widget
_PLACES = ("layer", "head", "query")  # fields that a method may not depend on
_QUERY_TITLES = {"shared": "Shared", "cls": "CLS", "own": "Pin here"}
_QUERY_HELP = (
    "Shared: a click in any pane moves it. CLS: always the CLS token. Pin here: stays at the point that is shared now."
)


def put(panes: Sequence[Pane], reference: int | None = None) -> dict[str, Any]:
    """What makes these the panes, in the place of the others; the reference stays, as far as there are so many."""
    reference = st.session_state[keys.REFERENCE] if reference is None else reference
    made = st.session_state.get(_MADE, 0) + 1
    return {_MADE: made, keys.REFERENCE: min(reference, len(panes) - 1), keys.PANES: tuple(panes)}


def mark_panes() -> None:
    """Have the browser say, with all that it sends, which panes it shows; call after their controls.

    Widgets go by the number of their pane. A click that comes before the browser has the new panes brings along what
    the widgets said of the old ones: that must change nothing.
    """
    st.session_state[keys.PANES_SEEN] = st.session_state.get(_MADE, 0)
    st.number_input("Panes", step=1, key=keys.PANES_SEEN, label_visibility="collapsed")  # hidden by the style sheet


def current() -> bool:
    """Whether what the browser says is of the panes that there are."""
    return st.session_state.get(keys.PANES_SEEN) == st.session_state.get(_MADE, 0)


def take_widgets() -> bool:
    """Bring what the panes' widgets say into the panes; returns whether that changes any.

    Each run does this, and no callback: what one is to do is lost where a newer input ends it.
    """
    before, st.session_state[keys.PANES] = st.session_state[keys.PANES], tuple(_now())
    return st.session_state[keys.PANES] != before


def _now() -> list[Pane]:
    """The panes with what their widgets say."""
    panes: tuple[Pane, ...] = st.session_state[keys.PANES]
    specs = catalogue.models()
    return [_taken(number, pane, specs) for number, pane in enumerate(panes)] if current() else list(panes)


def _taken(number: int, pane: Pane, specs: Mapping[str, ModelSpec]) -> Pane:
    shown = pane
    for field in _fields(find_method(shown.method)):
        value = st.session_state.get(keys.of_pane(_FIELDS[field], number))
        if value is not None and value != _shown(shown, field):
            pane = _changed(pane, field, value, specs)
    return _with_choices(number, shown, pane, specs)


def _fields(method: Method) -> Iterator[str]:
    """The fields that a pane by this method has widgets of."""
    return (field for field in _FIELDS if field not in _PLACES or field in method.depends_on)


def _with_choices(number: int, shown: Pane, pane: Pane, specs: Mapping[str, ModelSpec]) -> Pane:
    """The pane with the options and the target that its widgets say; those of the method that was shown."""
    method, spec = find_method(shown.method), specs.get(pane.model)
    if pane.method != shown.method or spec is None:
        return pane
    there = {option.name: st.session_state.get(option_key(number, option.name)) for option in method.options}
    usual = {option.name: option.default for option in method.options} | shown.chosen
    changed = {name: value for name, value in there.items() if value is not None and value != usual[name]}
    if "target" in method.depends_on and keys.of_pane(keys.PANE_TARGET, number) in st.session_state:
        pane = replace(pane, target=method_options.chosen_target(keys.of_pane(keys.PANE_TARGET, number)))
    return fitted(replace(pane, options=tuple((pane.chosen | changed).items())), spec) if changed else pane


def option_key(number: int, name: str) -> str:
    return keys.of_pane(f"{keys.PANE_OPTION}_{name}", number)


def _shown(pane: Pane, field: str) -> Any:
    """What the widget of a field says of a pane."""
    value = getattr(pane, field)
    if field == "query":
        return value if isinstance(value, str) else "own"
    return str(value) if field == "head" else value


def _changed(pane: Pane, field: str, value: Any, specs: Mapping[str, ModelSpec]) -> Pane:
    if field == "head":
        value = int(value) if value.isdecimal() else value
    elif field == "query" and value == "own":
        value = st.session_state.get(keys.QUERY) or "cls"
    old = specs.get(pane.model)
    if field == "model" and old is not None and pane.layer == old.depth - 1:
        pane = replace(pane, layer=-1)  # the layer stays the last one, where it was
    pane = with_method(pane, value) if field == "method" else replace(pane, **{field: value})
    spec = specs.get(pane.model)  # models can disappear at any time: the page says so when it is drawn
    return pane if spec is None else fitted(pane, spec)


def show(number: int, specs: Mapping[str, ModelSpec], analysis: Analysis | None, picture: Picture) -> None:
    """The controls of one pane. analysis: of its model, where there is one."""
    pane: Pane = st.session_state[keys.PANES][number]
    spec = specs[pane.model]
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            reference = number == st.session_state[keys.REFERENCE]
            name = letter(number)
            mark = f":green-badge[:material/flag: {name}]" if reference else f"**{name}**"
            st.markdown(mark, width="content", help="The others are compared with this one." if reference else None)
            _model_control(number, pane, specs)
            _menu(number, partial(_method_controls, number, pane, spec, analysis, picture))
        st.html(heading(pane, spec, analysis, picture_controls.others(picture)))
    _places(number, pane, spec)


def _places(number: int, pane: Pane, spec: ModelSpec) -> None:
    """Layer and head, as far as the method depends on them; what it does not is said."""
    method, layer = find_method(pane.method), keys.of_pane(keys.PANE_LAYER, number)
    widgets.gone(*(keys.of_pane(_FIELDS[field], number) for field in _PLACES if field not in method.depends_on))
    with st.container(horizontal=True, gap="small", wrap=False, vertical_alignment="center", key=f"pane_row_{number}"):
        if "layer" in method.depends_on:
            widgets.hold(layer, pane.layer, spec.depth)
            layer_slider(spec.depth, key=layer)
        if "head" in method.depends_on:
            with _held(number, pane, "head") as key:
                selectbox("Head", [*REDUCTIONS, *map(str, range(spec.heads))], key=key, width=100)
        elif scope := method_control.scope(method):
            st.caption(scope)


def _model_control(number: int, pane: Pane, specs: Mapping[str, ModelSpec]) -> None:
    with _held(number, pane, "model") as key:
        selectbox(
            f"Model of pane {number}",
            list(specs),
            key=key,
            label_visibility="collapsed",
            format_func=lambda name: specs[name].title,
        )


@contextmanager
def _held(number: int, pane: Pane, field: str) -> Iterator[str]:
    """The key of a pane's widget that is made in this block, and is to say what the pane is.

    Its state is kept for the session because a widget in a closed menu gets its value only when the menu opens.
    """
    key = keys.of_pane(_FIELDS[field], number)
    with widgets.holding(key, _shown(pane, field)):
        yield key


def _method_controls(number: int, pane: Pane, spec: ModelSpec, analysis: Analysis | None, picture: Picture) -> None:
    """The query, the method, its options and its target."""
    method = find_method(pane.method)
    if "query" in method.depends_on:
        with _held(number, pane, "query") as key:
            segments("Query", _QUERY_TITLES, key=key, help=_QUERY_HELP)
    with _held(number, pane, "method") as key:
        method_control.select(key, tokens=True)
    method_options.options(method, spec, pane.chosen, key=partial(option_key, number))
    if "target" in method.depends_on:
        method_options.target(
            spec,
            pane.target,
            key=keys.of_pane(keys.PANE_TARGET, number),
            predictions=() if analysis is None else analysis.trace.predictions,
            pictures=picture_controls.others(picture),
            point=middle(st.session_state.get(keys.QUERY)),
            clicked=True,
            no_text=None if analysis is None else targets.why_no_text(analysis.report),
        )


def _menu(number: int, above: Callable[[], None]) -> None:
    """What is done with a pane, and what it seldom changes. above: draws the controls of its method."""
    count, reference = len(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    refer = {keys.REFERENCE: number}
    with st.popover(":material/more_horiz:", type="tertiary", help="Query, method, order", key=f"pane_menu_{number}"):
        above()
        for title, key, icon, able, act in (
            ("Make it the reference", keys.PANE_REFERENCE, "flag", number != reference, lambda: refer),
            ("Duplicate", keys.PANE_DUPLICATE, "content_copy", count < MAX_PANES, partial(_duplicate, number)),
            ("Move left", keys.PANE_LEFT, "arrow_back", number > 0, partial(_swap, number, number - 1)),
            ("Move right", keys.PANE_RIGHT, "arrow_forward", number < count - 1, partial(_swap, number, number + 1)),
            ("Remove", keys.PANE_REMOVE, "delete", count > LEAST_PANES, partial(_remove, number)),
        ):
            st.button(
                title,
                key=keys.of_pane(key, number),
                icon=f":material/{icon}:",
                disabled=not able,
                on_click=widgets.take,
                args=(_act, act),
                width="stretch",
            )


def _act(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a button does, where the pane that it stood at is still that one."""
    return act() if current() else {}


def add() -> dict[str, Any]:
    """One pane more, a copy of the last."""
    panes = _now()
    return put((*panes, panes[-1])[:MAX_PANES])


def _duplicate(number: int) -> dict[str, Any]:
    panes, reference = _now(), st.session_state[keys.REFERENCE]
    panes.insert(number + 1, panes[number])
    return put(panes, reference + (reference > number))


def _remove(number: int) -> dict[str, Any]:
    panes, reference = _now(), st.session_state[keys.REFERENCE]
    del panes[number]
    return put(panes, reference - 1 if reference > number else 0 if reference == number else reference)


def _swap(first: int, second: int) -> dict[str, Any]:
    panes, reference = _now(), st.session_state[keys.REFERENCE]
    panes[first], panes[second] = panes[second], panes[first]
    return put(panes, {first: second, second: first}.get(reference, reference))
