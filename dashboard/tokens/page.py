"""Tokens: what the patches of a picture carry: components as colours, similarity to a patch, lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import keys
from dashboard.charts import cell_at
from dashboard.links import widgets
from dashboard.links.selection import middle
from dashboard.links.zoom import Zoom, zoom_in_pixels, zoom_to
from dashboard.services import token_maps
from dashboard.services.pictures import Picture
from dashboard.services.tokens import TokenAnalysis
from dashboard.shell import analysis_panel, clicks, cursor, page_state, sidebar, width
from dashboard.shell.controls import reset_button
from dashboard.tokens import controls, export, pair, second, texts
from dashboard.tokens.figures import Patch, figure_aspect, token_figure
from dashboard.tokens.maps import Maps, Query, maps
from dashboard.tokens.profile import profile_figure
from dashboard.tokens.state import TokensView
from vit_engine import AttentionMap, ModelSpec, PcaMap, TokenNorms, VitEngineError
from vit_engine.analysis.comparison import Point

HINT = "click a patch in either picture to see which patches are like it"


@dataclass(frozen=True)
class _Places:
    """Where the parts of the page go, from top to bottom."""

    header: DeltaGenerator
    stage: DeltaGenerator
    below: DeltaGenerator  # what concerns all layers
    pair: DeltaGenerator


def page() -> None:
    asked = sidebar.request()
    spec = asked.spec
    sidebar.settle(spec)
    controls.restore(spec)
    page_state.tell()
    narrow = width.is_narrow()
    places = _places(spec)
    with places.pair.container():
        other = second.show(asked.picture)
    widgets.mark()
    view, selection = controls.chosen(spec, other), sidebar.selection(spec)
    request = sidebar.token_request(view.facet)
    title = places.header.container(key="title", width="content")
    analysis = analysis_panel.analyse(request, title=title, stage=places.stage)
    if analysis is not None:
        parts = [(asked.picture, analysis)]
        with (
            places.pair.container()
        ):  # what comes and goes moves nothing below it: a chart that is moved is drawn again
            compared = second.analyse(request, other, view)
        if other is not None and compared is not None:
            parts.append((other, compared))
        _draw(parts, view, middle(selection.query), narrow=narrow, places=places)
    page_state.share(selection, view)
    if widgets.differed() and controls.chosen(spec, other) != view:
        widgets.again()


def _places(spec: ModelSpec) -> _Places:
    """With the controls of the first picture."""
    header = st.container(key="header", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute")
    with st.container(horizontal=True, vertical_alignment="bottom", key="token_controls"):
        controls.view_control()
        controls.facet_controls(spec)
    stage = st.container(key="stage")
    controls.layer_control(spec)
    return _Places(header, stage, st.container(), st.container(key="pair"))


def _draw(
    parts: Sequence[tuple[Picture, TokenAnalysis]],
    view: TokensView,
    point: Point | None,
    *,
    narrow: bool,
    places: _Places,
) -> None:
    """The first picture and its map, or why there is none; and both pictures, where there are two."""
    analyses = [analysis for _, analysis in parts]
    analysis, query = analyses[0], second.query(analyses, point, view)
    layer = analysis.features.layer_number(-1 if view.layer is None else view.layer)
    with places.stage:
        try:
            drawn = maps(analyses, view, layer=layer, query=query, colours=sidebar.colours())
        except VitEngineError as error:
            st.error(analysis_panel.reason(error, analysis.features.spec.name), icon=":material/error:")
            return
        _map(analysis, drawn, view, query.patch if query.picture == 0 else None, layer=layer, narrow=narrow)
        _line(drawn, view, query)
    with places.header:
        export.popover(export.Shown(parts, drawn, view, layer, query.patch, query.picture))
    if view.view == "norms":
        with places.below:
            _profile(analysis, view, layer, of_first=len(parts) > 1)
    if len(parts) > 1:
        (first, one), (other, compared) = parts
        both = pair.Pair((first, other), (one, compared), (drawn.layers[0], drawn.layers[1]))
        with places.pair:
            pair.show(both, view, query, layer=layer, narrow=narrow)


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
    return {**second.ask_first((round(y / height, 4), round(x / width, 4))), **shown}


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


def _line(drawn: Maps, view: TokensView, query: Query) -> None:
    """What the colours are, what the map says, and the ways back."""
    layer, result = drawn.layers[0], drawn.results[0]
    pcas = [each for each in drawn.results if isinstance(each, PcaMap)]
    norms = [each for each in drawn.results if isinstance(each, TokenNorms)]
    with st.container(horizontal=True, vertical_alignment="center", key="token_line"):
        if pcas:
            st.html(texts.pca_legend(), width="content")
            st.markdown(texts.pca_line(pcas))
        elif isinstance(result, AttentionMap):
            st.html(texts.similarity_legend(layer), width="content")
            st.markdown(texts.similarity_line(result, query, hint=HINT))
        else:
            st.html(texts.norm_legend(layer, norms, view.facet), width="content")
            st.markdown(texts.norm_line(norms, query))
        if query.patch is not None and not pcas:
            reset_button("Back to CLS", keys.QUERY, keys.ASKS, key=keys.RESET_QUERY, icon="undo")
        if view.zoom is not None:
            reset_button("Whole picture", keys.TOKEN_ZOOM, key=keys.TOKEN_RESET_ZOOM, icon="zoom_out_map")
    if isinstance(result, AttentionMap) and (words := texts.similarity_range(layer)):
        st.caption(words)


def _profile(analysis: TokenAnalysis, view: TokensView, layer: int, *, of_first: bool) -> None:
    """of_first: whether there is a second picture, which it does not show."""
    norms = token_maps.norms(analysis, head=view.one_head)
    of_head = "" if view.one_head is None else f", head {view.one_head}"
    depth = "Lengths by depth in the first picture" if of_first else "Lengths by depth"
    st.markdown(f"**{depth}** :small[{texts.profile_caption(norms)} · click to choose a layer]")
    title = f"length of the {view.facet}{of_head}"
    figure = profile_figure(norms, layer=layer, title=title)
    with st.container(key="token_profile_box"):
        clicks.listen(keys.TOKEN_PROFILE, partial(_choose_layer, norms))
        st.plotly_chart(
            figure, key=keys.TOKEN_PROFILE, height=360, config=analysis_panel.CHART, alt=f"{title} by layer"
        )


def _choose_layer(norms: tuple[TokenNorms, ...], *, x: float, **_: float) -> dict[str, int]:
    layer = round(x)
    return {keys.TOKEN_LAYER: layer} if any(each.layer == layer for each in norms) else {}
