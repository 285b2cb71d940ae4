"""The numbers between panes: how much their maps agree, and their heads' statistics side by side."""

from dataclasses import astuple
from itertools import combinations

import pandas as pd

from vit_engine.analysis.comparison.results import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import agreement
from vit_engine.errors import SpecError
from vit_engine.trace.statistics import STATISTICS, Column

AGREEMENT_COLUMNS: tuple[Column, ...] = (
    Column("first", "pane", "", "The pane that the other is compared with."),
    Column("second", "pane", "", "The other pane."),
    Column(
        "pearson",
        "Pearson",
        "−1..1",
        "Linear correlation of two maps, patch by patch: 1 is the same pattern; not of PCA.",
    ),
    Column(
        "spearman",
        "Spearman",
        "−1..1",
        "Correlation of the patches' ranks: 1 is the same order, at any contrast; not of PCA.",
    ),
    Column(
        "jsd_bits",
        "JSD",
        "bits",
        "Jensen-Shannon divergence: 0 is the same distribution, 1 nothing in common; of attention only.",
    ),
    Column(
        "iou",
        "IoU",
        "0..1",
        "Overlap of the patches that hold most of each map's mass: intersection over union; of attention only.",
    ),
    Column(
        "shift_px",
        "centre shift",
        "px",
        "How far apart the two maps' centres of mass lie, in the scaled picture; of attention only.",
    ),
)


def agreement_table(comparison: Comparison) -> pd.DataFrame:
    """One row a pair of panes, the reference first in its pairs; the columns are those of AGREEMENT_COLUMNS."""
    base = comparison.base
    ordered = [base, *(one for one in comparison.results if one is not base)]
    rows = [
        (first.name, second.name, *astuple(agreement(first.map, second.map, keep=comparison.keep))[:-1])
        for first, second in combinations(ordered, 2)
    ]
    return pd.DataFrame(rows, columns=[column.name for column in AGREEMENT_COLUMNS])


def comparable_columns(shown: tuple[PaneResult, ...]) -> tuple[Column, ...]:
    """The statistics that all traces have and that mean the same in all panes: with different token counts, few do."""
    frames = [one.trace.statistics.to_frame() for one in shown]
    shared = [each for name, each in STATISTICS.items() if all(name in frame for frame in frames)]
    same = len({(one.trace.grid.tokens, one.trace.grid.patches) for one in shown}) == 1
    return tuple(each for each in shared if same or each.comparable)


def head_table(comparison: Comparison, statistic: str, *, all_layers: bool = False) -> pd.DataFrame:
    """A statistic of every head, side by side: a column a pane, and the others' differences to the reference.

    statistic: a name in STATISTICS. all_layers: one row a (layer, head) of the models; otherwise one row a head, of
    each pane's own layer. Columns: "layer" (all layers only), "head", then "B" and "B − A" for each pane B but the
    reference A; NaN where a model has no such head. SpecError for a statistic that not every trace has.
    """
    base = comparison.base
    series = {one.name: _statistic(one, statistic, all_layers=all_layers) for one in comparison.results}
    columns = {}
    for name, values in series.items():
        columns[name] = values
        if name != base.name:
            columns[f"{name} − {base.name}"] = values - series[base.name]
    return pd.DataFrame(columns).sort_index().reset_index()


def _statistic(one: PaneResult, statistic: str, *, all_layers: bool) -> pd.Series:
    frame = one.trace.statistics.to_frame()
    there = [name for name in STATISTICS if name in frame]
    if statistic not in there:
        raise SpecError(f"a statistic of pane {one.name} must be one of {', '.join(there)}; got {statistic!r}.")
    if all_layers:
        return frame.set_index(["layer", "head"])[statistic].astype(float)
    return frame[frame["layer"] == one.pane.layer].set_index("head")[statistic].astype(float)
