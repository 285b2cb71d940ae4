"""The attention of one picture, written to files."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import vit_engine as ve
from vit_engine.analysis import methods
from vit_engine.analysis.methods import RAW, Attribution
from vit_engine.cli import console
from vit_engine.cli.model import add_model_arguments, add_run_arguments, load_model, model_record, note_model
from vit_engine.report import sheets
from vit_engine.report.panels import WARNING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("image", metavar="IMAGE", help="PNG, JPEG, WebP, GIF, BMP or TIFF")
    add_model_arguments(parser)
    add("--layers", type=console.layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    token = "the token that is asked about: the CLS token, or a patch"
    add("--query", type=console.query, default="cls", metavar="cls|ROW,COL", help=token)
    names = [method.name for method in methods.METHODS]
    add("--method", choices=names, default=RAW, help="what the maps are; default: raw attention")
    add_run_arguments(parser)
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results, created if needed")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Write maps, table, pictures and record, or nothing; print what the model sees and where the files are."""
    with console.staged(arguments.out) as scratch:
        with console.progress_bar() as progress:
            picture = ve.open_image(arguments.image)
            loaded = load_model(arguments, progress)
            prepared = ve.prepare_image(picture, loaded.spec, size=arguments.size)
            prepared.grid.query_tokens(arguments.query)  # a query that is not there fails before the long run
            trace = ve.attend(loaded, prepared, layers=arguments.layers, progress=progress)
        record = _record(arguments, loaded, trace)
        found = ve.find_method(arguments.method).by_layer(ve.Run(trace, loaded, prepared), query=arguments.query)
        _write_arrays(scratch, trace, found)
        _write_pictures(scratch, arguments, prepared.pixels, trace, found[max(found)])
        (scratch / "run.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        names = sorted(file.name for file in scratch.iterdir())
    _report(arguments, record, {name: str(arguments.out / name) for name in names})


def _write_arrays(folder: Path, trace: ve.AttentionTrace, found: dict[int, Attribution]) -> None:
    grid = trace.grid
    np.savez(
        folder / "attention.npz",
        maps=np.stack([attribution.heads for attribution in found.values()]),
        layers=np.array(list(found)),
        grid=np.array([grid.prefix, grid.rows, grid.cols, grid.patch_size]),
    )
    trace.statistics.to_frame().to_csv(folder / "heads.csv", index=False)


def _write_pictures(
    folder: Path, arguments: argparse.Namespace, pixels: np.ndarray, trace: ve.AttentionTrace, deepest: Attribution
) -> None:
    """Of the deepest layer that was asked for."""
    query, depends_on = arguments.query, ve.find_method(arguments.method).depends_on
    marked = None if isinstance(query, str) or "query" not in depends_on else query
    options: dict[str, Any] = {"warning": WARNING if trace.random else "", "marked": marked}
    caption = f"{trace.spec.name} · {deepest.map.label}"
    (folder / "overlay.png").write_bytes(sheets.overlay(pixels, deepest.map, caption=caption, **options))
    if "head" in depends_on:
        caption = caption.replace("head mean", "all heads")
        heads = sheets.head_sheet(deepest.heads, deepest.map, caption=caption, **options)
        (folder / "heads.png").write_bytes(heads)


def _record(arguments: argparse.Namespace, loaded: ve.LoadedModel, trace: ve.AttentionTrace) -> dict[str, Any]:
    """Everything that another person needs to repeat the run, and what came of it."""
    return {
        **model_record(loaded, arguments.seed),
        "image": {"path": arguments.image, "sha256": trace.image_sha256},
        "size": {"asked": arguments.size, "height": trace.grid.height, "width": trace.grid.width},
        "grid": asdict(trace.grid),
        "method": arguments.method,
        "query": arguments.query,
        "layers": list(trace.layers),
        "device": str(loaded.device),
        "seconds": trace.seconds,
        "predictions": [asdict(prediction) for prediction in trace.predictions],
    }


def _report(arguments: argparse.Namespace, record: dict[str, Any], files: dict[str, str]) -> None:
    note_model(record, "these maps")
    if arguments.json:
        console.emit_json({**record, "files": files})
        return
    grid = record["grid"]
    console.emit(f"{record['model']}: {grid['rows']} × {grid['cols']} patches, {record['seconds']:.2f} s")
    for prediction in record["predictions"][:3]:
        console.emit(f"{prediction['probability']:6.1%} {prediction['label']}")
    for path in files.values():
        console.emit(path)
