"""Attention sinks on Explore: named under the map, and left out of the colour scales where a person sets them aside."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services.analyses import Analysis
from dashboard.shell.formatting import format_share
from vit_engine import Method, Sink, sinks
from vit_engine.analysis.sinks import sink_patches
from vit_engine.trace.attention_map import WEIGHT

_MEANING = (
    "An attention sink: at least half of a head's queries, which are all its tokens, give it their largest weight "
    "(Xiao et al. 2023, arXiv 2309.17453), and it takes at least twice the {even} that even attention would give each "
    "token. Set aside, a patch keeps its weight and gets an outline, and colour scales leave it out."
)


@dataclass(frozen=True)
class HeadSink:
    """A sink, and the head whose queries attend to it."""

    head: int
    sink: Sink


def apply_to(method: Method) -> bool:
    """Whether the method's maps are of attention, head by head, so that sinks stand out in them."""
    return method.per_head and method.unit == WEIGHT


def set_aside(analysis: Analysis, selection: Selection, method: Method, shape: tuple[int, ...]) -> np.ndarray:
    """Which patches the colour scales leave out: bool of the maps' shape (layers, heads, rows, cols)."""
    if selection.sinks != "aside" or not apply_to(method):
        return np.zeros(shape, dtype=bool)
    return np.stack([sink_patches(analysis.trace, layer=layer) for layer in analysis.trace.layers])


def find(analysis: Analysis, *, layer: int, head: int | None) -> list[HeadSink]:
    """The sinks of a head, or for None of all heads, each token once, by the head that gives it most.

    Patches come first, for they are on the map; among them and among the others what takes the most attention.
    """
    heads = range(analysis.trace.spec.heads) if head is None else [head]
    every = [HeadSink(number, sink) for number in heads for sink in sinks(analysis.trace, layer=layer, head=number)]
    every.sort(key=lambda each: (each.sink.patch is None, -each.sink.attention))
    by_token: dict[int, HeadSink] = {}
    for each in every:
        by_token.setdefault(each.sink.token, each)
    return list(by_token.values())


def show(analysis: Analysis, selection: Selection, *, layer: int) -> None:
    """A line that names the sinks of what is shown, and the switch where one of them is a patch, or it is on.

    Its place is kept where there is none, so that nothing jumps from layer to layer.
    """
    found, aside = find(analysis, layer=layer, head=selection.one_head), selection.sinks == "aside"
    with st.container(key="sinks_line", horizontal=True, vertical_alignment="center"):
        nothing = "No sinks here; those of other layers and heads are set aside." if aside else ""
        meaning = _MEANING.format(even=format_share(1 / analysis.trace.grid.tokens))
        st.caption(_sentence(found) if found else nothing, help=meaning if found or aside else None)
        if aside or any(each.sink.patch for each in found):
            _switch(aside=aside)


def _switch(*, aside: bool) -> None:
    """A button and no toggle: what a link chooses is the session's, and no browser has an older value of it."""
    label = ":primary[:material/toggle_on: Set aside]" if aside else ":material/toggle_off: Set aside"
    other = {keys.SINKS: "shown" if aside else "aside"}
    st.button(label, key=keys.SET_ASIDE, on_click=widgets.take, args=(dict, other), type="tertiary")


def _sentence(found: list[HeadSink]) -> str:
    """What the first of them take, the second in few words, and how many more there are."""
    parts = [text(each) for text, each in zip((_whole, _short), found, strict=False)]
    if len(found) > len(parts):
        parts.append(f"and {len(found) - len(parts)} more")
    return f"{'Sink' if len(found) == 1 else 'Sinks'}: {' · '.join(parts)}"


def _whole(each: HeadSink) -> str:
    attention, queries = format_share(each.sink.attention), format_share(each.sink.queries)
    return f"**{each.sink.name}** takes {attention} of head {each.head}'s attention, the most for {queries} of queries"


def _short(each: HeadSink) -> str:
    """As it stands behind a whole one."""
    attention, queries = format_share(each.sink.attention), format_share(each.sink.queries)
    return f"**{each.sink.name}** {attention} of head {each.head}'s, for {queries}"
