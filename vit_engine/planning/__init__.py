"""Memory is planned, not discovered: what a run will take, and what there is."""

from vit_engine.planning.estimates import Estimate, check_memory, estimate, largest_size
from vit_engine.planning.plan import STATISTICS, RunPlan, attention_plan

__all__ = [
    "STATISTICS",
    "Estimate",
    "RunPlan",
    "attention_plan",
    "check_memory",
    "estimate",
    "largest_size",
]
