"""python -m vit_engine: the calls of the Python API from a shell, and no logic of its own.

    python -m vit_engine models
    python -m vit_engine estimate dino_vits8 --size 480
    python -m vit_engine attend cat.jpg --model demo_vit_p16 --size 224 --out results

Exit codes: 0 done; 1 the picture, model or disk cannot be used (one line on stderr); 2 wrong usage;
130 Ctrl-C.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch

import vit_engine as ve
from vit_engine import console, pictures
from vit_engine.image import PreparedImage
from vit_engine.planning import STATISTICS, in_words, largest_size
from vit_engine.registry import find_model
from vit_engine.spec import Query
from vit_engine.trace import AttentionTrace
from vit_engine.weights import LoadedModel, works_offline

_NUMBERS_AFTER = {"--size": 2, "--layers": 1, "--query": 1}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, without the program's name, and return its exit code."""
    return console.guarded(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(console.join_values(argv, _NUMBERS_AFTER))
    arguments.command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vit-engine", description=ve.__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"vit-engine {ve.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    models = commands.add_parser("models", help="the models known by name", allow_abbrev=False)
    models.add_argument("--json", action="store_true", help="print one JSON document")
    models.set_defaults(command=_models)
    _add_estimate(commands.add_parser("estimate", help="what a run will take, before it is made", allow_abbrev=False))
    _add_attend(
        commands.add_parser("attend", help="the attention of one picture, written to files", allow_abbrev=False)
    )
    return parser


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="a name that `models` lists")
    add("--size", type=console.size, metavar="N|HEIGHT WIDTH", help="side of a square picture, or exact, in pixels")
    add("--layers", type=_layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    add("--statistics", choices=tuple(STATISTICS), default="all", help="default: all")
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_estimate)


def _add_attend(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="PNG, JPEG, WebP, GIF, BMP or TIFF")
    add("--model", required=True, metavar="NAME", help="a name that `models` lists, or a checkpoint file")
    add("--weights", default="auto", metavar="auto|random|PATH", help="default: auto, the model's trained ones")
    add("--heads", type=console.positive, metavar="N", help="where a checkpoint file does not say")
    add("--size", type=console.size, metavar="N|HEIGHT WIDTH", help="short side, or exact size, in pixels")
    add("--layers", type=_layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    add(
        "--query",
        type=_query,
        default="cls",
        metavar="cls|ROW,COL",
        help="whose attention: the CLS token's or a patch's",
    )
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--seed", type=console.seed, default=0, metavar="N", help="of random weights; default: 0")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results, made if it is not there")
    add("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_attend)


def _layers(text: str) -> str | tuple[int, ...]:
    return text if text == "all" else console.numbers(text)


def _query(text: str) -> Query:
    if text == "cls":
        return text
    patch = console.numbers(text)
    if len(patch) != 2:
        raise argparse.ArgumentTypeError(f"expected cls or ROW,COL, got {text!r}")
    return patch[0], patch[1]


def _models(arguments: argparse.Namespace) -> None:
    rows = [_model_row(spec) for spec in ve.list_models()]
    if arguments.json:
        console.emit_json(rows)
        return
    lines = [tuple(rows[0]), *(tuple(map(str, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        console.emit("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _model_row(spec: ve.ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "title": spec.title,
        "patch_size": spec.patch_size,
        "dim": spec.dim,
        "depth": spec.depth,
        "heads": spec.heads,
        "parameters": spec.parameter_count,
        "weights": _availability(spec),
    }


def _availability(spec: ve.ModelSpec) -> str:
    if spec.weights is None:
        return "random, offline"
    if works_offline(spec):
        return "trained, offline"
    return "trained, downloaded at first use" if spec.weights.url else "trained, not installed"


def _estimate(arguments: argparse.Namespace) -> None:
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
        _report_estimate(record)


def _report_estimate(record: dict[str, Any]) -> None:
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


def _attend(arguments: argparse.Namespace) -> None:
    with console.staged(arguments.out) as scratch:
        with console.progress_bar() as progress:
            picture = ve.open_image(arguments.image)
            loaded = ve.load_model(
                arguments.model,
                weights=arguments.weights,
                heads=arguments.heads,
                device=arguments.device,
                seed=arguments.seed,
                progress=progress,
            )
            prepared = ve.prepare_image(picture, loaded.spec, size=arguments.size)
            prepared.grid.token(arguments.query)  # a query that is not there fails before the long run
            trace = ve.attend(loaded, prepared, layers=arguments.layers, progress=progress)
        record = _record(arguments, loaded, trace)
        _write_arrays(scratch, trace, arguments.query)
        _write_pictures(scratch, prepared, trace, arguments.query)
        (scratch / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        names = sorted(file.name for file in scratch.iterdir())
    _report(arguments, record, {name: str(arguments.out / name) for name in names})


def _write_arrays(folder: Path, trace: AttentionTrace, query: Query) -> None:
    grid = trace.grid
    np.savez(
        folder / "attention.npz",
        maps=np.stack([trace.head_maps(layer, query) for layer in trace.layers]),
        layers=np.array(list(trace.layers)),
        grid=np.array([grid.prefix, grid.rows, grid.cols, grid.patch_size]),
    )
    trace.statistics.to_frame().to_csv(folder / "heads.csv", index=False)


def _write_pictures(folder: Path, prepared: PreparedImage, trace: AttentionTrace, query: Query) -> None:
    """Of the deepest layer that was asked for."""
    layer = max(trace.layers)
    warning = "RANDOM WEIGHTS: this model has not been trained" if trace.random else ""
    marked = None if isinstance(query, str) else query
    mean = trace.attention_map(layer, "mean", query)
    name = trace.spec.name
    picture = pictures.overlay(
        prepared.pixels, mean.values, caption=f"{name} · {mean.label}", warning=warning, marked=marked
    )
    picture.save(folder / "overlay.png")
    caption = f"{name} · {mean.label.replace('head mean', 'all heads')}"
    sheet = pictures.head_sheet(trace.head_maps(layer, query), caption=caption, warning=warning, marked=marked)
    sheet.save(folder / "heads.png")


def _record(arguments: argparse.Namespace, loaded: LoadedModel, trace: AttentionTrace) -> dict[str, Any]:
    """Everything that another person needs to repeat the run, and what came of it."""
    spec, random = asdict(loaded.spec), loaded.report.random
    return {
        "versions": {
            "vit_engine": ve.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "pillow": PIL.__version__,
            "python": platform.python_version(),
        },
        "model": loaded.spec.name,
        "preprocessing": spec.pop("preprocessing"),
        "spec": spec,
        "weights": {"source": loaded.report.source, "sha256": loaded.report.sha256},
        "random": random,
        "seed": arguments.seed if random else None,
        "image": {"path": arguments.image, "sha256": trace.image_sha256},
        "size": {"asked": arguments.size, "height": trace.grid.height, "width": trace.grid.width},
        "grid": asdict(trace.grid),
        "query": arguments.query,
        "layers": list(trace.layers),
        "device": str(loaded.device),
        "seconds": trace.seconds,
        "predictions": [asdict(prediction) for prediction in trace.predictions],
    }


def _report(arguments: argparse.Namespace, record: dict[str, Any], files: dict[str, str]) -> None:
    if record["random"]:
        console.note(f"note: RANDOM WEIGHTS (seed {arguments.seed}): these maps show an untrained model.")
    if arguments.json:
        console.emit_json({**record, "files": files})
        return
    grid = record["grid"]
    console.emit(f"{record['model']}: {grid['rows']} × {grid['cols']} patches, {record['seconds']:.2f} s")
    for prediction in record["predictions"][:3]:
        console.emit(f"{prediction['probability']:6.1%} {prediction['label']}")
    for path in files.values():
        console.emit(path)
