"""Weights into the cache folder, for a machine without internet or for a first use that does not wait."""

import argparse
from typing import Any

import vit_engine as ve
from vit_engine.cli import console
from vit_engine.registry import find_model
from vit_engine.weights import fetch, weights_path
from vit_engine.weights.fetching.checksum import file_sha256, verify
from vit_engine.weights.fetching.hub import HubName, describe_hub_model, fetch_hub_model, verify_hub_model
from vit_engine.weights.sources import hub_source

_STATUS = {
    "downloaded": "downloaded and verified",
    "there": "already there and verified",
    "packaged": "bundled, verified",
    "none": "nothing to download, it has random weights only",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="a name that `models` lists, or ORG/NAME on the Hugging Face hub")
    add("--family", action="append", default=[], metavar="FAMILY", help="all models of a family: dino, …")
    add("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> None:
    """Fetch and verify one after the other; exit code 1 where one of them failed, after all have had their turn."""
    if not arguments.names and not arguments.family:
        arguments.usage_error("name at least one model, or a --family")
    names = [*arguments.names, *(name for family in arguments.family for name in _members(family))]
    records = []
    for name in dict.fromkeys(names):
        try:
            record = _fetched(name)
        except (ve.VitEngineError, OSError) as error:
            record = {"name": name, "status": "failed", "error": str(error)}
            console.fail(f"{name}: {error}")
        records.append(record)
        if not arguments.json and "error" not in record:
            console.emit(_line(record))
    if arguments.json:
        console.emit_json(records)
    if any("error" in record for record in records):
        raise SystemExit(console.FAILED)


def _members(family: str) -> list[str]:
    """The models of a family that have weights to download; SpecError naming the families where there are none."""
    specs = [spec for spec in ve.list_models() if spec.weights is not None and spec.weights.source]
    names = [spec.name for spec in specs if spec.family == family]
    if not names:
        families = ", ".join(dict.fromkeys(spec.family for spec in specs))
        raise ve.SpecError(f"no family with weights to download is called {family!r}; there are: {families}.")
    return names


def _fetched(name: str) -> dict[str, Any]:
    """A model's weights, there and verified."""
    if (hub := hub_source(name)) is not None:
        return _fetched_from_hub(name, hub)
    spec = find_model(name)
    if spec.weights is None:
        return {"name": name, "status": "none"}
    status = "downloaded" if not weights_path(spec).exists() else "packaged" if spec.weights.packaged else "there"
    with console.progress_bar() as progress:
        path = fetch(spec, progress=progress)
        sha256 = file_sha256(path, progress=progress)
    verify(path, spec.weights, sha256)
    return {"name": name, "status": status, "path": str(path), "bytes": path.stat().st_size, "sha256": sha256}


def _fetched_from_hub(name: str, hub: HubName) -> dict[str, Any]:
    model = describe_hub_model(hub)
    status = "downloaded" if any(file.sha256 for file in model.missing) else "there"
    with console.progress_bar() as progress:
        path = fetch_hub_model(model, progress=progress)
        sha256 = verify_hub_model(model, progress=progress)
    return {"name": name, "status": status, "path": str(path), "bytes": model.size, "sha256": sha256}


def _line(record: dict[str, Any]) -> str:
    line = f"{record['name']}: {_STATUS[record['status']]}"
    if "path" in record:
        line += f", {record['bytes'] / 1e6:.1f} MB, sha256 {record['sha256']}, {record['path']}"
    return line
