"""The numbers of Compare: how much the panes agree, and their heads' statistics side by side."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import pandas as pd
import streamlit as st

from dashboard import keys
from dashboard.compare.figures import distribution_figure
from dashboard.compare.state import Comparing
from dashboard.compare.texts import different_targets, pane_titles, shared_columns
from dashboard.links import widgets
from dashboard.shell.analysis_panel import CHART
from dashboard.shell.controls import csv_button, segments, selectbox
from dashboard.shell.formatting import DIGITS, plain, titled
from vit_engine.analysis.comparison import (
    AGREEMENT_COLUMNS,
    Comparison,
    PaneResult,
    agreement_table,
    comparable_columns,
    head_table,
)
from vit_engine.trace.attention_map import Quantity
from vit_engine.trace.statistics import STATISTICS, Column

_ROWS_TITLES = {"layer": "This layer", "all": "All layers"}
_ORDER_TITLES = {"head": "By head", "difference": "Largest Δ first"}
_CHART_TITLES = {"box": "Box", "violin": "Violin"}
NORMALISED_ONLY = (
    "These panes have different numbers of tokens: an entropy in bits grows with them, so only normalised entropies "
    "(divided by the largest possible one) and distances compare."
)


def agreement(comparison: Comparison) -> None:
    """The table of all pairs, with what each number means, and a warning where panes explain different targets."""
    frame, titles = agreement_table(comparison), pane_titles(comparison)
    if differ := different_targets(comparison):
        st.warning(plain(differ), icon=":material/warning:")
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.markdown(
            f"**Agreement** :small[on a common grid, each map normalised · IoU of the patches that hold "
            f"{comparison.keep:.0%}]",
            width="content",
        )
        csv_button(frame, "agreement", key=keys.DOWNLOAD_AGREEMENT)
    missing = frame.isna().any()
    config = {
        column.name: _agreement_column(column, comparison.frame, pane_width(titles), bars=not missing[column.name])
        for column in AGREEMENT_COLUMNS
    }
    named = {side: frame[side].map(titles) for side in ("first", "second")}
    dataframe(frame.assign(**named), key=keys.AGREEMENT, config=config, height="content")
    st.caption(
        "**Pearson** follows the strongest patches, **Spearman** the order of all; **JSD** is 0 for the same "
        "distribution and 1 bit for nothing in common; **IoU** compares the masks; **centre shift** is how far the "
        "middle of the attention moves." + _without_numbers(comparison)
    )


def _without_numbers(comparison: Comparison) -> str:
    """Why some pairs have dashes; empty where all panes show attention."""
    kinds = {one.map.quantity for one in comparison.results}
    similarity = " **–**: JSD, IoU and centre shift are of distributions of attention; a similarity has no mass."
    pca = " **–**: principal components are shown as colours, which no number compares."
    return (similarity if Quantity.INTENSIVE in kinds else "") + (pca if Quantity.FITTED in kinds else "")


def dataframe(frame: pd.DataFrame, *, key: str, config: Mapping[Any, Any], height: int | Literal["content"]) -> None:
    """A table whose cells can be copied."""
    options: dict[str, Any] = {"on_select": "rerun", "selection_mode": "multi-cell", "column_config": config}
    options["placeholder"] = "–"
    st.dataframe(frame, key=key, hide_index=True, height=height, **options)


def pane_width(titles: Mapping[str, str]) -> int:
    """Pixels of a column of panes: about 7 a character, and the cell's margins."""
    return 30 + 7 * max(map(len, titles.values()), default=1)


def _agreement_column(column: Column, frame: tuple[int, int], width: int, *, bars: bool) -> Any:
    """A bar from nothing to the largest that can be; a correlation, which has no such nothing, as a number.

    width: of a column of panes. bars: without them all are numbers, for a bar that there is not has no dash in its
    place.
    """
    if not column.unit:
        return st.column_config.TextColumn(column.title, help=column.description, width=width)
    most, number = (math.hypot(*frame), "%.1f") if column.unit == "px" else (1.0, "%.3f")
    if column.unit == "−1..1" or not bars:
        title = column.title if column.unit == "−1..1" else titled(column)
        return st.column_config.NumberColumn(title, help=column.description, format=number)
    return st.column_config.ProgressColumn(
        titled(column), help=column.description, min_value=0.0, max_value=most, format=number
    )


def heads(comparison: Comparison, choice: Comparing) -> None:
    """Per-head statistics: the table, a column group a pane, and their distribution by layer and model."""
    columns = comparable_columns(comparison.results)
    st.space("xsmall")  # a caption ends without one
    st.markdown("**Per-head entropy statistics, side by side**")
    by_layer = choice.rows == "layer"
    groups = alike(comparison, by_layer=by_layer)
    column = _statistic_control(columns, differences=len(groups) > 1)
    if len(columns) < len(STATISTICS):
        st.caption(f":material/info: {NORMALISED_ONLY}")
    if shared := shared_columns(comparison, groups, by_layer=by_layer):
        st.caption(f":material/info: {shared}")
    shown = replace(comparison, results=tuple(one for one in comparison.results if one.name in groups))
    layers = {one.name: f" · layer {one.pane.layer}" if by_layer else "" for one in shown.results}
    titles = {
        one.name: f"{', '.join(groups[one.name])} · {one.trace.spec.title}{layers[one.name]}" for one in shown.results
    }
    _table(shown, column, choice, titles)
    _distribution(comparison, column, choice)


def alike(comparison: Comparison, *, by_layer: bool) -> dict[str, tuple[str, ...]]:
    """Panes whose heads' statistics are the same, for these depend on model and layer alone.

    By the pane that stands for them: the reference, or the first. by_layer: of each pane's own layer, not of all.
    """
    found: dict[tuple[str, int | None], list[str]] = {}
    for one in comparison.results:
        found.setdefault((one.pane.model, one.pane.layer if by_layer else None), []).append(one.name)
    base = comparison.base.name
    return {base if base in names else names[0]: tuple(names) for names in found.values()}


def _statistic_control(columns: tuple[Column, ...], *, differences: bool) -> Column:
    """The choice of a statistic and of its rows; of their order where the table has differences to go by."""
    by_name = {column.name: column for column in columns}
    if widgets.value_of(keys.STATISTIC) not in by_name:
        widgets.give(keys.STATISTIC, columns[0].name)
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_heads_controls"):
        name = selectbox(
            "Statistic",
            list(by_name),
            key=keys.STATISTIC,
            width=300,
            format_func=lambda name: f"{by_name[name].title} ({by_name[name].unit})",
        )
        rows_help = "The heads of each pane's own layer, or all heads of its model."
        segments("Rows", _ROWS_TITLES, key=keys.COMPARE_ROWS, help=rows_help)
        if differences:
            order_help = "A click on a column's head sorts by it too."
            segments("Order", _ORDER_TITLES, key=keys.COMPARE_ORDER, help=order_help)
    st.caption(by_name[name].description)
    return by_name[name]


def _table(comparison: Comparison, column: Column, choice: Comparing, titles: Mapping[str, str]) -> None:
    frame = head_table(comparison, column.name, all_layers=choice.rows == "all")
    of_difference = [name for name in frame if "−" in str(name)]
    if choice.order == "difference" and of_difference:
        differences = frame[of_difference].abs().max(axis=1)
        frame = frame.loc[differences.sort_values(ascending=False, kind="stable").index]
    grouped, config = _grouped(frame, comparison, column, titles), _table_config(frame, comparison, column)
    dataframe(grouped, key=keys.COMPARE_HEADS, config=config, height="content" if len(frame) <= 12 else 460)
    csv_button(frame, f"heads-{column.name}", key=keys.DOWNLOAD_COMPARE_HEADS)


def _grouped(frame: pd.DataFrame, comparison: Comparison, column: Column, titles: Mapping[str, str]) -> pd.DataFrame:
    """The same table under two rows of titles: the pane, and the statistic or its difference to the reference."""
    base = comparison.base.name
    tops = []
    for name in frame.columns:
        pane, _, other = str(name).partition(" − ")
        tops.append(("", pane) if pane not in titles else (titles[pane], f"Δ to {base}" if other else column.title))
    return frame.set_axis(pd.MultiIndex.from_tuples(tops), axis=1)


def _table_config(frame: pd.DataFrame, comparison: Comparison, column: Column) -> dict:
    """By position: bars for the statistic, signed numbers for differences."""
    digits = DIGITS[column.unit]
    values = frame[[one.name for one in comparison.results]]
    most = 1.0 if column.unit == "0..1" else float(values.max().max())
    number = st.column_config.NumberColumn(width=60, pinned=True)
    difference = st.column_config.NumberColumn(format=f"%+.{digits}f")
    bar = st.column_config.ProgressColumn(format=f"%.{digits}f", min_value=0.0, max_value=most, help=column.description)
    kinds = (number if name in ("layer", "head") else difference if "−" in name else bar for name in map(str, frame))
    return dict(enumerate(kinds, start=1))  # the index, which is hidden, is place 0


def _distribution(comparison: Comparison, column: Column, choice: Comparing) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.markdown(f"**{column.title} by layer** :small[all heads of each model]", width="content")
        segments("Chart", _CHART_TITLES, key=keys.COMPARE_CHART, collapsed=True)
    models: dict[str, list[PaneResult]] = {}
    for one in comparison.results:
        models.setdefault(one.pane.model, []).append(one)
    frames = {
        f"{', '.join(one.name for one in alike)} · {alike[0].trace.spec.title}": alike[0].trace.statistics.to_frame()
        for alike in models.values()
    }
    figure = distribution_figure(frames, column.name, unit=column.unit, kind=choice.chart)
    st.plotly_chart(figure, key=keys.DISTRIBUTION, height=380, config=CHART, alt=f"{column.title} by layer and model")
