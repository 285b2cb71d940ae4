"""The choice of a method, what it is and takes, and what its maps are of in words."""

from dataclasses import replace
from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.links import targets, widgets
from dashboard.links.options import fitting
from dashboard.links.selection import Selection
from dashboard.shell.controls import selectbox
from vit_engine import Method, ModelSpec, find_method
from vit_engine.analysis import methods
from vit_engine.analysis.methods import Needs
from vit_engine.grid import Patches, token_name
from vit_engine.trace.attention_map import WEIGHT

_SET_ASIDE = "_method_set_aside"  # session state: (name, options) of a method that a page of heads cannot show, or None
_HINTS = {"query": "where *it* attends", "key": "what attends to *it*"}  # by what the chosen token is


def settle(spec: ModelSpec, *, per_head: bool = False) -> None:
    """Keep to a method that there is, and to options and a target that it can have in this model.

    per_head: to one with a map of each head, so that heads can be compared; another is set aside, and comes back on
    the next page that can show it, unless a person has chosen a method meanwhile.
    """
    if not per_head:
        _put_back()
    if (name := widgets.value_of(keys.METHOD)) not in _names(per_head=per_head):
        st.session_state[_SET_ASIDE] = (
            (name, widgets.value_of(keys.OPTIONS)) if name in _names(per_head=False) else None
        )
        widgets.give(keys.METHOD, methods.RAW)
    elif name != methods.RAW:
        st.session_state[_SET_ASIDE] = None
    method = find_method(widgets.value_of(keys.METHOD))
    widgets.give(keys.OPTIONS, fitting(dict(widgets.value_of(keys.OPTIONS)), method, spec))
    if not targets.fits(widgets.value_of(keys.TARGET), spec):
        widgets.give(keys.TARGET, targets.AUTOMATIC)


def _put_back() -> None:
    if (method := set_aside()) is not None:
        widgets.give(keys.OPTIONS, st.session_state[_SET_ASIDE][1])
        widgets.give(keys.METHOD, method.name)
    st.session_state[_SET_ASIDE] = None


def set_aside() -> Method | None:
    """The method in whose place raw attention is shown; None where nothing is shown in another's place."""
    aside = st.session_state.get(_SET_ASIDE)
    return find_method(aside[0]) if aside is not None and widgets.value_of(keys.METHOD) == methods.RAW else None


def with_set_aside(selection: Selection, spec: ModelSpec) -> Selection:
    """What the address of a page of heads says: the method that is set aside, so that a reload keeps it."""
    if (method := set_aside()) is None:
        return selection
    options = fitting(dict(st.session_state[_SET_ASIDE][1]), method, spec)
    return replace(selection, method=method.name, options=options)


def forget_set_aside() -> dict[str, Any]:
    """For a callback or a link: what makes the method that is shown the one that all pages show."""
    return {_SET_ASIDE: None}


def instead(method: Method) -> str:
    """Why raw attention is shown in the place of a method, as a sentence."""
    why = "would run the model again for each head" if method.per_head else "has no heads of its own"
    return f"{method.title} {why}: these are of raw attention. Explore keeps {method.phrase}."


def _names(*, per_head: bool) -> list[str]:
    """per_head: neither methods that run the model again for each map."""
    compared = [method for method in methods.METHODS if method.per_head and method.needs is not Needs.MODEL]
    return [method.name for method in (compared if per_head else methods.METHODS)]


def show(*, per_head: bool = False) -> None:
    """The select box, where there is something to choose; per_head as in settle()."""
    if len(_names(per_head=per_head)) > 1:
        select(keys.METHOD, per_head=per_head)


def select(key: str, *, per_head: bool = False, tokens: bool = False) -> None:
    """The choice of a method under this key, also where there is only one. tokens: with what tokens carry."""
    offered = [method for method in methods.METHODS if method.name in _names(per_head=per_head)]
    offered += methods.TOKEN_METHODS if tokens else ()
    titles = {each.name: each.title for each in offered}
    selectbox("Method", list(titles), key=key, format_func=titles.__getitem__)


def card(method: Method, takes: str = "") -> None:
    """What a method shows, its formula and its source, what it takes, and when not to trust it.

    takes: how long it takes here, as a sentence.
    """
    st.markdown(f"**{method.title}**  \n{method.description}")
    if method.formula:
        lines = method.formula.replace(r",\quad", r",\\")  # one below the other: they would not fit side by side
        st.latex(rf"\begin{{gathered}}{lines}\end{{gathered}}")
    facts = {"Source": method.source, "Cost": f"{method.cost} {takes}".strip(), "Misleads": method.misleads}
    rows = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts.items() if text)
    st.html(f'<dl class="facts">{rows}</dl>')


def scope(method: Method) -> str:
    """What a method does not depend on, as a sentence: "Relevance is one map for all layers and heads."; or empty."""
    everything = {"layer": "layers", "head": "heads", "query": "queries"}
    *first, last = [""] + [plural for name, plural in everything.items() if name not in method.depends_on]
    all_of = f"{', '.join(first[1:])} and {last}" if first[1:] else last
    return f"{method.title} is one map for all {all_of}." if all_of else ""


def meaning(method: Method) -> str:
    """What a value of a map is."""
    return f"{method.unit[0].upper()}{method.unit[1:]}: {method.value}"


def token(method: Method, patch: Patches | None, *, bold: str = "") -> str:
    """Which token was chosen, and as what: "Query: CLS token"; empty where a method depends on none."""
    if "query" not in method.depends_on:
        return ""
    name = "CLS token" if patch is None else token_name(patch)
    return f"{method.role.capitalize()}: {bold}{name}{bold}"


def hint(method: Method) -> str:
    """What a click on a patch shows."""
    shows = _HINTS[method.role] if method.unit == WEIGHT else "*its* map"
    return f"click a patch to see {shows}"
