"""How alike heads are, as a matrix: a part of the page Heads."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.charts import cell_at
from dashboard.heads.asked import Asked
from dashboard.heads.figures import similarity_figure
from dashboard.heads.state import THRESHOLDS, HeadsView
from dashboard.services.analyses import Analysis
from dashboard.services.heads import similarity
from dashboard.shell import analysis_panel, controls, opening, sidebar
from vit_engine.analysis.similarity import Head, HeadSimilarity

_SCOPE_TITLES = {"layer": "One layer", "all": "All layers"}
_ORDER_TITLES = {"cluster": "By likeness", "number": "By number"}


def show(analysis: Analysis, view: HeadsView, asked: Asked) -> None:
    """The matrix of divergences, its order and redundant groups; a click opens the row's head in Explore."""
    st.markdown("**Head similarity** :small[click to open the row's head in Explore]")
    _controls(analysis.trace.spec.depth)
    found = similarity(analysis, asked.query, method=asked.method.name, gradients=asked.gradients)
    if view.scope == "layer":
        found = found.of_layer(max(analysis.trace.layers) if view.layer is None else view.layer)
    groups = found.groups(view.redundant)
    order = found.order if view.order == "cluster" else tuple(range(len(found.heads)))
    heads = tuple(found.heads[place] for place in order)
    divergence = found.divergence[np.ix_(order, order)]
    figure = similarity_figure(divergence, heads=heads, groups=groups, colours=sidebar.colours())
    st.caption(
        f"Jensen-Shannon divergence of their maps over patches, in bits: 0 is the same map, 1 no patch in common. "
        f"{asked.words} {_groups_in_words(groups)}"
    )
    analysis_panel.chart(figure, keys.SIMILARITY, 1.08, partial(_open, heads), alt="Divergence of every two heads")
    name = f"similarity-{analysis.trace.spec.name}"
    controls.csv_button(_table(found), name, key=keys.DOWNLOAD_SIMILARITY, help="One row a pair of heads.", later=True)


def _controls(depth: int) -> None:
    """Which heads the matrix is of, in which order, and how near they must be to be a redundant group."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="similarity_controls"):
        scope = controls.segments("Heads", _SCOPE_TITLES, key=keys.HEADS_SCOPE, collapsed=True, wrap=True)
        controls.segments("Order", _ORDER_TITLES, key=keys.HEADS_ORDER, collapsed=True, wrap=True)
    left, right = st.columns(2, gap="medium")
    with left:
        controls.layer_slider(depth, key=keys.HEADS_LAYER, disabled=scope == "all")
    with right:
        controls.select_slider(
            "Redundant up to",
            THRESHOLDS,
            key=keys.HEADS_REDUNDANT,
            format_func=lambda bits: f"{bits:g} bits",
            help="In a redundant group no two heads are further apart than this. 0 bits: the same map; 1 bit: no patch "
            "in common.",
        )


def _open(heads: tuple[Head, ...], *, x: float, y: float) -> dict[str, object]:
    row, _ = cell_at(x, y, rows=len(heads), cols=len(heads))
    return opening.choose(*heads[row])


def _groups_in_words(groups: tuple[tuple[Head, ...], ...]) -> str:
    if not groups:
        return "No redundant group."
    heads = sum(map(len, groups))
    return f"{len(groups)} redundant group{'s'[: len(groups) > 1]} of {heads} heads, framed."


def _table(similarity: HeadSimilarity) -> pd.DataFrame:
    first, second = np.triu_indices(len(similarity.heads), 1)
    numbers = np.asarray(similarity.heads, dtype=np.int16)
    names = ["layer", "head", "other_layer", "other_head"]
    frame = pd.DataFrame(np.hstack([numbers[first], numbers[second]]), columns=names)
    return frame.assign(divergence_bits=similarity.divergence[first, second])
