"""What a run will take, before it is made."""

import argparse
from dataclasses import asdict
from typing import Any

import vit_engine as ve
from vit_engine import console
from vit_engine.planning import STATISTICS, in_words, largest_size
from vit_engine.registry import find_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's argument and options."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name that `models` lists")
    add("--size", type=console.size, metavar="N|HEIGHT WIDTH", help="side of a square picture, or exact, in pixels")
    add("--layers", type=console.layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    add("--statistics", choices=tuple(STATISTICS), default="all", help="default: all")
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Print tokens, memory, time, and the largest size that fits."""
    spec = find_model(arguments.model)
    options = {"layers": arguments.layers, "statistics": arguments.statistics, "device": arguments.device}
    expected = ve.estimate(spec, arguments.size or spec.native_size, **options)
    budget = ve.memory_budget(arguments.device)
    largest = largest_size(spec, (expected.grid.height, expected.grid.width), budget=budget, **options)
    record = {
        "model": spec.name,
        "layers": sorted(spec.layer_numbers(arguments.layers)),
        "statistics": arguments.statistics,
        "device": str(expected.work.device),
        "grid": asdict(expected.grid),
        "tokens": expected.grid.tokens,
        "peak_bytes": expected.peak_bytes,
        "kept_bytes": expected.kept_bytes,
        "seconds": expected.seconds,
        "budget_bytes": budget,
        "largest_size": largest,
    }
    if arguments.json:
        console.emit_json(record)
    else:
        _report(record)


def _report(record: dict[str, Any]) -> None:
    grid, largest = record["grid"], record["largest_size"]
    rows = (
        ("tokens", f"{record['tokens']:,} ({grid['rows']} × {grid['cols']} patches of {grid['patch_size']} px)"),
        ("peak memory", in_words(record["peak_bytes"])),
        ("kept memory", in_words(record["kept_bytes"])),
        ("expected time", f"{record['seconds']:.2f} s"),
        ("memory budget", in_words(record["budget_bytes"])),
        ("largest size", "none: not even one patch fits" if largest is None else f"{largest} px on the short side"),
    )
    for name, value in rows:
        console.emit(f"{name:<14} {value}")
