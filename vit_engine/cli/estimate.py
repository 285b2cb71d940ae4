"""What memory and time a run will take, before it begins."""

import argparse
from dataclasses import asdict, replace
from typing import Any

import vit_engine as ve
from vit_engine.analysis.worth.perturbation import forward_plan
from vit_engine.cli import console
from vit_engine.planning.estimates import largest_size
from vit_engine.planning.peak import kept_bytes, peak_bytes
from vit_engine.planning.plan import FACETS, PRECISIONS, STATISTICS, RunPlan
from vit_engine.registry import find_model
from vit_engine.resources.budget import format_bytes
from vit_engine.weights.sources import is_checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name that `models` lists, a checkpoint, or ORG/NAME on the hub")
    add("--heads", type=console.positive, metavar="N", help="number of heads, where the checkpoint does not state it")
    size = "side of a square picture, or exact, in pixels; default: the model's own size"
    add("--size", type=console.size, metavar="N|HEIGHT WIDTH", help=size)
    add("--layers", type=console.layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    add("--statistics", choices=tuple(STATISTICS), default="all", help="default: all")
    facet = "estimate `features`, which keeps this of each layer, and not `attend`"
    gradients = "estimate the gradient of a target, which gradient methods share, beside the trace, and not `attend`"
    add("--gradients", action="store_true", help=gradients)
    add("--facet", choices=tuple(FACETS), default="", help=facet)
    curves = "estimate `attend --faithfulness` without its map: insertion, deletion and random orders, beside the trace"
    add("--faithfulness", action="store_true", help=curves)
    add("--precision", choices=tuple(PRECISIONS), default="float16", help="of what `features` keeps; default: float16")
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Print tokens, memory, time, and the largest size that fits."""
    name = arguments.model
    spec = _checkpoint_spec(name, arguments.heads) if is_checkpoint(name) else find_model(name)
    kept = _chosen(arguments)
    options = {option: getattr(arguments, option) for option in ("layers", *kept, "device")}
    expected, plan, trace = _estimated(spec, arguments, options)
    budget = ve.memory_budget(arguments.device)
    largest = largest_size(plan, (expected.grid.height, expected.grid.width), budget, before=trace)
    record = {
        "model": spec.name,
        "layers": sorted(spec.layer_numbers(arguments.layers)),
        **{option: options[option] for option in kept},
        "device": str(expected.work.device),
        "grid": asdict(expected.grid),
        "tokens": expected.grid.tokens,
        **{number: getattr(expected, number) for number in ("peak_bytes", "kept_bytes", "seconds")},
        **({"trace_bytes": kept_bytes(trace, expected.grid)} if trace else {}),
        "budget_bytes": budget,
        "largest_size": largest,
    }
    if arguments.json:
        console.emit_json(record)
    else:
        _report(record, peak_bytes(plan, expected.grid))


def _chosen(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The options, beside layers and device, of what is estimated; SpecError for what does not go together."""
    if arguments.faithfulness:
        if arguments.gradients or arguments.facet or arguments.layers != "all":
            raise ve.SpecError(
                "--faithfulness is of whole forward passes beside a trace of all layers: leave --gradients, --facet "
                "and --layers out."
            )
        return "faithfulness", "statistics"
    kept = ("facet", "precision") if arguments.facet else ("statistics",)
    return ("gradients", *kept) if arguments.gradients else kept


def _estimated(
    spec: ve.ModelSpec, arguments: argparse.Namespace, options: dict[str, Any]
) -> tuple[ve.Estimate, RunPlan, RunPlan | None]:
    """What is expected, the plan that must fit the memory, and the trace that is in memory before, if there is one."""
    size, device = arguments.size or spec.native_size, arguments.device
    if arguments.faithfulness:
        trace = RunPlan.asked(spec, statistics=arguments.statistics, device=device)
        plan = forward_plan(spec, device=device, dtype=trace.dtype)
        return ve.estimate_faithfulness(spec, size, device=device), plan, trace
    plan = RunPlan.asked(spec, **options)
    before = replace(plan, gradients=False) if arguments.gradients else None
    return ve.estimate(spec, size, **options), plan, before


def _checkpoint_spec(name: str, heads: int | None) -> ve.ModelSpec:
    with console.progress_bar() as progress:
        return console.checkpoint_spec(name, heads, option="--heads N", progress=progress)


def _report(record: dict[str, Any], needed: int) -> None:
    """needed: bytes that must be free; fewer than the peak where work is done in batches that can be smaller."""
    grid, largest = record["grid"], record["largest_size"]
    beside = record.get("trace_bytes", 0)
    trace = f", beside a trace of {format_bytes(beside)}" if beside else ""
    enough = "enough" if needed + beside <= record["budget_bytes"] else "too little"
    rows = (
        ("tokens", f"{record['tokens']:,} ({grid['rows']} × {grid['cols']} patches of {grid['patch_size']} px)"),
        ("peak memory", format_bytes(record["peak_bytes"]) + trace),
        ("kept memory", format_bytes(record["kept_bytes"])),
        ("expected time", console.format_duration(record["seconds"])),
        ("memory budget", f"{format_bytes(record['budget_bytes'])}: {enough}"),
        ("largest size", "none: not even one patch fits" if largest is None else f"{largest} px on the short side"),
    )
    for name, value in rows:
        console.emit(f"{name:<14} {value}")
