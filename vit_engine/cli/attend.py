"""What a model makes of one picture by a method, written to files."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

import vit_engine as ve
from vit_engine.cli import console
from vit_engine.cli.attend_files import run_record, write_files
from vit_engine.cli.attend_run import Answer, answer
from vit_engine.cli.method_arguments import add_method_arguments
from vit_engine.cli.model import add_model_arguments, add_run_arguments, note_model
from vit_engine.grid import token_name
from vit_engine.report import worth


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="PNG, JPEG, WebP, GIF, BMP or TIFF")
    add_model_arguments(parser)
    add("--layers", type=console.layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    add_method_arguments(parser)
    add_run_arguments(parser)
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results, created if needed")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Write maps, tables, pictures and record, or nothing; print what the model sees and where the files are."""
    with console.staged(arguments.out) as scratch:
        with console.progress_bar() as progress:
            answered = answer(arguments, progress)
        record = run_record(arguments, answered)
        write_files(scratch, answered, record)
        names = sorted(file.name for file in scratch.iterdir())
    note_model(record, "these maps")
    for note in _notes(answered, arguments.layers):
        console.note(f"note: {note}")
    files = {name: str(arguments.out / name) for name in names}
    if arguments.json:
        console.emit_json({**record, "files": files})
    else:
        _report(answered, record, files)


def _notes(answered: Answer, layers: str | tuple[int, ...]) -> Iterator[str]:
    """What must be known before the maps are believed. layers: as they were asked for."""
    question, method, query = answered.question, answered.question.method, answered.question.query
    if layers != "all" and "layer" not in method.depends_on and answered.ranking is None:  # which ranks their heads
        yield f"{method.phrase} depends on no layer: --layers changes heads.csv alone."
    if query != "cls" and "query" not in method.depends_on and answered.ranking is None:
        yield f"{method.phrase} depends on no query: {token_name(query)} changes nothing."
    if query == "cls" and method.depends_on >= {"query", "target"} and not question.loaded.spec.reads_cls:
        rows, cols = question.prepared.grid.shape
        yield (
            "this model is read from the mean of its patches, so CLS tells nothing of the target; ask for all patches: "
            f"--query 0,0,{rows - 1},{cols - 1}."
        )
    for layer, attribution in answered.attributions.items():
        if attribution.note:
            where = f" of layer {layer}" if "layer" in method.depends_on else ""
            yield f"the map{where} is zero everywhere: {attribution.note}"


def _report(answered: Answer, record: dict[str, Any], files: dict[str, str]) -> None:
    console.emit(_summary_line(answered, record))
    for prediction in record["predictions"][:3]:
        console.emit(f"{prediction['probability']:6.1%} {prediction['label']}")
    if answered.target is not None:
        console.emit(f"target: {answered.target.label}, score {answered.score:.4g}")
    if answered.ranking is not None:
        for line in _pointing_lines(answered):
            console.emit(line)
    if answered.faithfulness is not None:
        for line in _faithfulness_lines(answered.faithfulness, answered.randomised):
            console.emit(line)
    for path in files.values():
        console.emit(path)


def _summary_line(answered: Answer, record: dict[str, Any]) -> str:
    """What was run; and which layers there are, where some have no map."""
    grid, question = record["grid"], answered.question
    line = f"{record['model']}: {grid['rows']} × {grid['cols']} patches, {record['seconds']:.2f} s"
    if answered.layers == question.layers:
        return line
    listed = ", ".join(map(str, answered.layers))
    return f"{line}; layers {listed}: {question.method.phrase} starts at layer {question.first_layer}"


def _pointing_lines(answered: Answer) -> list[str]:
    """Where the map lies, and which head lies there best."""
    assert answered.ranking is not None
    shown = answered.pointing
    best = answered.ranking.iloc[0]
    place = [f"{name} {best[name]}" for name in ("layer", "head") if pd.notna(best[name])]
    head = " · ".join([ve.find_method(best["method"]).phrase, *place])
    where = (
        "the map has no mass"
        if shown is None
        else f"{shown.share:.1%} of the map lies in the mask, which is {shown.area:.1%} of the picture"
    )
    return [f"pointing: {where}", f"best: {head}, {best['share']:.1%}"]


def _faithfulness_lines(measured: ve.Faithfulness, randomised: ve.Faithfulness | None) -> list[str]:
    """Both areas, each beside those of random orders and of randomised weights; and what they mean."""
    parts = []
    for name in ("insertion", "deletion"):
        random = getattr(measured, f"random_{name}")
        beside = f"random orders {random.mean():.3g} ± {random.std():.2g}"
        beside += "" if randomised is None else f", randomised weights {getattr(randomised, f'{name}_area'):.3g}"
        parts.append(f"{name} {getattr(measured, f'{name}_area'):.3g} ({beside})")
    areas = f"{measured.score_label}, mean over the curve: {', '.join(parts)}"
    return [areas, f"faithfulness: {worth.faithfulness_verdict(measured, randomised)}"]
