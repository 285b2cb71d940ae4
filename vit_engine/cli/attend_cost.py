"""What a run of `attend` will take, step by step: so that a long one says so, and progress goes with the time."""

from collections.abc import Mapping
from typing import Any

import torch

import vit_engine as ve
from vit_engine.analysis.methods import Method, Needs, Value
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
    """Of each step that takes long, in order; ResourceError where the first, the trace, does not fit the memory."""
    loaded, grid, chosen = question.loaded, question.prepared.grid, (question.method, question.options)
    place: dict[str, Any] = {"device": loaded.device, "dtype": loaded.dtype}
    check_memory(RunPlan.asked(loaded.spec, layers=question.traced, **place), grid)
    trace = ve.estimate(loaded, grid, layers=question.traced, **place)
    costs, kept = _map_costs(loaded.spec, *chosen, trace, targeted=question.targeted, **place)
    if not question.faithfulness:
        return costs
    several = ve.estimate_faithfulness(loaded, grid, orders=ORDERS, **place)
    costs[FAITHFULNESS] = Cost(several.seconds, kept + several.peak_bytes)
    if not loaded.report.random:
        again = randomised_cost(loaded.spec, grid, *chosen, **place)
        costs[RANDOMISED] = Cost(again.seconds, kept + again.peak_bytes)
    return costs


def randomised_cost(
    spec: ve.ModelSpec,
    grid: ve.TokenGrid,
    method: Method,
    options: Mapping[str, Value],
    *,
    device: str | torch.device = "auto",
    dtype: torch.dtype = torch.float32,
) -> Cost:
    """Of the method's map on randomised weights and its two curves, with the second model that holds these.

    options: all of the method's.
    """
    place: dict[str, Any] = {"device": device, "dtype": dtype}
    trace = ve.estimate(spec, grid, statistics="none", **place)
    steps, _ = _map_costs(spec, method, options, trace, targeted=method.needs.target, **place)
    curves = ve.estimate_faithfulness(spec, grid, orders=0, **place)
    peak = max(curves.peak_bytes, *(step.peak_bytes for step in steps.values()))
    return Cost(curves.seconds + sum(step.seconds for step in steps.values()), model_bytes(spec, dtype) + peak)


def _map_costs(
    spec: ve.ModelSpec,
    method: Method,
    options: Mapping[str, Value],
    trace: ve.Estimate,
    *,
    targeted: bool,
    device: str | torch.device,
    dtype: torch.dtype,
) -> tuple[dict[str, Cost], int]:
    """Of a map's steps, and how many bytes they leave: the trace, what a target needs where it is run, the map itself.

    Readouts and scores take a forward pass. Methods that read the attention of all layers take about as long as the
    trace took; those that run the model again, a gradient a step.
    """
    grid = trace.grid
    place: dict[str, Any] = {"device": device, "dtype": dtype}
    forward = ve.estimate(spec, grid, facet=TOKEN, layers=-1, **place)
    gradient = ve.estimate(spec, grid, gradients=True, **place) if method.needs in _BACKWARD else forward
    of_target = gradient if method.needs is Needs.GRADIENTS else forward
    kept = trace.kept_bytes
    costs = {ATTENTION: Cost(trace.seconds, trace.peak_bytes)}
    if targeted:
        costs[TARGET] = Cost(of_target.seconds, kept + of_target.peak_bytes)
        kept += of_target.kept_bytes
    if method.needs is Needs.MODEL:
        costs[MAPS] = Cost(float(options.get("steps", 1)) * gradient.seconds, kept + gradient.peak_bytes)
    else:
        costs[MAPS] = Cost(0.0 if method.per_head else trace.seconds, kept)
    return costs, kept


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
