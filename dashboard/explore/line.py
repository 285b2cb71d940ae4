"""What the large map of Explore is of: under it, its colours, query, target and options, and the ways back."""

import streamlit as st

from dashboard import keys
from dashboard.explore.maps import Maps
from dashboard.links import widgets
from dashboard.links.options import Options
from dashboard.shell import method_control
from dashboard.shell.controls import for_mouse, reset_button
from dashboard.shell.formatting import amount, colour_legend, plain
from vit_engine.trace.targets import ClassTarget


def show(maps: Maps, options: Options, *, drag: str, of_target: bool) -> None:
    """The colours, the query below them, and below that what the map is asked with beside its query.

    drag: what one marks, "query" or "object". of_target: whether a click chooses the patch of the target.
    """
    if not maps.note:  # a map of zeros has no colours
        st.html(legend(maps))
    if token := method_control.token(maps.method, maps.patch, bold="**"):
        with st.container(horizontal=True, vertical_alignment="center", key="query_line"):
            _token(maps, token, drag=drag, of_target=of_target)
    if asked := [*target_words(maps), *option_words(maps, options)]:
        hint = " · :small[click a patch to choose another]" if of_target else ""
        st.markdown(" · ".join(asked) + hint)
    if note := pooling_note(maps):
        _pooling(note, offers_all=maps.patch is None and "query" in maps.method.depends_on)


def _token(maps: Maps, token: str, *, drag: str, of_target: bool) -> None:
    """The query, and how to choose another or the way back."""
    if maps.patch is not None:
        st.markdown(token)
        reset_button("Back to CLS", keys.QUERY, key=keys.RESET_QUERY, icon="undo")
    elif of_target:
        st.markdown(token)
    else:
        hint = method_control.hint(maps.method) if drag == "query" else "a click chooses a patch"
        with st.container(horizontal=True, gap="xsmall", width="content", key="query_hint"):
            st.markdown(f"{token} · :small[{hint}]", width="content")
            with for_mouse("box"):
                st.markdown(f":small[· {'or drag a box' if drag == 'query' else 'a drag marks the object'}]")


def pooling_note(maps: Maps) -> str:
    """What the CLS token and the target are in a model that is read from the mean of its patches; empty elsewhere."""
    method = maps.method
    if maps.asked.spec.reads_cls:
        return ""
    if maps.patch is None and "query" in method.depends_on:
        says = "CLS says nothing of the target" if "target" in method.depends_on else "CLS is not its output"
        return f"This model averages its patches: {says}."
    if maps.target is None or isinstance(maps.target, ClassTarget):
        return ""
    return "This model averages its patches: their mean is its image embedding."


def _pooling(note: str, *, offers_all: bool) -> None:
    """The note, and the way to ask for all that is read."""
    with st.container(horizontal=True, vertical_alignment="center", key="pooling_note"):
        st.caption(f":material/info: {note}", width="content")
        if offers_all:
            st.button(
                "Select all patches",
                key=keys.ALL_PATCHES,
                type="tertiary",
                icon=":material/select_all:",
                on_click=widgets.take,
                args=(dict, {keys.QUERY: (0.0, 0.0, 1.0, 1.0)}),
            )


def legend(maps: Maps) -> str:
    """The colours, and where they end, as HTML."""
    meaning = method_control.meaning(maps.method)
    high = amount(maps.limit, maps.large.unit)
    if maps.method.signed:
        return colour_legend(maps.stops, f"≤ −{maps.limit:.3g}", f"≥ +{high}", meaning, middle="0")
    return colour_legend(maps.stops, "0", f"≥ {high}", meaning)


def target_words(maps: Maps) -> list[str]:
    return [] if maps.target is None else [f"Target: **{plain(maps.target.label)}**"]


def option_words(maps: Maps, options: Options) -> list[str]:
    """Those that are not at their default: "From layer 4"."""
    titles = {option.name: option.title for option in maps.method.options}
    return [
        f"{titles[name]} **{plain(f'{value:g}' if isinstance(value, float) else str(value))}**"
        for name, value in options
    ]
