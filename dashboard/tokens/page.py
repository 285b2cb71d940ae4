"""Tokens: what the patches of a picture carry: components as colours, similarity to a patch, lengths."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.charts import cell_at
from dashboard.links import widgets
from dashboard.links.zoom import Zoom, zoom_in_pixels, zoom_to
from dashboard.services import token_maps
from dashboard.services.pictures import Picture
from dashboard.services.tokens import TokenAnalysis
from dashboard.shell import analysis_panel, clicks, cursor, page_state, sidebar, width
from dashboard.shell.controls import reset_button
from dashboard.tokens import controls, export, texts
from dashboard.tokens.figures import Patch, figure_aspect, token_figure
from dashboard.tokens.maps import Maps, maps
from dashboard.tokens.profile import profile_figure
from dashboard.tokens.state import TokensView
from vit_engine import AttentionMap, PcaMap, TokenNorms, VitEngineError

HINT = "click a patch in either picture to see which patches are like it"


def page() -> None:
    asked = sidebar.request()
    spec = asked.spec
    sidebar.settle(spec)
    controls.restore(spec)
    page_state.tell()
    narrow = width.is_narrow()
    header = st.container(key="header", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    with st.container(horizontal=True, vertical_alignment="bottom", key="token_controls"):
        controls.view_control()
        controls.facet_controls(spec)
    stage, slider, below = st.container(key="stage"), st.container(), st.container()
    with slider:
        controls.layer_control(spec)
    widgets.mark()
    view, selection = controls.chosen(spec), sidebar.selection(spec)
    request = sidebar.token_request(view.facet)
    title = header.container(key="title", width="content")
    analysis = analysis_panel.analyse(request, title=title, stage=stage)
    if analysis is not None:
        _parts(asked.picture, analysis, view, selection.query, narrow=narrow, corner=header, stage=stage, below=below)
    page_state.share(selection, view)
    if widgets.differed() and controls.chosen(spec) != view:
        widgets.again()


def _parts(
    picture: Picture,
    analysis: TokenAnalysis,
    view: TokensView,
    point: tuple[float, float] | None,
    *,
    narrow: bool,
    corner: DeltaGenerator,
    stage: DeltaGenerator,
    below: DeltaGenerator,
) -> None:
    """The picture and its map, or why there is none; below the layer's slider what concerns all layers."""
    layer, query = analysis.features.layer_number(-1 if view.layer is None else view.layer), analysis.patch(point)
    with stage:
        try:
            drawn = maps((analysis,), view, layer=layer, query=query, colours=sidebar.colours())
        except VitEngineError as error:
            st.error(analysis_panel.reason(error, analysis.features.spec.name), icon=":material/error:")
            return
        _map(analysis, drawn, view, query, layer=layer, narrow=narrow)
        _line(drawn, view, query)
    with corner:
        export.popover(export.Shown([(picture, analysis)], drawn, view, layer, query))
    if view.view == "norms":
        with below:
            _profile(analysis, view, layer)


def _map(
    analysis: TokenAnalysis, drawn: Maps, view: TokensView, query: Patch | None, *, layer: int, narrow: bool
) -> None:
    grid, features = analysis.features.grid, analysis.features
    figure = token_figure(
        analysis.pixels,
        drawn.layers[0],
        query=query,
        outliers=drawn.outliers,
        zoom=_in_cells(view.zoom, grid.shape),
        stacked=narrow,
    )
    analysis_panel.chart(
        figure,
        keys.TOKEN_MAP,
        figure_aspect(grid.height, grid.width, stacked=narrow),
        partial(_choose_query, analysis, view.view),
        alt=f"The picture, and the {features.label(layer, view.one_head)} of its patches: {view.view}",
        on_zoom=partial(_zoom, grid.shape),
    )
    cursor.follow(keys.TOKEN_MAP, rows=grid.rows, cols=grid.cols)


def _choose_query(analysis: TokenAnalysis, view: str, *, x: float, y: float) -> dict[str, Any]:
    """The patch becomes the query; of the components, which say nothing of it, a click goes on to similarity."""
    grid, (height, width) = analysis.features.grid, analysis.frame
    y, x = grid.centre(*cell_at(x, y, rows=grid.rows, cols=grid.cols))
    shown = {keys.TOKENS_VIEW: "similarity"} if view == "pca" else {}
    return {keys.QUERY: (round(y / height, 4), round(x / width, 4)), **shown}


def _in_cells(zoom: Zoom | None, shape: tuple[int, int]) -> Zoom | None:
    """The part that is shown, in units of the figure's axes."""
    part = zoom_in_pixels(zoom, shape)
    if part is None:
        return None
    top, left, bottom, right = part
    return top - 0.5, left - 0.5, bottom - 0.5, right - 0.5


def _zoom(shape: tuple[int, int], **box: list[float]) -> Mapping[str, Zoom | None]:
    """What was zoomed or moved to stays, whatever is drawn next."""
    return zoom_to(keys.TOKEN_ZOOM, {axis: [end + 0.5 for end in ends] for axis, ends in box.items()}, shape)


def _line(drawn: Maps, view: TokensView, query: Patch | None) -> None:
    """What the colours are, what the map says, and the ways back."""
    layer, result = drawn.layers[0], drawn.results[0]
    with st.container(horizontal=True, vertical_alignment="center", key="token_line"):
        if isinstance(result, PcaMap):
            st.html(texts.pca_legend(), width="content")
            st.markdown(texts.pca_line(result))
        elif isinstance(result, AttentionMap):
            st.html(texts.similarity_legend(layer), width="content")
            st.markdown(texts.similarity_line(result, query, hint=HINT))
        else:
            st.html(texts.norm_legend(layer, result, view.facet), width="content")
            st.markdown(texts.norm_line(result, query))
        if query is not None and not isinstance(result, PcaMap):
            reset_button("Back to CLS", keys.QUERY, key=keys.RESET_QUERY, icon="undo")
        if view.zoom is not None:
            reset_button("Whole picture", keys.TOKEN_ZOOM, key=keys.TOKEN_RESET_ZOOM, icon="zoom_out_map")
    if isinstance(result, AttentionMap) and (words := texts.similarity_range(layer)):
        st.caption(words)


def _profile(analysis: TokenAnalysis, view: TokensView, layer: int) -> None:
    norms = token_maps.norms(analysis, head=view.one_head)
    of_head = "" if view.one_head is None else f", head {view.one_head}"
    st.markdown(f"**Lengths by depth** :small[{texts.profile_caption(norms)} · click to choose a layer]")
    title = f"length of the {view.facet}{of_head}"
    figure = profile_figure(norms, layer=layer, title=title)
    with st.container(key="token_profile_box"):
        st.plotly_chart(
            figure, key=keys.TOKEN_PROFILE, height=360, config=analysis_panel.CHART, alt=f"{title} by layer"
        )
        clicks.listen(keys.TOKEN_PROFILE, partial(_choose_layer, norms))


def _choose_layer(norms: tuple[TokenNorms, ...], *, x: float, **_: float) -> dict[str, int]:
    layer = round(x)
    return {keys.TOKEN_LAYER: layer} if any(each.layer == layer for each in norms) else {}
