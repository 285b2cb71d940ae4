"""What a checkpoint is, and what loading does with every tensor of it."""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import vit_engine as ve
from vit_engine.cli import console
from vit_engine.spec import RESAMPLINGS

_SHOWN = 3  # of many keys or names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    names = "a name that `models` lists, or ORG/NAME on the Hugging Face hub, which is downloaded"
    add("path", metavar="PATH", help=f"a file, a folder, PATH#PART for a part of it, {names}")
    add("--heads", type=console.positive, metavar="N", help="number of heads, where the checkpoint does not state it")
    add("--keys", action="store_true", help="list every key, and what became of it")
    add("--json", action="store_true", help="print one JSON document, with every key")


def run(arguments: argparse.Namespace) -> None:
    """Print the architecture, who says what, and what was done with the tensors."""
    with console.progress_bar() as progress:
        found = ve.inspect_checkpoint(arguments.path, heads=arguments.heads, progress=progress)
    if arguments.json:
        console.emit_json(_record(found))
        return
    for label, text in (*_file_rows(found), *_model_rows(found), *_tensor_rows(found)):
        console.emit(f"{label:<13} {text}".rstrip())
    if arguments.keys:
        for line in _key_lines(found.report):
            console.emit(line)


def _record(found: ve.Inspection) -> dict[str, Any]:
    report = asdict(found.report)
    report["dropped"] = [{"key": key, "why": why} for key, why in found.report.dropped]
    report["converted"] = [{"key": key, "parameter": name} for key, name in found.report.converted]
    report["dtypes"] = dict(found.report.dtypes)
    architecture = asdict(found.architecture)
    del architecture["weights"]  # where they are downloaded from, of models that are known by name
    return report | {
        "architecture": architecture | {"heads": found.spec and found.spec.heads},
        "heads_choices": found.heads_choices,
        "advice": found.advice,
        "parameters": found.parameter_count,
        "parts": found.parts,
    }


def _file_rows(found: ve.Inspection) -> Iterator[tuple[str, str]]:
    report = found.report
    yield "source", report.source
    if report.part:
        yield "part", report.part
    if others := [part for part in found.parts if part != report.part]:
        yield "other parts", ", ".join(f"#{part}" if part else "the file itself" for part in others)
    yield "format", f"{report.format}, in {report.container}"
    yield "sha256", report.sha256 or ""


def _model_rows(found: ve.Inspection) -> Iterator[tuple[str, str]]:
    spec, report = found.architecture, found.report
    layers = f"{spec.depth} layer{'s' if spec.depth > 1 else ''}"
    yield "model", f"{spec.title or spec.name}: {layers} of {spec.dim} dimensions"
    stated = f"{spec.heads} (from {report.heads_from})"
    yield "heads", stated if found.spec else f"not stated: pass --heads N. {found.advice}"
    grid = spec.grid(*spec.native_size)
    patches = f"{grid.rows} × {grid.cols} of them at its native {grid.height} × {grid.width} px"
    yield "patches", f"{spec.patch_size} px, {patches}"
    learned = f"learned; for other grids: {RESAMPLINGS.get(report.resampling)}"
    yield "positions", learned if report.native_grid else "rotary, computed for every grid"
    registers = f"{spec.registers} registers" if spec.registers else ""
    yield "prefix", " + ".join(filter(None, ("CLS", "distillation token" if spec.distilled else "", registers)))
    yield "blocks", _blocks(spec)
    yield "classes", _classes(spec)
    mean, std = (" ".join(f"{value:g}" for value in of) for of in (spec.preprocessing.mean, spec.preprocessing.std))
    yield "pictures", f"{spec.preprocessing.interpolation}, mean {mean}, std {std}"
    yield from (("assumed", sentence) for sentence in report.assumed)


def _tensor_rows(found: ve.Inspection) -> Iterator[tuple[str, str]]:
    report = found.report
    yield "parameters", f"{found.parameter_count:,}"
    yield "tensors", f"{len(report.matched)} matched, {len(report.converted)} converted, {len(report.missing)} missing"
    yield "types", ", ".join(f"{count} {name}" for name, count in report.dtypes)
    dropped = defaultdict(list)
    for key, why in report.dropped:
        dropped[why].append(key)
    for why, keys in dropped.items():
        more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
        yield "dropped", f"{why} — {', '.join(keys[:_SHOWN])}{more}"


def _key_lines(report: ve.LoadReport) -> Iterator[str]:
    rows = [
        *((name, "matched") for name in report.matched),
        *((key, f"→ {name}") for key, name in report.converted),
        *((key, f"dropped: {why}") for key, why in report.dropped),
    ]
    width = max(len(key) for key, _ in rows)
    yield ""
    yield from (f"{key:<{width}}  {what}" for key, what in rows)


def _blocks(spec: ve.ModelSpec) -> str:
    scale = "layer scale" if spec.layer_scale else ""
    before = "normalised before the first" if spec.pre_norm else ""
    parts = (f"MLP of {spec.hidden} ({spec.mlp})", f"LayerNorm ε {spec.norm_eps:g}", scale, before)
    return ", ".join(filter(None, parts))


def _classes(spec: ve.ModelSpec) -> str:
    names = spec.class_names
    some = f" ({', '.join(names[:_SHOWN])}{'…' if len(names) > _SHOWN else ''})" if names else ""
    return f"{len(names) or 'none'}{some}, pooling {spec.pooling!r}"
