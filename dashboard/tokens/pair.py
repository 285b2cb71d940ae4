"""Two pictures on the page Tokens: lines between what corresponds in them, and the query in both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.services import token_pairs
from dashboard.services.pictures import Picture
from dashboard.services.token_maps import key_of
from dashboard.services.tokens import TokenAnalysis
from dashboard.shell import analysis_panel
from dashboard.shell.controls import csv_button, select_slider
from dashboard.shell.formatting import plain
from dashboard.tokens import pair_texts, second
from dashboard.tokens.figures import Layer
from dashboard.tokens.maps import Query
from dashboard.tokens.pair_figures import Mark, Part, Place, aspect, pair_figure, places
from dashboard.tokens.state import MATCHES, RATIOS, TokensView
from vit_engine import Correspondences

_RATIO_HELP = (
    "Lowe's ratio test: a match is clear if its distance is at most this share of the distance of the second best "
    "patch that is not beside it, in both directions. Off keeps all mutual nearest neighbours."
)
_MATCHES_HELP = "How many matches are drawn, the clearest first. 0 draws none."
_WIDTH = 165  # pixels, of a slider: two beside each other on a phone
_COLUMNS = (
    *("first_row", "first_col", "first_y_px", "first_x_px"),
    *("second_row", "second_col", "second_y_px", "second_x_px"),
    *("cosine_similarity", "ratio"),
)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two pictures, the first one first: what they are, what was computed, what lies over them."""

    pictures: tuple[Picture, Picture]
    analyses: tuple[TokenAnalysis, TokenAnalysis]
    layers: tuple[Layer, Layer]


def show(pair: Pair, view: TokensView, query: Query, *, layer: int, narrow: bool) -> None:
    """The figure with its controls. layer: its number. narrow: the pictures stand one above the other."""
    clear = token_pairs.correspondences(*pair.analyses, layer=layer, head=view.one_head, ratio=view.ratio)
    _controls(clear, pair)
    drawn, marks = clear.best(view.matches), _marks(pair, view, query)
    _figure(pair, drawn, marks, view, narrow=narrow)
    with st.container(gap="small", key="pair_lines"):
        st.caption(_names(pair, narrow=narrow))
        _line(pair, clear, len(drawn), view)
        if marks:
            asked, (number, patch) = marks
            value = float(_values(pair.layers[number])[patch])
            st.markdown(pair_texts.best_match_line(asked, (number, patch), value))


def _figure(pair: Pair, drawn: Correspondences, marks: Sequence[Mark], view: TokensView, *, narrow: bool) -> None:
    arranged = places(*(analysis.features.grid for analysis in pair.analyses), stacked=narrow)
    first, other = (
        Part(analysis.pixels, colours, place)
        for analysis, colours, place in zip(pair.analyses, pair.layers, arranged, strict=True)
    )
    analysis_panel.chart(
        pair_figure(first, other, drawn, marks=marks),
        keys.TOKEN_PAIR,
        aspect(arranged),
        partial(choose, pair.analyses, arranged, view.view),
        alt=f"Both pictures, with lines between their best {len(drawn)} matches",
    )


def _line(pair: Pair, clear: Correspondences, drawn: int, view: TokensView) -> None:
    """How many correspond; where that says nothing, what to change."""
    first, other = map(key_of, pair.analyses)
    if first == other:
        st.info("Both are one picture at one size: each patch matches itself. Choose another size for the second.")
    elif len(clear):
        st.markdown(pair_texts.matches_line(clear, drawn, view.ratio))
    else:
        st.warning(pair_texts.no_matches(clear, view.ratio, view.facet), icon=":material/join_left:")


def _controls(clear: Correspondences, pair: Pair) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="pair_controls"):
        select_slider("Best matches", MATCHES, key=keys.MATCHES, help=_MATCHES_HELP, width=_WIDTH)
        select_slider("Ratio test", RATIOS, key=keys.RATIO, format_func=_ratio_name, help=_RATIO_HELP, width=_WIDTH)
        names = "-".join(picture.sample or "upload" for picture in pair.pictures)
        csv_button(
            table(clear),
            f"matches-{names}-{clear.label.rpartition('· ')[2]}",
            key=keys.DOWNLOAD_MATCHES,
            help=pair_texts.table_help(clear),
            later=True,
        )


def _ratio_name(ratio: float) -> str:
    return "off" if ratio == 1 else f"{ratio:g}"


def table(matches: Correspondences) -> pd.DataFrame:
    """A row a match, the clearest first; pixels are those of each scaled picture, at the middle of the patch."""
    sides = []
    for patches, grid in zip((matches.first, matches.second), matches.grids, strict=True):
        sides += [*patches.T, *((patches + 0.5) * grid.patch_size).T]
    return pd.DataFrame(dict(zip(_COLUMNS, (*sides, matches.similarity, matches.ratio), strict=True)))


def choose(
    analyses: Sequence[TokenAnalysis], arranged: Sequence[Place], view: str, *, x: float, y: float
) -> dict[str, Any]:
    """The patch becomes the query, in the picture that it is of; beside the pictures nothing does."""
    shown = {keys.TOKENS_VIEW: "similarity"} if view == "pca" else {}
    for number, (analysis, place) in enumerate(zip(analyses, arranged, strict=True)):
        patch = place.patch_at(y=y, x=x)
        if patch is not None:
            middle, (height, width) = analysis.features.grid.centre(*patch), analysis.frame
            point = round(middle[0] / height, 4), round(middle[1] / width, 4)
            return {**(second.ask(point) if number else second.ask_first(point)), **shown}
    return {}


def _values(layer: Layer) -> np.ndarray:
    assert layer.values is not None
    return layer.values


def _marks(pair: Pair, view: TokensView, query: Query) -> tuple[Mark, ...]:
    """In the view of similarity, the query and what is most like it in the other picture; elsewhere none."""
    if view.view != "similarity" or query.patch is None:
        return ()
    values = _values(pair.layers[1 - query.picture])
    row, col = np.unravel_index(int(values.argmax()), values.shape)
    return (query.picture, query.patch), (1 - query.picture, (int(row), int(col)))


def _names(pair: Pair, *, narrow: bool) -> str:
    """Which picture is where, and how large."""
    sides = ("above", "below") if narrow else ("left", "right")
    named = []
    for side, picture, analysis in zip(sides, pair.pictures, pair.analyses, strict=True):
        grid = analysis.features.grid
        named.append(f"{side}: {plain(picture.title)}, {grid.rows}×{grid.cols} patches of {grid.patch_size} px")
    text = " · ".join(named)
    return text[0].upper() + text[1:]
