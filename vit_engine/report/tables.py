"""A comparison's tables, as they are written down and as they are read on a page."""

import math
from collections.abc import Sequence
from html import escape

import pandas as pd

from vit_engine.analysis.comparison import AGREEMENT_COLUMNS, Comparison, agreement_table, head_table
from vit_engine.trace.statistics import STATISTICS, Column


def all_heads(comparison: Comparison) -> pd.DataFrame:
    """Every statistic of every (layer, head) of every pane's model: "pane", "model", then those of COLUMNS."""
    frames = {(one.name, one.pane.model): one.trace.statistics.to_frame() for one in comparison.results}
    return pd.concat(frames, names=["pane", "model"]).reset_index(["pane", "model"]).reset_index(drop=True)


def tables(comparison: Comparison, *, statistic: str, all_layers: bool) -> dict[str, pd.DataFrame]:
    """The tables of a bundle by their files' names."""
    return {
        "agreement.csv": agreement_table(comparison),
        "heads.csv": all_heads(comparison),
        "side_by_side.csv": head_table(comparison, statistic, all_layers=all_layers),
    }


def as_csv(frame: pd.DataFrame) -> bytes:
    """UTF-8, with all digits; nothing where there is no number."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def agreement_html(frame: pd.DataFrame) -> str:
    """The agreement table with units, and a line on what each column means."""
    columns = [_headed(column) for column in AGREEMENT_COLUMNS]
    explained = [(escape(column.title), escape(column.description)) for column in AGREEMENT_COLUMNS if column.unit]
    meanings = "".join(f"<dt>{name}</dt><dd>{meaning}</dd>" for name, meaning in explained)
    return f"{_table(columns, frame)}<dl>{meanings}</dl>"


def heads_html(frame: pd.DataFrame, statistic: str) -> str:
    """A statistic of every head, side by side, and what it is."""
    column = STATISTICS[statistic]
    meaning = f"<p>{escape(_headed(column))}: {escape(column.description)}</p>"
    return meaning + _table([str(name) for name in frame.columns], frame)


def _headed(column: Column) -> str:
    return f"{column.title} ({column.unit})" if column.unit and column.unit not in column.title else column.title


def _table(columns: Sequence[str], frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    cells = ("".join(f"<td>{escape(written(value))}</td>" for value in row) for row in frame.itertuples(index=False))
    rows = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<div class="scrolls"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def written(value: object) -> str:
    """A cell for people: numbers with four digits, a dash where there is none."""
    if not isinstance(value, float):
        return str(value)
    return "–" if math.isnan(value) else f"{value:.4g}".replace("-", "−")
