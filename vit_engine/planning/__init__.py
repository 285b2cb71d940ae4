"""Memory is planned, not discovered: what a run will take, and what there is."""

from vit_engine.planning.estimates import Estimate, demand_memory, estimate, largest_size
from vit_engine.planning.plan import STATISTICS, attention_plan
from vit_engine.resources.budget import BUDGET_VARIABLE, in_words, memory_budget

__all__ = [
    "BUDGET_VARIABLE",
    "STATISTICS",
    "Estimate",
    "attention_plan",
    "demand_memory",
    "estimate",
    "in_words",
    "largest_size",
    "memory_budget",
]
