"""How far models need what panes show, side by side: areas of insertion and deletion, beside random orders."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vit_engine.analysis.worth.faithfulness import Faithfulness
from vit_engine.trace.statistics import Column

_RANDOM = "The same in random orders of the patches: mean and standard deviation of several."
_RANDOMISED = "The same of the method's map of a model with random weights: where it is as good, nothing was learnt."
FAITHFULNESS_COLUMNS: tuple[Column, ...] = (
    Column("pane", "pane", "", "The pane whose map says in which order patches come and go."),
    Column("score", "score", "", "What is measured: a class's probability, or the target's value."),
    Column("insertion", "insertion", "area", "Mean score while patches are put in, the largest first: high is good."),
    Column("random_insertion_mean", "random orders", "area", _RANDOM),
    Column("random_insertion_std", "±", "area", _RANDOM),
    Column("randomised_insertion", "randomised weights", "area", _RANDOMISED),
    Column("deletion", "deletion", "area", "Mean score while patches are taken out, the largest first: low is good."),
    Column("random_deletion_mean", "random orders", "area", _RANDOM),
    Column("random_deletion_std", "±", "area", _RANDOM),
    Column("randomised_deletion", "randomised weights", "area", _RANDOMISED),
)


def faithfulness_table(measured: Mapping[str, tuple[Faithfulness, Faithfulness]]) -> pd.DataFrame:
    """One row a pane; the columns are those of FAITHFULNESS_COLUMNS.

    measured: by the pane's name, of its map, and of the same method's map on randomised weights.
    """
    rows = [
        (
            name,
            shown.score_label,
            *_areas(shown.insertion_area, shown.random_insertion, other.insertion_area),
            *_areas(shown.deletion_area, shown.random_deletion, other.deletion_area),
        )
        for name, (shown, other) in measured.items()
    ]
    return pd.DataFrame(rows, columns=[column.name for column in FAITHFULNESS_COLUMNS])


def _areas(area: float, random: np.ndarray, randomised: float) -> tuple[float, float, float, float]:
    return area, float(random.mean()), float(random.std()), randomised
