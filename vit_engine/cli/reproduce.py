"""A comparison recomputed from its record, and whether the numbers are the same."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import vit_engine as ve
from vit_engine.analysis.comparison import Comparison
from vit_engine.cli import console
from vit_engine.cli.pane_runs import compared
from vit_engine.cli.panes import PaneModel
from vit_engine.image import pixels_sha256
from vit_engine.report.reproduction.check import check
from vit_engine.report.reproduction.closeness import Check
from vit_engine.report.reproduction.reading import Bundle
from vit_engine.report.reproduction.recorded import RunRecord, heads_of, read_record, seed_of, was_in_memory, weights_of
from vit_engine.report.versions import versions
from vit_engine.weights.fetching.hub import HUB_PREFIX, hub_name
from vit_engine.weights.reading.read import split_part

# The dashboard's name of a model whose heads its user chose: "hf:org/name@commit#part@6".
_HEADS = re.compile(r"(@[0-9a-f]{40}(?:#[^@]+)?)@[0-9]{1,4}$")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("record", type=Path, metavar="RUN", help="run.json, or the zip or folder of a comparison")
    add("--image", metavar="PATH", help="the picture, if it is not beside the record")
    checkpoint = "the file of a model that is not known by name"
    add("--checkpoint", type=_checkpoint, action="append", default=[], metavar="MODEL=PATH", help=checkpoint)
    add("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    add("--json", action="store_true", help="print one JSON document")


def _checkpoint(text: str) -> str:
    """Argument type: MODEL=PATH, in one piece, because both may have a "=" in them."""
    model, _, path = text.partition("=")
    if not (model and path):
        raise argparse.ArgumentTypeError(f"expected MODEL=PATH, got {text!r}")
    return text


def run(arguments: argparse.Namespace) -> None:
    """Recompute the numbers and say of each whether it matches; exit code 1 where one does not."""
    bundle = Bundle(arguments.record)
    data = bundle.read(bundle.record)
    if data is None:
        raise ve.SpecError(
            f"{bundle.record} of {str(bundle.path)!r} is not there; expected a run.json, or the zip or folder of a "
            "comparison."
        )
    record = read_record(data)
    picture = ve.open_image(arguments.image or _beside(bundle, record))
    problem = _another(picture, record)
    checks = [Check("picture", problem=problem)]
    if not problem:  # the numbers of another picture would say nothing
        checks += check(record, bundle, _recomputed(arguments, record, picture))
    _report(arguments, record, checks)


def _beside(bundle: Bundle, record: RunRecord) -> bytes:
    data = bundle.read(record.picture)
    if data is None:
        raise ve.ImageError(
            f"the picture of {str(bundle.path)!r}, {record.picture}, is not beside it: pass --image PATH. "
            f"The sha256 of its {'pixels' if record.pixels_sha256 else 'file'} is "
            f"{record.pixels_sha256 or record.sha256}."
        )
    return data


def _another(picture: Image.Image, record: RunRecord) -> str:
    """How it differs from the recorded one, by its pixels or, where those are not recorded, by its file."""
    what, found, recorded = "its sha256", picture.info["sha256"], record.sha256
    if record.pixels_sha256:
        what, recorded = "the sha256 of its pixels", record.pixels_sha256
        found = pixels_sha256(np.asarray(picture))
    return "" if found == recorded else f"{what} is {found}, recorded is {recorded}"


def _recomputed(arguments: argparse.Namespace, record: RunRecord, picture: Image.Image) -> Comparison:
    asked = {name: getattr(record, name) for name in ("size", "point", "reference", "keep", "targets")}
    with console.progress_bar() as progress:
        options = {**asked, "device": arguments.device, "progress": progress}
        return compared(record.panes, _sources(arguments, record), picture, **options)


def _sources(arguments: argparse.Namespace, record: RunRecord) -> dict[str, PaneModel]:
    """Where each pane's model is from: known by name here or on the hub, or a file that --checkpoint names."""
    sources, known = {}, {spec.name for spec in ve.list_models()}
    for name in dict.fromkeys(pane.model for pane in record.panes.values()):
        if name not in record.models:
            raise ve.SpecError(f"models of run.json must name those of all panes; {name[:60]!r} is not there.")
        model = record.models[name]
        sha256, part = weights_of(model)
        given = [text for text in arguments.checkpoint if text.startswith(f"{name}=")]
        path = given[0].removeprefix(f"{name}=") if given else ""
        if path:
            own = split_part(Path(path).expanduser())[1]  # else the recorded part of the file
            sources[name] = PaneModel(name, f"{path}#{part}" if part and not own else path, heads_of(model))
        elif name in known:
            sources[name] = PaneModel(name, seed=seed_of(model))
        elif name.startswith(HUB_PREFIX) and (hub := hub_name(_HEADS.sub(r"\1", name))) is not None:
            recorded = hub._replace(part=hub.part or part).text
            sources[name] = PaneModel(name, recorded, heads_of(model), title=hub.repo)
        else:
            raise ve.CheckpointError(_missing_weights(name, model, sha256))
    return sources


def _missing_weights(name: str, model: Mapping[str, Any], sha256: str) -> str:
    if was_in_memory(model):
        return (
            f"{name!r} was a module in memory, and cannot be recomputed without its weights: save its state_dict() "
            f"where it still is, and pass --checkpoint '{name}=PATH'."
        )
    return (
        f"{name!r} is a user's own checkpoint: pass --checkpoint '{name}=PATH'. Its sha256 is "
        f"{sha256 or 'not recorded'}."
    )


def _report(arguments: argparse.Namespace, record: RunRecord, checks: list[Check]) -> None:
    """One line a check, and what else one may want to know where they do not match."""
    here = versions()
    others = {name: version for name, version in record.versions.items() if here.get(name, version) != version}
    wrong = [one for one in checks if not one.matches]
    if arguments.json:
        listed = [{**vars(one), "matches": one.matches} for one in checks]
        console.emit_json({"matches": not wrong, "checks": listed, "versions": here, "recorded": record.versions})
    else:
        for one in checks:
            console.emit(str(one))
        console.emit(f"{len(wrong)} of {len(checks)} do not match" if wrong else f"all {len(checks)} match")
    for name, version in others.items():
        console.note(f"note: {name} was {version} then, {here[name]} now")
    if wrong:
        raise SystemExit(console.FAILED)
