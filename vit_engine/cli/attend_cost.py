"""What a run of `attend` will take, step by step: so that a long one says so, and progress goes with the time."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

import vit_engine as ve
from vit_engine.analysis.methods import Needs
from vit_engine.analysis.worth.faithfulness import ORDERS
from vit_engine.cli.attend_question import Question
from vit_engine.cli.console import Cost
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import TOKEN, RunPlan
from vit_engine.progress import Progress, part_of

ATTENTION, TARGET, MAPS = "attention", "target", "maps"
FAITHFULNESS, RANDOMISED = "faithfulness", "randomised weights"
_BACKWARD = {Needs.GRADIENTS, Needs.MODEL}


def costs_of(question: Question) -> dict[str, Cost]:
    """Of each step that takes long, in order; ResourceError where the first, the trace, is more than there is memory.

    Readouts and scores take a forward pass. Methods that read the attention of all layers take about as long as the
    trace took; those that run the model again, a gradient a step.
    """
    loaded, grid, method = question.loaded, question.prepared.grid, question.method
    place: dict[str, Any] = {"device": loaded.device, "dtype": loaded.dtype}
    check_memory(RunPlan.asked(loaded.spec, layers=question.traced, **place), grid)
    trace = ve.estimate(loaded, grid, layers=question.traced, **place)
    forward = ve.estimate(loaded, grid, facet=TOKEN, layers=-1, **place)
    gradient = ve.estimate(loaded, grid, gradients=True, **place) if method.needs in _BACKWARD else forward
    of_target = gradient if method.needs is Needs.GRADIENTS else forward
    kept = trace.kept_bytes
    costs = {ATTENTION: Cost(trace.seconds, trace.peak_bytes)}
    if question.targeted:
        costs[TARGET] = Cost(of_target.seconds, kept + of_target.peak_bytes)
        kept += of_target.kept_bytes
    if method.needs is Needs.MODEL:
        costs[MAPS] = Cost(float(question.options.get("steps", 1)) * gradient.seconds, kept + gradient.peak_bytes)
    else:
        costs[MAPS] = Cost(0.0 if method.per_head else trace.seconds, kept)
    if question.faithfulness:
        costs |= _faithfulness_costs(question, costs, kept)
    return costs


def _faithfulness_costs(question: Question, before: Mapping[str, Cost], kept: int) -> dict[str, Cost]:
    """before: of the map. kept: bytes of what it leaves."""
    loaded, grid = question.loaded, question.prepared.grid
    place: dict[str, Any] = {"device": loaded.device, "dtype": loaded.dtype}
    several = ve.estimate_faithfulness(loaded, grid, orders=ORDERS, **place)
    costs = {FAITHFULNESS: Cost(several.seconds, kept + several.peak_bytes)}
    if not loaded.report.random:
        randomised = randomised_cost(loaded.spec, grid, list(before.values()), **place)
        costs[RANDOMISED] = Cost(randomised.seconds, kept + randomised.peak_bytes)
    return costs


def randomised_cost(
    spec: ve.ModelSpec,
    grid: ve.TokenGrid,
    steps: Sequence[Cost],
    *,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Cost:
    """Of a map on randomised weights and its two curves, with the second model that holds these. steps: of the map."""
    curves = ve.estimate_faithfulness(spec, grid, orders=0, device=device, dtype=dtype)
    peak = max(curves.peak_bytes, *(step.peak_bytes for step in steps))
    return Cost(curves.seconds + sum(step.seconds for step in steps), model_bytes(spec, dtype) + peak)


def model_bytes(spec: ve.ModelSpec, dtype: torch.dtype) -> int:
    """What a model's weights take."""
    return spec.parameter_count * dtype.itemsize


def progress_of(costs: Mapping[str, Cost], progress: Progress) -> dict[str, Progress]:
    """The progress of each step, in proportion to its time, which says what is being done."""
    whole, done, parts = sum(cost.seconds for cost in costs.values()), 0.0, {}
    for name, cost in costs.items():
        parts[name] = _named(name, part_of(progress, done / whole, (done + cost.seconds) / whole))
        done += cost.seconds
    return parts


def _named(name: str, progress: Progress) -> Progress:
    return lambda fraction, message: progress(min(fraction, 1.0), f"{name}: {message}")
