"""What the tokens of pictures carry, written to files: features, components as colours, similarity, norms, matches."""

import argparse
import json
from pathlib import Path
from typing import Any

import vit_engine as ve
from vit_engine.analysis.tokens.matches import RATIO
from vit_engine.analysis.tokens.norms import FACTOR
from vit_engine.analysis.tokens.pca import FOREGROUNDS
from vit_engine.cli import console
from vit_engine.cli.feature_files import RECORD, RESERVED, FeatureRun
from vit_engine.cli.model import add_model_arguments, add_run_arguments, model_record, note_model
from vit_engine.cli.pictures import picture_names, picture_paths
from vit_engine.planning.plan import FACETS, PRECISIONS, TOKEN


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE|FOLDER", help="PNG, JPEG, WebP, GIF, BMP or TIFF, or a folder of them")
    add_model_arguments(parser)
    add("--layers", type=console.layers, default="all", metavar="all|-1|0,5,11", help="counted from 0; -1 is the last")
    add("--facet", choices=tuple(FACETS), default=TOKEN, help="what is read of a layer; default: token, its output")
    add("--head", type=console.head, metavar="N", help="of queries, keys or values: one head's; default: all heads'")
    add("--foreground", choices=FOREGROUNDS, help="fit components to this side of the first one only; default: to all")
    query = "write the similarity of all patches to the CLS token or to this patch, counted from 0,0"
    add("--query", type=console.query, metavar="cls|ROW,COL", help=query)
    add("--joint", action="store_true", help="fit components to all pictures together, so that colours compare")
    add("--match", action="store_true", help="of two pictures: write the pairs of patches that correspond")
    ratio = f"with --match: largest distance ratio of a pair to the second best, 0..1; default: {RATIO}"
    add("--ratio", type=console.fraction, metavar="R", help=ratio)
    best = "with --match: at most so many pairs, the clearest; default: all"
    add("--best", type=console.positive, metavar="N", help=best)
    add("--precision", choices=tuple(PRECISIONS), default="float16", help="of features that are kept; default: float16")
    add_run_arguments(parser)
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results, created if needed")
    add("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Write a folder a picture, tables and record, or nothing; exit with 1 where a picture could not be used."""
    paths = picture_paths(arguments.images)
    _check_match(arguments, paths)
    pictures = dict(zip(picture_names(paths, reserved=RESERVED), paths, strict=True))
    with console.staged(arguments.out) as scratch:
        done = FeatureRun(arguments, scratch)
        with console.progress_bar() as progress:
            done.write(pictures, progress)
        _require_some(done)
        record = _record(done)
        (scratch / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        files = sorted(str(file.relative_to(scratch)) for file in scratch.rglob("*") if file.is_file())
    _report(done, record, {file: str(arguments.out / file) for file in files})
    if done.failed:
        _note_failed(done)
        raise SystemExit(console.FAILED)


def _check_match(arguments: argparse.Namespace, paths: list[str]) -> None:
    """SpecError for other than two pictures, and for what would change nothing; --ratio becomes its default."""
    if arguments.match and len(paths) != 2:
        raise ve.SpecError(f"--match needs exactly two pictures; got {len(paths)}.")
    for option in ("ratio", "best"):
        if getattr(arguments, option) is not None and not arguments.match:
            raise ve.SpecError(f"--{option} is of the pairs that --match writes: add --match, or leave it out.")
    if arguments.match and arguments.ratio is None:
        arguments.ratio = RATIO


def _require_some(done: FeatureRun) -> None:
    """VitEngineError where not one picture could be used."""
    if done.done:
        return
    if len(done.failed) == 1:
        raise done.failed[0][1]
    _note_failed(done)
    raise ve.ImageError(f"none of the {len(done.failed)} pictures could be used.")


def _note_failed(done: FeatureRun) -> None:
    for path, error in done.failed:
        named = "" if path in str(error) else f"{path}: "
        console.fail(f"left out: {named}{error}")
    if done.arguments.match and done.matches is None:
        console.fail("pairs need both pictures: none were written.")


def _record(done: FeatureRun) -> dict[str, Any]:
    """Everything that another person needs to repeat the run, and what came of it."""
    asked, loaded, matches = done.arguments, done.loaded, done.matches
    assert loaded is not None
    options = ("facet", "head", "precision", "foreground", "query", "joint", "match", "ratio", "best", "size")
    return {
        **model_record(loaded, asked.seed),
        "layers": sorted(loaded.spec.layer_numbers(asked.layers)),
        **{option: getattr(asked, option) for option in options},
        "device": str(loaded.device),
        "pictures": [result.record for result in done.done],
        "failed": [{"path": path, "error": str(error)} for path, error in done.failed],
        "matches": None if matches is None else {"kept": len(matches), "candidates": matches.candidates},
    }


def _report(done: FeatureRun, record: dict[str, Any], files: dict[str, str]) -> None:
    note_model(record, "these features")
    if done.arguments.json:
        console.emit_json({**record, "files": files})
        return
    for result in done.done:
        console.emit(_in_words(result.record, result.norms[-1]))
    if record["matches"]:
        console.emit("{kept} pairs of {candidates} mutual nearest neighbours".format(**record["matches"]))
    for path in files.values():
        console.emit(path)


def _in_words(picture: dict[str, Any], norms: dict[str, Any]) -> str:
    grid, explained = picture["grid"], sum(picture["pca_explained"])
    count = norms["outliers"]
    outliers = f"{count or 'no'} {'outlier' if count == 1 else 'outliers'} (over {FACTOR:g} × the median)"
    return (
        f"{picture['name']}: {grid['rows']} × {grid['cols']} patches, {picture['seconds']:.2f} s · "
        f"three components explain {explained:.1%} of the variance · "
        f"layer {norms['layer']}: median norm {norms['median']:.1f}, {outliers}"
    )
