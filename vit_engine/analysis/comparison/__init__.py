"""Several maps of one picture, side by side: panes, what they show, and the numbers between them."""

from vit_engine.analysis.comparison.pane import FILE_PREFIX, MAX_PANES, Pane, Point, letter, pca_layers, query_patch
from vit_engine.analysis.comparison.results import Comparison, PaneResult, evaluate_pane
from vit_engine.analysis.comparison.tables import AGREEMENT_COLUMNS, agreement_table, comparable_columns, head_table

__all__ = [
    "AGREEMENT_COLUMNS",
    "FILE_PREFIX",
    "MAX_PANES",
    "Comparison",
    "Pane",
    "PaneResult",
    "Point",
    "agreement_table",
    "comparable_columns",
    "evaluate_pane",
    "head_table",
    "letter",
    "pca_layers",
    "query_patch",
]
