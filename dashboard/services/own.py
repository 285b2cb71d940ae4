"""Models from files of the user: from the folder of checkpoints ("file:run1/last.pth"), or uploaded ("upload:SHA256").

Where nothing in a file says how many heads it has, its user does, and the model's name ends in them: "…@6".
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

import streamlit as st

import vit_engine as ve
from dashboard.jobs import Progress, Store
from dashboard.services import limits
from dashboard.services.checkpoint_uploads import uploads
from dashboard.services.folder import Stamp, find_checkpoint, stamp
from dashboard.services.reading import readers
from dashboard.services.series import place
from dashboard.state import FILE_PREFIX, OWN_PREFIXES, UPLOADED_PREFIX

_PARTS = re.compile(r"(.+?)(?:@(\d+))?", re.DOTALL)


class Name(NamedTuple):
    """A model's name, taken apart: "file:" or "upload:", the relative name or the sha256, heads as asked for."""

    prefix: str
    what: str
    heads: int | None

    @property
    def without_heads(self) -> str:
        return self.prefix + self.what


@dataclass(frozen=True)
class Inspected:
    """What a checkpoint is, by its name, and what to call it.

    spec: None while nobody says how many heads there are; all but that is in architecture. choices: numbers of
    heads that are possible, the likeliest first; advice: what is known of them, in words. stamp: of the files as
    they were read.
    """

    name: str
    shown: str
    spec: ve.ModelSpec | None
    architecture: ve.ModelSpec
    report: ve.LoadReport
    choices: tuple[int, ...]
    advice: str
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


@st.cache_resource(show_spinner=False)
def _catalogue() -> _Catalogue:
    return _Catalogue()


@st.cache_resource(show_spinner=False)
def _inspected() -> Store[Inspected]:
    return Store(256, size=lambda _: 1)


def parse(name: str) -> Name | None:
    """The parts of a model's name; None for models that are no files."""
    for prefix in OWN_PREFIXES:
        found = _PARTS.fullmatch(name.removeprefix(prefix)) if name.startswith(prefix) else None
        if found is not None:
            return Name(prefix, found[1], int(found[2]) if found[2] else None)
    return None


def with_heads(name: str, heads: int | None) -> str:
    """The name of the same file with this many heads; None for those that the file says."""
    parts = parse(name)
    assert parts is not None, name
    return parts.without_heads if heads is None else f"{parts.without_heads}@{heads}"


def path_of(name: str) -> Path:
    """The file or folder of a model's name; CheckpointError where it is not, or no longer, here."""
    parts = parse(name)
    if parts is None:
        raise ve.CheckpointError(f"{name!r} is no file's name.")
    if parts.prefix == FILE_PREFIX:
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
    before, parts = stamp(path), parse(name)
    with named(path, title):
        found = ve.inspect_checkpoint(path, heads=parts.heads if parts else None)
    report = replace(found.report, source=title)
    return Inspected(name, title, found.spec, found.architecture, report, found.heads_choices, found.advice, before)


def shown(name: str) -> str:
    """What to call a file on the screen: never where it lies on the server."""
    parts = parse(name)
    assert parts is not None, name
    return parts.what if parts.prefix == FILE_PREFIX else path_of(name).name


@contextmanager
def named(path: Path, title: str) -> Iterator[None]:
    """Errors that speak of a path speak of its name on the screen instead."""
    try:
        yield
    except ve.VitEngineError as error:
        raise type(error)(str(error).replace(str(path), title)) from error


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
    titles = [_title(found), f"{_title(found)} · {found.spec.heads} heads", f"{found.shown} · {found.name[-20:]}"]
    title = next((title for title in titles if title not in taken), found.name)
    description = f"From {found.shown}: {found.report.format}, {found.spec.heads} heads."
    return replace(found.spec, name=found.name, title=title, description=description, weights=None)


def _title(found: Inspected) -> str:
    parts = parse(found.name)
    where = place(parts.what) if parts and parts.prefix == FILE_PREFIX else None
    if where is not None:
        return where.title
    path = PurePosixPath(found.shown)
    return str(path.parent / path.stem) if path.suffix else found.shown


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
    parts = parse(entry[0])
    where = place(parts.what) if parts else None
    return (entry[0][:5], where.pattern, where.number) if where else (entry[0][:5], entry[0], 0)


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
