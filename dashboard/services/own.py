"""Models from files of the user: inspected, added for all sessions, and found again by their names."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import vit_engine as ve
from dashboard.jobs import Progress, Store
from dashboard.services import limits
from dashboard.services.checkpoint_uploads import uploads
from dashboard.services.folder import Stamp, find_checkpoint, stamp
from dashboard.services.names import Name, parse, taken_apart
from dashboard.services.paths import without_paths
from dashboard.services.process import once_per_process
from dashboard.services.reading import readers
from dashboard.services.series import place
from dashboard.state import UPLOADED_PREFIX


@dataclass(frozen=True)
class Inspected:
    """What a checkpoint is, by its name, and what to call it.

    spec: None while nobody says how many heads there are; all but that is in architecture. choices: numbers of
    heads that are possible, the likeliest first; advice: what is known of them, in words. parts: of the file, the
    likeliest first. stamp: of the files as they were read.
    """

    name: str
    shown: str
    spec: ve.ModelSpec | None
    architecture: ve.ModelSpec
    report: ve.LoadReport
    choices: tuple[int, ...]
    advice: str
    parts: tuple[str, ...]
    stamp: Stamp


@dataclass(frozen=True)
class Own:
    """A model from a file, as it was added."""

    spec: ve.ModelSpec
    sha256: str | None
    stamp: Stamp


class _Catalogue:
    """Models that were added, by name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: dict[str, Own] = {}


@once_per_process
def _catalogue() -> _Catalogue:
    return _Catalogue()


@once_per_process
def _inspected() -> Store[Inspected]:
    return Store(256, size=lambda _: 1)


def path_of(name: str) -> Path:
    """The file or folder of a model's name; CheckpointError where it is not, or no longer, here."""
    parts = parse(name)
    if parts is None:
        raise ve.CheckpointError(f"{name!r} is no file's name.")
    if parts.in_folder:
        return find_checkpoint(parts.what)
    upload = uploads().find(parts.what)
    if upload is None:
        raise ve.CheckpointError("the uploaded checkpoint is no longer held here: upload it again.")
    return upload.path


def keep_checkpoint(file: BinaryIO, *, title: str, size: int, progress: Progress) -> str:
    """An uploaded file of this name and of so many bytes, by its name here; CheckpointError where it is refused."""
    return UPLOADED_PREFIX + uploads().keep(file, title=title, size=size, progress=progress)


def inspect(name: str, progress: Progress) -> Inspected:
    """What a checkpoint is; CheckpointError, in the engine's words, where it is no model."""
    path, title = path_of(name), shown(name)
    key = (name, stamp(path))

    def read(report: Progress) -> Inspected:
        report(0.0, f"reading {title}")
        found = _inspect(name, path, title)
        _inspected().put(key, found)
        return found

    return _inspected().get(key) or readers().run(("inspect", *key), read, progress)


def _inspect(name: str, path: Path, title: str) -> Inspected:
    before, parts = stamp(path), taken_apart(name)
    with named(path, title):
        found = ve.inspect_checkpoint(source_of(path, parts), heads=parts.heads)
    report = replace(found.report, source=title)
    return Inspected(
        name, title, found.spec, found.architecture, report, found.heads_choices, found.advice, found.parts, before
    )


def shown(name: str) -> str:
    """What to call a file on the screen: never where it lies on the server."""
    parts = taken_apart(name)
    return parts.what if parts.in_folder else path_of(name).name


def source_of(path: Path, parts: Name) -> str:
    """A file, and which part of it, as the engine takes them."""
    return f"{path}#{parts.part}" if parts.part else str(path)


@contextmanager
def named(path: Path, title: str) -> Iterator[None]:
    """Errors that speak of a path speak of its name on the screen instead."""
    try:
        yield
    except ve.VitEngineError as error:
        text = str(error).replace(str(path), title).replace(f"{path.parent}/", "")
        raise type(error)(without_paths(text)) from error


def add(name: str, progress: Progress) -> ve.ModelSpec:
    """Make a checkpoint a model that every session can choose; CheckpointError where it cannot be one."""
    found = inspect(name, progress)
    if found.spec is None:
        raise ve.CheckpointError(f"{found.shown} does not say how many heads it has: choose them. {found.advice}")
    catalogue = _catalogue()
    with catalogue.lock:
        if len(catalogue.entries) >= limits.MAX_OWN and name not in catalogue.entries:
            raise ve.CheckpointError(f"{limits.MAX_OWN} models from files are here already: remove some.")
        titles = {own.spec.title for own in catalogue.entries.values() if own.spec.name != name}
        spec = _spec(found, titles | {spec.title for spec in ve.list_models()})
        catalogue.entries[name] = Own(spec, found.report.sha256, found.stamp)
    return spec


def _spec(found: Inspected, taken: set[str]) -> ve.ModelSpec:
    """With a title of its own: the select box tells models apart by it."""
    assert found.spec is not None
    title = _title(found)
    titles = [title, f"{title} · {found.spec.heads} heads", f"{found.shown} · {found.spec.heads} heads", found.name]
    description = f"From {found.shown}: {found.report.format}, {found.spec.heads} heads."
    return replace(
        found.spec,
        name=found.name,
        title=next(one for one in titles if one not in taken),
        description=description,
        weights=None,
    )


def _title(found: Inspected) -> str:
    parts = taken_apart(found.name)
    where = place(parts.what) if parts.in_folder else None
    path = PurePosixPath(found.shown)
    title = where.title if where else str(path.parent / path.stem) if path.suffix else found.shown
    return f"{title} · {parts.part}" if parts.part else title


def remove(name: str) -> None:
    """No longer a model; its file stays."""
    with _catalogue().lock:
        _catalogue().entries.pop(name, None)


def entries() -> dict[str, Own]:
    """Models from files that are still there, by name, those of a run in the order of their numbers."""
    with _catalogue().lock:
        found = dict(_catalogue().entries)
    return dict(sorted(((name, own) for name, own in found.items() if _is_there(name)), key=_order))


def _order(entry: tuple[str, Own]) -> tuple[str, str, int]:
    parts = taken_apart(entry[0])
    where = place(parts.what) if parts.in_folder else None
    return (parts.prefix, where.pattern, where.number) if where else (parts.prefix, parts.what, 0)


def _is_there(name: str) -> bool:
    parts = parse(name)
    if parts is not None and parts.prefix == UPLOADED_PREFIX:
        return uploads().holds(parts.what)
    try:
        return path_of(name).exists()
    except ve.CheckpointError:
        return False


def find(name: str) -> Own | None:
    """A model from a file, if it was added."""
    with _catalogue().lock:
        return _catalogue().entries.get(name)


def is_added(found: Inspected) -> bool:
    """Whether a checkpoint, as it was inspected, is among the models."""
    added = find(found.name)
    return added is not None and added.stamp == found.stamp


def demand_unchanged(name: str, own: Own) -> Path:
    """The path of a model's file; CheckpointError where it is gone, or another than was added."""
    path = path_of(name)
    if stamp(path) != own.stamp:
        raise ve.CheckpointError(f"{shown(name)} has changed since it was added: add it again on the page Models.")
    return path
