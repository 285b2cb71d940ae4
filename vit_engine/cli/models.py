"""The models known by name, and whether their weights are here."""

import argparse
from typing import Any

import vit_engine as ve
from vit_engine.cli import console
from vit_engine.weights import works_offline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    rows = [_row(spec) for spec in ve.list_models()]
    if arguments.json:
        console.emit_json(rows)
        return
    lines = [tuple(rows[0]), *(tuple(map(str, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        console.emit("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _row(spec: ve.ModelSpec) -> dict[str, Any]:
    named = {name: getattr(spec, name) for name in ("name", "title", "patch_size", "dim", "depth", "heads")}
    return {**named, "parameters": spec.parameter_count, "weights": _availability(spec)}


def _availability(spec: ve.ModelSpec) -> str:
    if spec.weights is None:
        return "random, offline"
    if works_offline(spec):
        return "trained, offline"
    return "trained, downloaded at first use" if spec.weights.source else "trained, not installed"
