"""Explore: one picture, one model; every layer, every head, any query patch."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from dashboard import keys
from dashboard.charts import cell_at
from dashboard.explore import head_table, mosaics, sinks
from dashboard.explore.figures import entropy_figure, overlay_figure
from dashboard.explore.mosaics import Mosaic
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services.analyses import Analysis, Request
from dashboard.services.maps import MapRequest
from dashboard.services.pictures import Picture
from dashboard.shell import analysis_panel, method_control, opening, page_state, sidebar
from dashboard.shell.controls import reset_button, segments
from dashboard.shell.formatting import colour_legend
from vit_engine import AttentionMap, Method, TokenGrid, find_method
from vit_engine.report.colours import colour_stops, upper_limit

PREDICTIONS = 3  # classes, the likeliest first
_VIEW_TITLES = {"over": "Over the picture", "beside": "Beside it"}
DEMO_CLASSIFIER = "The demo models point well and classify poorly: their model card says how often they are right."


def page() -> None:
    opening.follow()
    page_state.tell()
    request = sidebar.request()
    header = st.container(key="header", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    sidebar.layer_and_head(request.spec)
    below = st.container(key="stage")
    with header:
        title = st.container(key="title", width="content")
        segments("View", _VIEW_TITLES, key=keys.VIEW, collapsed=True)
    widgets.mark()
    selection = sidebar.selection(request.spec)
    analysis = analysis_panel.analyse(request, title=title, stage=below)
    if analysis is not None:
        with below:
            _maps(request, analysis, request.picture, selection)
            head_table.show(analysis, layer=_layer(analysis, selection))
    page_state.share(selection)


@dataclass(frozen=True, eq=False)
class _Maps:
    """What a method says, and where the colours end."""

    method: Method
    patch: tuple[int, int] | None  # the chosen one, None for the CLS token
    large: AttentionMap  # of the chosen layer and head
    every: np.ndarray  # (layers, heads, rows, cols), one layer or head where the method depends on none
    row: int  # the chosen layer's place in it
    limits: np.ndarray  # (layers, heads)
    limit: float  # of the large map
    aside: np.ndarray  # bool (rows, cols): its patches that the colour scale leaves out


def _maps(request: Request, analysis: Analysis, picture: Picture, selection: Selection) -> None:
    maps = _attributed(request, analysis, selection)
    over = selection.view == "over"
    whole = st.container()  # a picture and its map side by side need the whole width
    left, right = st.columns([3, 2], gap="medium")
    with left if over else whole:
        _overlay(analysis, selection, maps)
        _below_overlay(maps)
        if sinks.apply_to(maps.method):
            sinks.show(analysis, selection, layer=_layer(analysis, selection))
        _predictions(analysis, picture)
    if maps.method.per_head:
        with left:
            _mosaic(analysis, selection, maps)
    with right:
        if "head" in maps.method.depends_on:
            _head_grid(analysis, selection, maps)
        _entropy_by_depth(analysis, selection)


def _attributed(request: Request, analysis: Analysis, selection: Selection) -> _Maps:
    method, layer, one = find_method(selection.method), _layer(analysis, selection), selection.one_head
    head = selection.head if one is None else one
    patch = analysis.patch(selection.query)
    query = "cls" if patch is None else patch
    asked = MapRequest(request, analysis, method, layer=layer, head=head, query=query)
    found = asked.analyse(lambda fraction, message: None)
    row, maps = list(found).index(layer) if layer in found else 0, list(found.values())
    every, large = np.stack([each.heads for each in maps]), maps[row].map
    aside = sinks.set_aside(analysis, selection, method, every.shape)
    limits, of_one = _limits(every, aside, selection), one is not None and "head" in method.depends_on
    left_out = aside[row, one] if of_one else aside[row].any(axis=0)
    limit = _limit(large.values, left_out, selection)
    if selection.scale == "shared" and of_one:
        limit = float(limits[row, one])  # as in the layer's other heads
    return _Maps(method, patch, large, every, row, limits, limit, left_out)


def _layer(analysis: Analysis, selection: Selection) -> int:
    return max(analysis.trace.layers) if selection.layer is None else selection.layer


def _limits(every: np.ndarray, aside: np.ndarray, selection: Selection) -> np.ndarray:
    """Where the colours of each (layer, head) end: at one value a layer, or each at its own."""
    layers = list(zip(every, aside, strict=True))
    if selection.scale == "own":
        return np.array([[_limit(*head, selection) for head in zip(*layer, strict=True)] for layer in layers])
    limits = np.array([_limit(*layer, selection) for layer in layers])
    return np.repeat(limits[:, None], every.shape[1], axis=1)


def _limit(values: np.ndarray, aside: np.ndarray, selection: Selection) -> float:
    """Of what is not set aside, if there is any."""
    return upper_limit(values if aside.all() else values[~aside], selection.clip)


def _overlay(analysis: Analysis, selection: Selection, maps: _Maps) -> None:
    beside, grid = selection.view == "beside", maps.large.grid
    figure = overlay_figure(
        analysis.pixels,
        maps.large.values,
        limit=maps.limit,
        colours=sidebar.colours(),
        opacity=selection.opacity / 100,
        query=maps.patch if "query" in maps.method.depends_on else None,
        outlined=[(row, col) for row, col in np.argwhere(maps.aside).tolist()],
        beside=beside,
    )
    aspect = grid.width / grid.height * (2.02 if beside else 1)
    choose = partial(_choose_query, analysis.trace.grid, analysis.frame)
    analysis_panel.chart(figure, keys.OVERLAY, aspect, choose, alt=f"{maps.large.label}, over the picture")


def _choose_query(grid: TokenGrid, frame: tuple[int, int], *, x: float, y: float) -> dict[str, tuple[float, float]]:
    height, width = frame
    y, x = grid.centre(*cell_at(x, y, rows=grid.rows, cols=grid.cols))
    return {keys.QUERY: (round(y / height, 4), round(x / width, 4))}


def _choose_head(grid: Mosaic, heads: int, *, x: float, y: float) -> dict[str, str]:
    row, col = grid.cell_at(x, y)
    head = row * grid.across + col
    return {keys.HEAD: str(head)} if head < heads else {}


def _choose_layer_and_head(grid: Mosaic, layers: tuple[int, ...], *, x: float, y: float) -> dict[str, int | str]:
    row, head = grid.cell_at(x, y)
    return {keys.LAYER: layers[row], keys.HEAD: str(head)}


def _below_overlay(maps: _Maps) -> None:
    stops, meaning = colour_stops(sidebar.colours()), method_control.meaning(maps.method)
    with st.container(horizontal=True, vertical_alignment="center", key="query_line"):
        st.html(colour_legend(stops, "0", f"≥ {maps.limit:.2%}", meaning), width="content")
        token = method_control.token(maps.method, maps.patch, bold="**")
        if maps.patch is None:
            st.markdown(f"{token} · :small[{method_control.hint(maps.method)}]" if token else "")
        elif token:
            st.markdown(token)
            reset_button("Back to CLS", keys.QUERY, key=keys.RESET_QUERY, icon="undo")


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


def _head_grid(analysis: Analysis, selection: Selection, maps: _Maps) -> None:
    layer = _layer(analysis, selection)
    scale = "one shared scale" if selection.scale == "shared" else "each its own scale"
    st.markdown(f"**Heads of layer {layer}** :small[{scale} · click to choose]")
    figure = mosaics.head_grid_figure(
        maps.every[maps.row],
        limits=maps.limits[maps.row],
        colours=sidebar.colours(),
        labels=_cell_texts(analysis)[layer],
        selected=selection.one_head,
    )
    grid = mosaics.head_mosaic(*maps.every.shape[1:])
    choose = partial(_choose_head, grid, maps.every.shape[1])
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


def _mosaic(analysis: Analysis, selection: Selection, maps: _Maps) -> None:
    st.markdown("**All layers × heads** :small[click to open]")
    small, layers = mosaics.thumbnails(maps.every), tuple(analysis.trace.layers)
    figure = mosaics.mosaic_figure(
        small,
        limits=maps.limits,
        colours=sidebar.colours(),
        labels=_cell_texts(analysis),
        layers=layers,
        selected=(_layer(analysis, selection), selection.one_head),
    )
    grid = Mosaic(*small.shape)
    choose = partial(_choose_layer_and_head, grid, layers)
    analysis_panel.chart(figure, keys.MOSAIC, grid.aspect, choose, alt="Attention of all heads")


def _entropy_by_depth(analysis: Analysis, selection: Selection) -> None:
    st.markdown("**Entropy by depth** :small[CLS query, over all keys]")
    statistics, grid = analysis.trace.statistics, analysis.trace.grid
    figure = entropy_figure(
        statistics.cls_entropy / math.log(2),
        layers=statistics.layers,
        layer=_layer(analysis, selection),
        unit="bits",
        most=math.log2(grid.tokens),
    )
    st.plotly_chart(
        figure, key=keys.ENTROPY_BY_DEPTH, height=380, config=analysis_panel.CHART, alt="Entropy of every head by layer"
    )
