"""Explore: one picture, one model; every layer, every head, any query patch."""

import math

import numpy as np
import streamlit as st

from dashboard import charts, keys
from dashboard.explore import head_table, mosaics
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.services.analyses import Analysis, attributions
from dashboard.services.pictures import Picture
from dashboard.shell import analysis_panel, page_state, sidebar
from dashboard.shell.formatting import WEIGHT, colour_legend
from vit_engine import METHODS, AttentionMap
from vit_engine.report.colours import colour_stops, upper_limit

PREDICTIONS = 3  # classes, the likeliest first
DEMO_CLASSIFIER = "The demo models point well and classify poorly: their model card says how often they are right."
_GRID = "_grid"  # session state: the grid and the frame that the callback of the drawn overlay needs to know


def page() -> None:
    page_state.tell()
    request = sidebar.request()
    header = st.container(key="header", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    sidebar.layer_and_head(request.spec)
    below = st.container(key="stage")
    with header:
        title = st.container(key="title", width="content")
        sidebar.view_control()
    widgets.mark()
    selection = sidebar.selection(request.spec)
    analysis = analysis_panel.analyse(request, title=title, stage=below)
    if analysis is not None:
        with below:
            _maps(analysis, request.picture, selection)
            head_table.show(analysis, layer=_layer(analysis, selection))
    page_state.share(selection)


def _maps(analysis: Analysis, picture: Picture, selection: Selection) -> None:
    patch, found = attributions(analysis, METHODS[0], head=_head(selection), point=selection.query)
    maps = np.stack([each.heads for each in found.values()])  # (layers, heads, rows, cols)
    limits = _limits(maps, selection)
    over = selection.view == "over"
    whole = st.container()  # a picture and its map side by side need the whole width
    left, right = st.columns([3, 2], gap="medium")
    with left if over else whole:
        shown = found[_layer(analysis, selection)].map
        limit = _overlay(analysis, selection, shown, patch, limits)
        _below_overlay(analysis, patch, limit)
        _predictions(analysis, picture)
    with left:
        _mosaic(analysis, selection, maps, limits)
    with right:
        _head_grid(analysis, selection, maps, limits)
        _entropy_by_depth(analysis, selection)


def _layer(analysis: Analysis, selection: Selection) -> int:
    return max(analysis.trace.layers) if selection.layer is None else selection.layer


def _head(selection: Selection) -> int | str:
    return int(selection.head) if selection.head.isdigit() else selection.head


def _limits(maps: np.ndarray, selection: Selection) -> np.ndarray:
    """Where the colour scale of each (layer, head) ends: at one value a layer, or each at its own."""
    if selection.scale == "own":
        return np.array([[upper_limit(head, selection.clip) for head in layer] for layer in maps])
    shared = np.array([upper_limit(layer, selection.clip) for layer in maps])
    return np.repeat(shared[:, None], maps.shape[1], axis=1)


def _overlay(
    analysis: Analysis,
    selection: Selection,
    shown: AttentionMap,
    patch: tuple[int, int] | None,
    limits: np.ndarray,
) -> float:
    """Draw the large map; returns where its colour scale ends."""
    head, grid = _head(selection), shown.grid
    if selection.scale == "shared" and isinstance(head, int):
        limit = float(limits[_layer(analysis, selection), head])
    else:
        limit = upper_limit(shown.values, selection.clip)
    figure = charts.overlay_figure(
        analysis.pixels,
        shown.values,
        limit=limit,
        colours=sidebar.colours(),
        opacity=selection.opacity / 100,
        query=patch,
        beside=selection.view == "beside",
    )
    aspect = grid.width / grid.height * (2.02 if selection.view == "beside" else 1)
    analysis_panel.chart(figure, keys.OVERLAY, aspect, _choose_query, alt=f"{shown.label}, over the picture")
    return limit


def _choose_query() -> dict[str, tuple[float, float]]:
    point = sidebar.clicked(keys.OVERLAY)
    if point is None:
        return {}
    grid, (height, width) = st.session_state[_GRID]
    y, x = grid.centre(int(point["y"]), int(point["x"]))
    return {keys.QUERY: (round(y / height, 4), round(x / width, 4))}


def _choose_head() -> dict[str, str]:
    point = sidebar.clicked(keys.HEAD_GRID)
    return {} if point is None else {keys.HEAD: str(point["customdata"][0])}


def _choose_layer_and_head() -> dict[str, int | str]:
    point = sidebar.clicked(keys.MOSAIC)
    if point is None:
        return {}
    layer, head = point["customdata"]
    return {keys.LAYER: int(layer), keys.HEAD: str(head)}


def _reset_query() -> dict[str, None]:
    return {keys.QUERY: None}


def _below_overlay(analysis: Analysis, patch: tuple[int, int] | None, limit: float) -> None:
    st.session_state[_GRID] = (analysis.trace.grid, analysis.frame)
    with st.container(horizontal=True, vertical_alignment="center", key="query_line"):
        legend = colour_legend(colour_stops(sidebar.colours()), "0", f"≥ {limit:.2%}", WEIGHT)
        st.html(legend, width="content")
        if patch is None:
            st.markdown("Query: **CLS token** · :small[click a patch to see where *it* attends]")
        else:
            st.markdown(f"Query: **patch row {patch[0]}, col {patch[1]}**")
            st.button(
                "Back to CLS",
                key=keys.RESET_QUERY,
                on_click=widgets.take,
                args=(_reset_query,),
                type="tertiary",
                icon=":material/undo:",
            )


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
        [f"layer {layer} · head {head}<br>CLS entropy {bits[row, head]:.2f} bits" for head in range(bits.shape[1])]
        for row, layer in enumerate(statistics.layers)
    ]


def _head_grid(analysis: Analysis, selection: Selection, maps: np.ndarray, limits: np.ndarray) -> None:
    layer = _layer(analysis, selection)
    heads, rows, cols = maps[layer].shape
    scale = "one shared scale" if selection.scale == "shared" else "each its own scale"
    st.markdown(f"**Heads of layer {layer}** :small[{scale} · click to choose]")
    figure = mosaics.head_grid_figure(
        maps[layer],
        limits=limits[layer],
        colours=sidebar.colours(),
        labels=_cell_texts(analysis)[layer],
        selected=int(selection.head) if selection.head.isdigit() else None,
    )
    across = mosaics.grid_columns(heads, rows, cols)
    aspect = across * cols / (-(-heads // across) * rows)
    analysis_panel.chart(figure, keys.HEAD_GRID, aspect, _choose_head, alt=f"Attention of each head of layer {layer}")


def _mosaic(analysis: Analysis, selection: Selection, maps: np.ndarray, limits: np.ndarray) -> None:
    st.markdown("**All layers × heads** :small[click to open]")
    small = mosaics.thumbnails(maps)
    depth, heads, rows, cols = small.shape
    figure = mosaics.mosaic_figure(
        small,
        limits=limits,
        colours=sidebar.colours(),
        labels=_cell_texts(analysis),
        layers=list(analysis.trace.layers),
        selected=(_layer(analysis, selection), int(selection.head) if selection.head.isdigit() else None),
    )
    analysis_panel.chart(
        figure, keys.MOSAIC, heads * cols / (depth * rows), _choose_layer_and_head, alt="Attention of all heads"
    )


def _entropy_by_depth(analysis: Analysis, selection: Selection) -> None:
    st.markdown("**Entropy by depth** :small[CLS query, over all keys]")
    statistics, grid = analysis.trace.statistics, analysis.trace.grid
    figure = charts.entropy_figure(
        statistics.cls_entropy / math.log(2),
        layers=statistics.layers,
        layer=_layer(analysis, selection),
        unit="bits",
        most=math.log2(grid.tokens),
    )
    st.plotly_chart(
        figure, key=keys.ENTROPY_BY_DEPTH, height=380, config=analysis_panel.CHART, alt="Entropy of every head by layer"
    )
