"""Several maps of one picture, side by side: panes, what they show, and the numbers between them."""

from vit_engine.analysis.comparison.faithful import FAITHFULNESS_COLUMNS, faithfulness_table
from vit_engine.analysis.comparison.pane import FILE_PREFIX, MAX_PANES, Pane, letter, pca_layers
from vit_engine.analysis.comparison.place import Place, Point, Region, query_patch
from vit_engine.analysis.comparison.results import Comparison, PaneResult, evaluate_pane
from vit_engine.analysis.comparison.tables import AGREEMENT_COLUMNS, agreement_table, comparable_columns, head_table
from vit_engine.analysis.comparison.targets import POINT, check_pane_target, pane_target, pane_target_is_norm

__all__ = [
    "AGREEMENT_COLUMNS",
    "FAITHFULNESS_COLUMNS",
    "FILE_PREFIX",
    "MAX_PANES",
    "POINT",
    "Comparison",
    "Pane",
    "PaneResult",
    "Place",
    "Point",
    "Region",
    "agreement_table",
    "check_pane_target",
    "comparable_columns",
    "evaluate_pane",
    "faithfulness_table",
    "head_table",
    "letter",
    "pane_target",
    "pane_target_is_norm",
    "pca_layers",
    "query_patch",
]
