"""The widgets of the page Compare, and what they choose."""

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from dashboard import keys
from dashboard.compare import card
from dashboard.compare.presets import REAL, presets
from dashboard.compare.state import DEFAULT, KEEPS, Comparing, fitted
from dashboard.links import selection, widgets
from dashboard.links.options import fitting
from dashboard.services import catalogue
from dashboard.shell import page_state
from dashboard.shell.controls import for_mouse, reset_button, segments, select_slider
from vit_engine import ModelSpec, find_method
from vit_engine.analysis.comparison import MAX_PANES, Pane, Place
from vit_engine.analysis.methods import RAW
from vit_engine.report.titles import roles

MODEL = selection.DEFAULT.model  # in the place of one that is gone
_SHOW_TITLES = {"map": "Maps", "difference": "Difference", "mask": "Mask"}
_SCALE_TITLES = {"shared": "Shared", "own": "Own", "log": "Log"}


def restore() -> None:
    """Bring the panes' widgets into the panes, and the page's part of a link into all of them."""
    if keys.PANES not in st.session_state:
        st.session_state[keys.PANES] = _beginning()
    page_state.defaults(Comparing)
    card.take_widgets()
    page_state.restore(Comparing, lambda choice: card.put(choice.panes, choice.reference))
    page_state.note(Comparing, *_keep_to(catalogue.models()))


def _beginning() -> tuple[Pane, ...]:
    """What is compared at first: the view of Explore with its model in another patch size, or with its last layer."""
    specs, name = catalogue.models(), st.session_state.get(keys.MODEL, MODEL)
    name = name if name in specs else MODEL  # its file may have been deleted since
    layer, head = st.session_state.get(keys.LAYER), st.session_state.get(keys.HEAD, "mean")
    method = st.session_state.get(keys.METHOD, RAW)
    target = st.session_state.get(keys.TARGET, "") if "target" in find_method(method).depends_on else ""
    options = fitting(dict(st.session_state.get(keys.OPTIONS, ())), find_method(method), specs[name])
    number = int(head) if head.isdecimal() else head
    pane = Pane(name, -1 if layer is None else layer, number, method, options=options, target=target)
    offered = presets(fitted(pane, specs[name]), specs, catalogue.ready_models())
    found = {preset.name: preset.panes for preset in offered if preset.panes}
    if name == REAL and "training" in found:
        return found["training"]
    return found.get("patches") or found.get("last") or DEFAULT.panes


def _keep_to(specs: Mapping[str, ModelSpec]) -> list[str]:
    """Models can go while panes show them: their file was deleted, or somebody removed them."""
    panes: tuple[Pane, ...] = st.session_state[keys.PANES]
    gone = sorted({pane.model for pane in panes if pane.model not in specs})
    kept = [pane if pane.model in specs else replace(pane, model=MODEL) for pane in panes]
    st.session_state[keys.PANES] = tuple(fitted(pane, specs[pane.model]) for pane in kept)
    return [f"The model {name!r} is no longer here: showing {MODEL} in its place." for name in gone]


def chosen() -> Comparing:
    return page_state.chosen(Comparing)


def preset_buttons() -> None:
    """A button a preset; those that cannot be had say why."""
    choice = chosen()
    base = choice.panes[choice.reference]
    with st.container(horizontal=True, key="presets", gap="small"):
        for preset in presets(base, catalogue.models(), catalogue.ready_models()):
            st.button(
                preset.title,
                key=f"{keys.PRESET}_{preset.name}",
                disabled=not preset.panes,
                on_click=widgets.take,
                args=(card.put, preset.panes, 0),
                help=preset.help if preset.panes else preset.why,
            )


def toolbar() -> None:
    """How all panes are drawn."""
    with st.container(horizontal=True, key="compare_toolbar", vertical_alignment="bottom", gap="medium"):
        segments(
            "Show",
            _SHOW_TITLES,
            key=keys.COMPARE_SHOW,
            help="The maps; what each has more or less of than the reference; or the patches "
            "that hold most of the attention. Panes of tokens stay maps where there is none.",
        )
        segments(
            "Scale",
            _SCALE_TITLES,
            key=keys.COMPARE_SCALE,
            help="Shared: the same colour is the same attention per area in all panes. "
            "Own: each pane uses the whole scale. Log: shared, over three decades. Maps of other units, such as "
            "relevance or similarity, share scales of their own.",
        )
        _keep_control()
        st.button(
            "Pane",
            key=keys.ADD_PANE,
            icon=":material/add:",
            on_click=widgets.take,
            args=(card.add,),
            disabled=len(st.session_state[keys.PANES]) >= MAX_PANES,
            help=f"One more, a copy of the last: at most {MAX_PANES}.",
        )


def _keep_control() -> None:
    value = widgets.value_of(keys.COMPARE_KEEP)  # a slider that comes back would start over
    with st.container(width=170, key="keep_box"), widgets.holding(keys.COMPARE_KEEP, value):
        select_slider(
            "Mask keeps",
            KEEPS,
            key=keys.COMPARE_KEEP,
            format_func=lambda part: f"{part} %",
            help="The fewest patches that hold this share of a map's attention: the mask, and what IoU compares.",
        )


def _place(place: Place) -> str:
    if len(place) == 2:
        return f"point {place[0]:.0%} down, {place[1]:.0%} across"
    top, left, bottom, right = place
    return f"region {top:.0%}–{bottom:.0%} down, {left:.0%}–{right:.0%} across"


def query_line() -> None:
    """Whose attention all panes show, and the ways back to the CLS token and to the whole picture."""
    query, role = st.session_state.get(keys.QUERY), roles(st.session_state[keys.PANES]).capitalize() or "Mark"
    asks = roles(st.session_state[keys.PANES]) != ""
    with st.container(horizontal=True, vertical_alignment="center", key="compare_query", width="content"):
        if query is None:
            st.markdown(
                f"{role}: **CLS token** · :small[click a patch to ask all panes about *it*]"
                if asks
                else "Mark: **none** · :small[click a patch to find it in all panes]"
            )
        else:
            st.markdown(f"{role}: **{_place(query)}**")
            reset_button("Back to CLS" if asks else "No mark", keys.QUERY, key=keys.RESET_QUERY, icon="undo")
        if st.session_state[keys.ZOOM] is not None:
            reset_button("Whole picture", keys.ZOOM, key=keys.RESET_ZOOM, icon="zoom_out_map")
        else:
            with for_mouse("zoom"):
                st.markdown(":small[drag a box to zoom all panes]")
