"""What memory and time a run will take, before it begins."""

import argparse
from dataclasses import asdict, dataclass, replace
from typing import Any

import vit_engine as ve
from vit_engine.analysis.methods import RAW, Method, Needs, Value
from vit_engine.analysis.worth.perturbation import forward_plan
from vit_engine.cli import console
from vit_engine.cli.attend_cost import model_bytes, randomised_cost
from vit_engine.cli.method_arguments import add_method_choice, read_method_options
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
    curves = (
        "estimate what `attend --faithfulness` adds to a map: insertion, deletion and random orders; for a trained "
        "model also the method's map on randomised weights (a second model in memory) and its two curves"
    )
    add("--faithfulness", action="store_true", help=curves)
    add_method_choice(parser, what="with --faithfulness: the method of the map", default=None)
    add("--precision", choices=tuple(PRECISIONS), default="float16", help="of what `features` keeps; default: float16")
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--json", action="store_true", help="print one JSON document")


@dataclass(frozen=True)
class _Expected:
    """What is estimated."""

    run: ve.Estimate
    plans: tuple[tuple[RunPlan, ...], ...]  # each must fit the memory: a run, after those whose results are then kept
    before: tuple[RunPlan, ...] = ()  # whose results are in memory all the time: the trace, the method's gradient
    randomised: console.Cost | None = None  # of the same with randomised weights, which follows
    second_model_bytes: int = 0  # that holds these

    @property
    def seconds(self) -> float:
        return self.run.seconds + (self.randomised.seconds if self.randomised else 0)

    @property
    def peak_bytes(self) -> int:
        """Where memory is plenty."""
        return max(self.run.peak_bytes, self.randomised.peak_bytes if self.randomised else 0)

    @property
    def trace_bytes(self) -> int:
        return sum(kept_bytes(each, self.run.grid) for each in self.before[:1])

    @property
    def gradient_bytes(self) -> int:
        return sum(kept_bytes(each, self.run.grid) for each in self.before[1:])

    @property
    def needed_bytes(self) -> int:
        """That must be free: fewer than the peak where work is done in batches that can be smaller."""
        grid, needed = self.run.grid, []
        for *kept, plan in self.plans:
            needed.append(peak_bytes(plan, grid) + sum(kept_bytes(each, grid) for each in (*self.before, *kept)))
        return max(needed) + self.second_model_bytes

    def largest_size(self, budget: int) -> int | None:
        shape, free = (self.run.grid.height, self.run.grid.width), budget - self.second_model_bytes
        sizes = [largest_size(plan, shape, free, before=[*self.before, *kept]) for *kept, plan in self.plans]
        return None if None in sizes else min(size for size in sizes if size is not None)


def run(arguments: argparse.Namespace) -> None:
    """Print tokens, memory, time, and the largest size that fits."""
    name, kept = arguments.model, _chosen(arguments)  # before a checkpoint is read or fetched
    spec = _checkpoint_spec(name, arguments.heads) if is_checkpoint(name) else find_model(name)
    options = {option: getattr(arguments, option) for option in ("layers", *kept, "device")}
    expected = _estimated(spec, arguments, options)
    budget, grid = ve.memory_budget(arguments.device), expected.run.grid
    record = {
        "model": spec.name,
        "layers": sorted(spec.layer_numbers(arguments.layers)),
        **{option: options[option] for option in kept},
        **(_method_record(arguments, spec) if arguments.faithfulness else {}),
        "device": str(expected.run.work.device),
        "grid": asdict(grid),
        "tokens": grid.tokens,
        "peak_bytes": expected.peak_bytes,
        "kept_bytes": expected.run.kept_bytes,
        "seconds": expected.seconds,
        **({"trace_bytes": expected.trace_bytes} if expected.before else {}),
        **({"gradient_bytes": expected.gradient_bytes} if expected.gradient_bytes else {}),
        **({"second_model_bytes": expected.second_model_bytes} if expected.randomised else {}),
        "budget_bytes": budget,
        "largest_size": expected.largest_size(budget),
    }
    if arguments.json:
        console.emit_json(record)
    else:
        _report(record, expected.needed_bytes)


def _chosen(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The options, beside layers and device, of what is estimated; SpecError for what does not go together."""
    if arguments.faithfulness:
        if arguments.gradients or arguments.facet or arguments.layers != "all":
            raise ve.SpecError(
                "--faithfulness is of whole forward passes beside a trace of all layers: leave --gradients, --facet "
                "and --layers out."
            )
        return "faithfulness", "statistics"
    if arguments.method is not None or arguments.option:
        raise ve.SpecError(
            "--method and --option say which map --faithfulness is of: add --faithfulness, or leave them out; what "
            "methods that explain a target take is --gradients."
        )
    kept = ("facet", "precision") if arguments.facet else ("statistics",)
    return ("gradients", *kept) if arguments.gradients else kept


def _method_record(arguments: argparse.Namespace, spec: ve.ModelSpec) -> dict[str, Any]:
    method, options = _method(arguments, spec)
    return {"method": method.name, "options": options}


def _method(arguments: argparse.Namespace, spec: ve.ModelSpec) -> tuple[Method, dict[str, Value]]:
    """With all of its options; SpecError for one that it does not have, or that cannot be."""
    method = ve.find_method(arguments.method or RAW)
    return method, read_method_options(method, arguments.option, spec)


def _estimated(spec: ve.ModelSpec, arguments: argparse.Namespace, options: dict[str, Any]) -> _Expected:
    size, device = arguments.size or spec.native_size, arguments.device
    if arguments.faithfulness:
        method, chosen = _method(arguments, spec)
        trace = RunPlan.asked(spec, statistics=arguments.statistics, device=device)
        before = (trace, _gradient(trace)) if method.needs is Needs.GRADIENTS else (trace,)
        plan = forward_plan(spec, device=device, dtype=trace.dtype)
        measured = _Expected(ve.estimate_faithfulness(spec, size, device=device), ((plan,),), before)
        trained = is_checkpoint(arguments.model) or spec.weights
        return _with_randomised(measured, method, chosen) if trained else measured
    plan = RunPlan.asked(spec, **options)
    traced = (replace(plan, gradients=False),) if arguments.gradients else ()
    return _Expected(ve.estimate(spec, size, **options), ((plan,),), traced)


def _gradient(trace: RunPlan) -> RunPlan:
    """Of a target, beside the trace."""
    return RunPlan.asked(trace.spec, statistics="none", device=trace.device, dtype=trace.dtype, gradients=True)


def _with_randomised(measured: _Expected, method: Method, options: dict[str, Value]) -> _Expected:
    """With the map of randomised weights and its curves, which `attend --faithfulness` makes of trained models."""
    first = measured.before[0]
    again = replace(first, statistics="none")
    differentiated = method.needs.target or method.needs is Needs.MODEL
    gradient: tuple[tuple[RunPlan, ...], ...] = ((again, _gradient(first)),) if differentiated else ()
    cost = randomised_cost(first.spec, measured.run.grid, method, options, device=first.device, dtype=first.dtype)
    second = model_bytes(first.spec, first.dtype)
    return replace(measured, plans=(*measured.plans, (again,), *gradient), randomised=cost, second_model_bytes=second)


def _checkpoint_spec(name: str, heads: int | None) -> ve.ModelSpec:
    with console.progress_bar() as progress:
        return console.checkpoint_spec(name, heads, option="--heads N", progress=progress)[0]


def _report(record: dict[str, Any], needed: int) -> None:
    """needed: bytes that must be free."""
    grid, largest = record["grid"], record["largest_size"]
    kept = {part: record.get(f"{part}_bytes", 0) for part in ("trace", "gradient")}
    beside = " and ".join(f"a {part} of {format_bytes(size)}" for part, size in kept.items() if size)
    second = record.get("second_model_bytes", 0)
    again = f", with randomised weights, a second model of {format_bytes(second)}" if second else ""
    enough = "enough" if needed <= record["budget_bytes"] else "too little"
    rows = (
        ("tokens", f"{record['tokens']:,} ({grid['rows']} × {grid['cols']} patches of {grid['patch_size']} px)"),
        ("peak memory", format_bytes(record["peak_bytes"]) + (beside and f", beside {beside}")),
        ("kept memory", format_bytes(record["kept_bytes"])),
        ("expected time", console.format_duration(record["seconds"]) + again),
        ("memory budget", f"{format_bytes(record['budget_bytes'])}: {enough}"),
        ("largest size", "none: not even one patch fits" if largest is None else f"{largest} px on the short side"),
    )
    for name, value in rows:
        console.emit(f"{name:<14} {value}")
