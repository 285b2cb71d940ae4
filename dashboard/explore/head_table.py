"""The table of per-head entropy statistics, a part of Explore."""

import math
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.services.analyses import Analysis
from dashboard.shell.controls import csv_button, segments
from dashboard.shell.formatting import DIGITS, titled
from vit_engine import TokenGrid
from vit_engine.analysis.methods import RAW
from vit_engine.trace.statistics import COLUMNS, STATISTICS, Column

_LAYERS_TITLES = {"layer": "This layer", "all": "All layers"}
_KEYS_TITLES = {"all": "All keys", "patches": "Patches only"}
# Of the statistics that are no entropies: what stands before all others, and what others nearly say.
_FIRST = ("distance_px", "distance_fraction", "mean_prefix_mass", "cls_maximum", "cls_to_cls", "cls_top10_mass")
_DOWNLOAD_ONLY = {"cls_prefix_mass", "mean_maximum"}


def show(analysis: Analysis, *, layer: int, method: str = RAW) -> None:
    """The table's controls, its download, and the table of one layer or of all. method: of the map above it."""
    frame = analysis.trace.statistics.to_frame()
    layers, over = _controls(frame, analysis.trace.spec.name, method)
    shown = frame if layers == "all" else frame[frame["layer"] == layer]
    order = _table_columns("patch_" if over == "patches" else "")
    rows = list(zip(shown["layer"].tolist(), shown["head"].tolist(), strict=True))
    st.dataframe(
        shown[[name for name in order if name in shown]],
        key=keys.HEAD_STATISTICS,
        on_select=partial(widgets.take, _choose_row, rows),
        selection_mode="single-cell",
        hide_index=True,
        height="content" if layers == "layer" else 460,
        column_config=_column_config(analysis.trace.grid, order),
    )


def of_raw(method: str) -> str:
    """What statistics are of, before further words, where the map above them is of another method."""
    return "" if method == RAW else "of raw attention · "


def _controls(frame: pd.DataFrame, model: str, method: str) -> tuple[str, str]:
    """Which layers and which keys to show; beside them the download of everything."""
    with st.container(
        key="table_head", horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"
    ):
        st.markdown(
            f"**Per-head entropy statistics** :small[{of_raw(method)}a click on a row opens its head]", width="content"
        )
        with st.container(horizontal=True, width="content", key="table_controls"):
            layers = segments("Layers", _LAYERS_TITLES, key=keys.TABLE_LAYERS, default="layer", collapsed=True)
            help = "Entropies over all keys, or over patch keys renormalised to sum to 1."
            over = segments("Keys", _KEYS_TITLES, key=keys.TABLE_KEYS, default="all", collapsed=True, help=help)
            csv_button(frame, f"heads-{model}", key=keys.DOWNLOAD_STATISTICS, help="All layers, heads and columns.")
    return layers, over


def _table_columns(which: str) -> list[str]:
    entropies = [f"cls_{which}{name}" for name in ("entropy_bits", "entropy_normalised", "effective_tokens")]
    entropies += [f"mean_{which}{name}" for name in ("entropy_bits", "entropy_normalised")]
    others = [name for name in STATISTICS if "entropy" not in name and "effective_tokens" not in name]
    ordered = dict.fromkeys(["layer", "head", *entropies, *_FIRST, *others])
    return [name for name in ordered if name not in _DOWNLOAD_ONLY]


def _column_config(grid: TokenGrid, order: list[str]) -> dict:
    """Bars in the cells, each column's length its largest possible value."""
    most = {"bits": math.log2(grid.tokens), "0..1": 1.0, "px": grid.diagonal, "tokens": float(grid.tokens), "": 0.0}
    return {column.name: _column(column, most[column.unit]) for column in COLUMNS if column.name in order}


def _column(column: Column, most: float) -> Any:
    if not column.unit:
        return st.column_config.NumberColumn(column.title, help=column.description, width=60)
    number = f"%.{DIGITS[column.unit]}f"
    return st.column_config.ProgressColumn(
        titled(column), help=column.description, format=number, min_value=0.0, max_value=most
    )


def _choose_row(rows: list[tuple[int, int]]) -> dict[str, int | str]:
    """rows: (layer, head) of those on the screen."""
    cells = st.session_state[keys.HEAD_STATISTICS]["selection"]["cells"]
    if not cells:
        return {}
    layer, head = rows[cells[0][0]]
    return {keys.LAYER: layer, keys.HEAD: str(head)}
