"""Several maps of one picture, side by side, with numbers: written to files as the page Compare writes them."""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import vit_engine as ve
from vit_engine.analysis.comparison import MAX_PANES, Comparison, Pane, Place, comparable_columns, letter, place
from vit_engine.analysis.methods import METHODS, TOKEN_METHODS
from vit_engine.cli import console
from vit_engine.cli.pane_runs import compared
from vit_engine.cli.panes import naming, sources_of
from vit_engine.report import archive, bundle
from vit_engine.report.style import Style
from vit_engine.trace.statistics import STATISTICS

ARCHIVE = "comparison.zip"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    pane = "MODEL:LAYER[:HEAD[:METHOD[:QUERY]]]"
    choices = "METHOD may have options and a target in brackets, with ';' between: relevance[start=2;target=281]"
    add("image", metavar="IMAGE", help="PNG, JPEG, WebP, GIF, BMP or TIFF")
    examples = "dino_vits8:11:mean, run/last.pth#student:11, hf:org/name@revision:11:mean"
    methods = ", ".join(method.name for method in (*METHODS, *TOKEN_METHODS))
    heads = "HEAD a number, mean, max or min; mean alone where the method depends on none"
    parts = f"{heads}; METHOD {methods}; QUERY shared, cls, Y,X or TOP,LEFT,BOTTOM,RIGHT"
    several = f"2..{MAX_PANES} of them: {examples}; {parts}, as fractions. {choices}"
    add("--pane", action="append", default=[], metavar=pane, help=several)
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results, created if needed")
    add("--zip", action="store_true", help=f"one file {ARCHIVE} instead of single ones")
    stated = "of checkpoints that do not state it"
    add("--heads", type=_heads, action="append", default=[], metavar="[MODEL=]N", help=stated)
    add("--seed", type=console.seed, default=0, metavar="N", help="of random weights; default: 0")
    add("--size", type=console.size, default=224, metavar="N|HEIGHT WIDTH", help="short side, or exact; default: 224")
    fractions = "shared query, a point or a region, as fractions of height and width; default: CLS"
    add("--point", type=_place, metavar="Y,X|TOP,LEFT,BOTTOM,RIGHT", help=fractions)
    add("--reference", default="A", metavar="A", help="the pane that others are compared with; default: A")
    add("--keep", type=_per_cent, default=0.6, metavar="%", help="of the mass in masks; default: 60")
    add("--statistic", default="cls_entropy_normalised", metavar="NAME", help="of heads; default: %(default)s")
    add("--all-layers", action="store_true", help="heads of all layers side by side, not of each pane's own")
    add("--show", default="map", metavar="map|difference|mask", help="what is drawn; default: map")
    add("--scale", default="shared", metavar="shared|own|log", help="of colours; default: shared")
    add("--colours", default="inferno", metavar="NAME", help="of maps; default: inferno")
    add("--opacity", type=_per_cent, default=0.65, metavar="%", help="of colours; default: 65")
    add("--clip", type=float, default=99.5, metavar="%", help="percentile at which colours end; default: 99.5")
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--json", action="store_true", help="print one JSON document")


def _number(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,20})?", text.strip()):
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return float(text)


def _per_cent(text: str) -> float:
    """Argument type: 0..100, as a share."""
    if not 0 <= _number(text) <= 100:
        raise argparse.ArgumentTypeError(f"expected per cent, 0..100, got {text!r}")
    return _number(text) / 100


def _place(text: str) -> Place:
    """Argument type: Y,X or TOP,LEFT,BOTTOM,RIGHT, each 0..1."""
    try:
        found = place.checked(tuple(_number(part) for part in text.split(",")))
    except ve.SpecError:
        found = ""
    if isinstance(found, str):
        expected = "Y,X, two fractions in 0..1, or TOP,LEFT,BOTTOM,RIGHT with top < bottom and left < right"
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return found


def _heads(text: str) -> tuple[str, int]:
    model, _, number = text.rpartition("=")
    return model, console.positive(number)


def run(arguments: argparse.Namespace) -> None:
    """Write the bundle, or nothing; print how much the panes agree and where the files are."""
    style = Style(arguments.show, arguments.scale, arguments.colours, arguments.opacity, arguments.clip)
    panes = _panes(arguments)
    with console.staged(arguments.out) as scratch:
        with console.progress_bar() as progress:
            picture = ve.open_image(arguments.image)
            sources = sources_of(panes, arguments.heads, arguments.seed)
            asked = {name: getattr(arguments, name) for name in ("size", "point", "reference", "keep", "device")}
            comparison = compared(dict(enumerate(panes)), sources, picture, **asked, progress=progress)
        kept = {"size": arguments.size, "statistic": arguments.statistic, "all_layers": arguments.all_layers}
        contents = bundle.files(comparison, style, picture=picture, **kept)
        record = json.loads(contents[archive.RECORD])
        contents = {ARCHIVE: archive.as_zip(contents)} if arguments.zip else contents
        archive.write_bundle(scratch, contents)
    _report(arguments, comparison, record, {name: str(arguments.out / name) for name in sorted(contents)})


def _panes(arguments: argparse.Namespace) -> list[Pane]:
    if not 2 <= len(arguments.pane) <= MAX_PANES:
        raise ve.SpecError(
            f"a comparison needs 2..{MAX_PANES} panes; got {len(arguments.pane)}. Pass --pane once for each."
        )
    panes = []
    for number, text in enumerate(arguments.pane):
        with naming([number]):
            panes.append(_checked(Pane.parse(text)))
    names = [letter(number) for number in range(len(panes))]
    if arguments.reference not in names:
        raise ve.SpecError(f"reference must be one of {', '.join(names)}; got {arguments.reference!r}.")
    if arguments.statistic not in STATISTICS:
        raise ve.SpecError(f"statistic must be one of {', '.join(STATISTICS)}; got {arguments.statistic!r}.")
    return panes


def _checked(pane: Pane) -> Pane:
    """The pane; SpecError for a head or a place that changes nothing, which links and records may have."""
    depends_on, without = ve.find_method(pane.method).depends_on, pane
    ignored: dict[str, object] = {}
    if "head" not in depends_on and pane.head != "mean":
        ignored["head"], without = pane.head, replace(without, head="mean")
    if "query" not in depends_on and pane.query not in ("shared", "cls"):
        ignored["query"], without = place.written(pane.query), replace(without, query="shared")
    if ignored:
        (part, got), *_ = ignored.items()
        raise ve.SpecError(f"the method {pane.method!r} depends on no {part}; got {got!r}. Write {str(without)!r}.")
    return pane


def _report(
    arguments: argparse.Namespace, comparison: Comparison, record: dict[str, Any], files: dict[str, str]
) -> None:
    for model in record["models"]:
        _note_on(model)
    if arguments.statistic not in {column.name for column in comparable_columns(comparison.results)}:
        console.note(f"note: {arguments.statistic} depends on the number of tokens: not comparable across these panes.")
    if arguments.json:
        console.emit_json({**record, "files": files})
        return
    for one in comparison.results:
        console.emit(f"{one.name}: {one.pane.model} · {one.map.label}")
        if one.note:
            console.note(f"note: the map of pane {one.name} is zero everywhere. {one.note}")
    for row in record["numbers"]["agreement"]:
        console.emit(agreement_in_words(row, comparison.keep))
    for path in files.values():
        console.emit(path)


def _note_on(model: dict[str, Any]) -> None:
    if model["random"]:
        console.note(f"note: RANDOM WEIGHTS (seed {model['seed']}): {model['title']} has not been trained.")
    for sentence in model["weights"]["assumed"]:
        console.note(f"note: assumed for {model['model']}, which does not state it: {sentence}")


def agreement_in_words(row: dict[str, Any], keep: float) -> str:
    """A row of the agreement table: "A–B: Pearson 0.844, …"; a dash for what has no number."""
    numbers = (
        ("Pearson", "pearson", "{:.3f}"),
        ("Spearman", "spearman", "{:.3f}"),
        ("JSD", "jsd_bits", "{:.3f} bits"),
        (f"IoU of {100 * keep:g} % of the mass", "iou", "{:.3f}"),
        ("centre shift", "shift_px", "{:.1f} px"),
    )
    words = [f"{title} {'–' if row[name] is None else shown.format(row[name])}" for title, name, shown in numbers]
    return f"{row['first']}–{row['second']}: {', '.join(words)}"
