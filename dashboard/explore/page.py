"""Explore: one picture, one model; every layer, every head, any query patch."""

import math
from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.explore import controls, download, head_table, line, mosaics, sinks
from dashboard.explore.choices import choose_head, choose_layer_and_head, choose_point, choose_region
from dashboard.explore.figures import entropy_figure, overlay_figure
from dashboard.explore.maps import Maps, layer_of, maps
from dashboard.explore.mosaics import Mosaic
from dashboard.explore.worth import section
from dashboard.links import targets, widgets
from dashboard.links.selection import Selection
from dashboard.services.analyses import Analysis, Request
from dashboard.services.pictures import Picture
from dashboard.shell import analysis_panel, method_control, opening, page_state, sidebar, target_control
from dashboard.shell.controls import segments

PREDICTIONS = 3  # classes, the likeliest first
_VIEW_TITLES = {"over": "Over the picture", "beside": "Beside it"}
DEMO_CLASSIFIER = "The demo models point well and classify poorly: their model card says how often they are right."


def page() -> None:
    opening.follow()
    page_state.tell()
    request = sidebar.request()
    header = st.container(key="header", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    target = controls.show(request)
    below = st.container(key="stage")
    with header:
        title = st.container(key="title", width="content")
        with st.container(horizontal=True, vertical_alignment="center", width="content", key="map_controls"):
            files = st.container(width="content")
            segments("View", _VIEW_TITLES, key=keys.VIEW, collapsed=True)
    widgets.mark()
    selection = sidebar.selection(request.spec)
    analysis = analysis_panel.analyse(request, title=title, stage=below)
    if analysis is not None:
        if target is not None:
            with target:
                target_control.show(analysis, request.picture, selection)
        with below:
            drawn, under_map = _maps(request, analysis, selection)
            head_table.show(analysis, layer=layer_of(analysis, selection), method=selection.method)
    page_state.share(selection)
    if analysis is not None and drawn is not None:
        with files:
            download.popover(drawn, selection)
        with under_map:  # last, for what is measured may take minutes
            section.show(drawn.asked, drawn.large, selection)


def _maps(request: Request, analysis: Analysis, selection: Selection) -> tuple[Maps | None, DeltaGenerator]:
    """What is drawn, if it can be, and the place under the large map."""
    over = selection.view == "over"
    whole = st.container()  # a picture and its map side by side need the whole width
    left, right = st.columns([3, 2], gap="medium")
    with left if over else whole:
        drawn = maps(request, analysis, selection)
        if drawn is not None:
            _overlay(analysis, selection, drawn)
            marks, of_target = section.drag_marks(selection), _asks_for_patch(drawn, selection)
            line.show(drawn, selection.options, drag=marks, of_target=of_target)
            if sinks.apply_to(drawn.method):
                sinks.show(analysis, selection, layer=layer_of(analysis, selection))
            _predictions(analysis, request.picture)
        under_map = st.container()
    if drawn is not None and drawn.method.per_head:
        with left:
            _mosaic(analysis, selection, drawn)
    if drawn is not None:
        with right:
            _beside(request, analysis, selection, drawn)
    with left if drawn is not None and _is_short(drawn) else right:
        _entropy_by_depth(analysis, selection)
    return drawn, under_map


def _is_short(drawn: Maps) -> bool:
    """Whether the large map leaves room below itself, beside what stands in the place of the layer's heads."""
    return "head" not in drawn.method.depends_on and drawn.large.grid.width > 1.2 * drawn.large.grid.height


def _beside(request: Request, analysis: Analysis, selection: Selection, drawn: Maps) -> None:
    """The layer's heads; of a method that has none, what it is."""
    if "head" in drawn.method.depends_on:
        _head_grid(analysis, selection, drawn)
    else:
        with st.container(key="method_beside"):
            method_control.card(drawn.method, target_control.takes(request, drawn.method))


def _overlay(analysis: Analysis, selection: Selection, drawn: Maps) -> None:
    grid, beside = drawn.large.grid, selection.view == "beside" and not drawn.note
    if drawn.note:
        st.info(drawn.note, icon=":material/visibility_off:")
    figure = overlay_figure(
        analysis.pixels,
        drawn.large.values,
        limit=drawn.limit,
        colours=drawn.stops,
        opacity=0.0 if drawn.note else selection.opacity / 100,
        query=drawn.patch if "query" in drawn.method.depends_on else None,
        signed=drawn.method.signed,
        unit=drawn.large.unit,
        outlined=drawn.outlined,
        beside=beside,
        marks=section.outline(drawn.asked.request, analysis, selection, beside=beside),
    )
    region = partial(choose_region, grid, analysis.frame) if "query" in drawn.method.depends_on else None
    analysis_panel.chart(
        figure,
        keys.OVERLAY,
        grid.width / grid.height * (2.02 if beside else 1),
        partial(choose_point, grid, analysis.frame, of_target=_asks_for_patch(drawn, selection)),
        alt=f"{drawn.large.label}, over the picture",
        on_region=section.drag(analysis, selection, region=region is not None) or region,
    )


def _asks_for_patch(drawn: Maps, selection: Selection) -> bool:
    """Whether a click chooses the patch that the target is about."""
    return "target" in drawn.method.depends_on and targets.is_point(selection.target)


def _predictions(analysis: Analysis, picture: Picture) -> None:
    """The likeliest classes, where they are worth showing: the demo models know nothing but generated scenes."""
    demo = analysis.trace.spec.family == "demo"
    if analysis.trace.predictions and (picture.scene or not demo):
        likely = " · ".join(f"{p.label} {p.probability:.0%}" for p in analysis.trace.predictions[:PREDICTIONS])
        st.caption(f"Classifier: {likely}", help=DEMO_CLASSIFIER if demo else None)


def _cell_texts(analysis: Analysis) -> list[list[str]]:
    """For each layer and head, what its cell says on hover."""
    statistics = analysis.trace.statistics
    bits = statistics.cls_entropy / math.log(2)
    return [
        [f"layer {layer} · head {head}<br>CLS entropy {entropy:.2f} bits" for head, entropy in enumerate(row)]
        for layer, row in zip(statistics.layers, bits, strict=True)
    ]


def _head_grid(analysis: Analysis, selection: Selection, drawn: Maps) -> None:
    layer = layer_of(analysis, selection)
    scale = "one shared scale" if selection.scale == "shared" else "each its own scale"
    st.markdown(f"**Heads of layer {layer}** :small[{scale} · click to choose]")
    figure = mosaics.head_grid_figure(
        drawn.every[drawn.row],
        limits=drawn.limits[drawn.row],
        colours=drawn.stops,
        signed=drawn.method.signed,
        labels=_cell_texts(analysis)[layer],
        selected=selection.one_head,
    )
    grid = mosaics.head_mosaic(*drawn.every.shape[1:])
    choose = partial(choose_head, grid, drawn.every.shape[1])
    analysis_panel.chart(figure, keys.HEAD_GRID, grid.aspect, choose, alt=f"Attention of each head of layer {layer}")
    if selection.one_head is not None:
        _open_keys(layer, selection.one_head)


def _open_keys(layer: int, head: int) -> None:
    st.button(
        f"Open the keys of head {head} in Tokens",
        key=keys.OPEN_KEYS,
        type="tertiary",
        icon=":material/palette:",
        help="What this head compares patches by: its keys as colours, and which patches' keys are alike.",
        on_click=widgets.take,
        args=(opening.choose_keys, layer, head),
    )


def _mosaic(analysis: Analysis, selection: Selection, drawn: Maps) -> None:
    st.markdown("**All layers × heads** :small[click to open]")
    small, layers = mosaics.thumbnails(drawn.every), tuple(analysis.trace.layers)
    figure = mosaics.mosaic_figure(
        small,
        limits=drawn.limits,
        colours=drawn.stops,
        signed=drawn.method.signed,
        labels=_cell_texts(analysis),
        layers=layers,
        selected=(layer_of(analysis, selection), selection.one_head),
    )
    grid = Mosaic(*small.shape)
    choose = partial(choose_layer_and_head, grid, layers)
    analysis_panel.chart(figure, keys.MOSAIC, grid.aspect, choose, alt="Attention of all heads")


def _entropy_by_depth(analysis: Analysis, selection: Selection) -> None:
    st.markdown(f"**Entropy by depth** :small[{head_table.of_raw(selection.method)}CLS query, over all keys]")
    statistics, grid = analysis.trace.statistics, analysis.trace.grid
    figure = entropy_figure(
        statistics.cls_entropy / math.log(2),
        layers=statistics.layers,
        layer=layer_of(analysis, selection),
        unit="bits",
        most=math.log2(grid.tokens),
    )
    st.plotly_chart(
        figure, key=keys.ENTROPY_BY_DEPTH, height=380, config=analysis_panel.CHART, alt="Entropy of every head by layer"
    )
