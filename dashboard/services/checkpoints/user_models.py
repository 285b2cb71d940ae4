"""Models from files of the user: inspected, added for all sessions, and found again by their names."""

import os
import threading
import unicodedata
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cachetools import LRUCache

import vit_engine as ve
from dashboard.links.selection import UPLOADED_PREFIX
from dashboard.services import limits
from dashboard.services.checkpoints import hub
from dashboard.services.checkpoints.folder import Stamp, checkpoint_folder, find_checkpoint, stamp
from dashboard.services.checkpoints.names import taken_apart
from dashboard.services.checkpoints.paths import errors_naming
from dashboard.services.checkpoints.uploads import GONE, Upload, uploads
from dashboard.services.jobs import Jobs, Store, budget
from dashboard.services.lanes import Size
from dashboard.services.process import once_per_process, session
from vit_engine.progress import Progress
from vit_engine.weights.text.read import why_no_text

READ_BYTES = 2e8  # a second, about: from a disk, checked and converted
SMALL_SECONDS = 1.0  # that a file is expected to take, at most, to be read beside another one


@dataclass(frozen=True)
class Inspected:
    """What a checkpoint is, by its name, and what to call it."""

    name: str
    display_name: str
    spec: ve.ModelSpec | None  # None while nobody says how many heads there are; all but that is in architecture
    architecture: ve.ModelSpec
    report: ve.LoadReport
    choices: tuple[int, ...]  # numbers of heads that are possible, the likeliest first
    advice: str  # what is known of them, in words
    parts: tuple[str, ...]  # of the file, the likeliest first
    stamp: Stamp  # of the files as they were read


@dataclass(frozen=True)
class UserModel:
    """A model from a file, as it was added.

    display_name: the name that the file had then. no_text: why no text can be its target; empty where one may.
    """

    spec: ve.ModelSpec
    sha256: str | None
    stamp: Stamp
    display_name: str
    no_text: str = ""


class _Catalogue:
    """Models that were added, by name, and what the last ones that went were."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: dict[str, UserModel] = {}
        self.gone: LRUCache[str, UserModel] = LRUCache(limits.MAX_OWN)

    def remove(self, name: str) -> None:
        """No error for one that is not there: two sessions may do this at once. Call with the lock held."""
        if name in self.entries:
            self.gone[name] = self.entries.pop(name)


@once_per_process
def readers() -> Jobs:
    """Weight files are in memory as a whole: a large one at a time, and beside it a small one or a published one."""
    return Jobs(
        at_once=1,
        waiting="waiting for another weight file to be read",
        for_small=1,
        small_seconds=SMALL_SECONDS,
        budget=budget,
        short_of_memory="waiting until other weight files leave enough memory",
    )


_catalogue = once_per_process(_Catalogue)
_inspected = once_per_process(lambda: Store[Inspected](256, size=lambda _: 1))


def path_of(name: str) -> Path:
    """The file or folder of a model's name; CheckpointError where it is not, or no longer, here."""
    parts = taken_apart(name)
    if parts.on_hub:
        return hub.find(parts.what).path
    return find_checkpoint(parts.what) if parts.in_folder else _upload(parts.what).path


def _upload(sha256: str) -> Upload:
    upload = uploads().find(sha256)
    if upload is None:
        raise ve.CheckpointError(GONE)
    return upload


def opened(name: str, title: str) -> AbstractContextManager[Path]:
    """The path of a model's file, as it was shown, for reading; an upload stays there as long as this lasts."""
    parts = taken_apart(name)
    if parts.prefix == UPLOADED_PREFIX:
        return uploads().reading(parts.what, title)
    return nullcontext(path_of(name))


def stamp_of(name: str) -> Stamp:
    """What changes when a model's file does: nothing of an upload or a commit, which are named by their bytes."""
    parts = taken_apart(name)
    if parts.on_hub:
        return ((parts.what, 0, hub.find(parts.what).size),)
    return stamp(path_of(name)) if parts.in_folder else ((parts.what, 0, _upload(parts.what).size),)


def keep_checkpoint(file: BinaryIO, *, title: str, size: int, progress: Progress) -> str:
    """An uploaded file of this name and of so many bytes, by its name here; CheckpointError where it is refused."""
    return UPLOADED_PREFIX + uploads().keep(file, title=title, size=size, progress=progress)


def inspect(name: str, progress: Progress) -> Inspected:
    """What a checkpoint is; CheckpointError, in the engine's words, where it is no model."""
    title, files = display_name(name), stamp_of(name)

    def read(report: Progress) -> Inspected:
        report(0.0, f"reading {title}")
        return _inspect(name, title)

    nbytes = sum(size for _, _, size in files)
    size = Size(nbytes / READ_BYTES, 2 * nbytes)  # in memory as they are on the disk, and as tensors
    key = "inspect", name, title, files
    return readers().run(key, read, progress, store=_inspected(), session=session(), size=size)


def _inspect(name: str, title: str) -> Inspected:
    parts = taken_apart(name)
    with opened(name, title) as path, errors_naming(path, title):
        before = stamp_of(name)
        found = ve.inspect_checkpoint(parts.source(path), heads=parts.heads)
    report = replace(found.report, source=title)
    return Inspected(
        name, title, found.spec, found.architecture, report, found.heads_choices, found.advice, found.parts, before
    )


def display_name(name: str) -> str:
    """What to call a file on the screen: never where it lies on the server."""
    parts = taken_apart(name)
    if parts.on_hub:
        return hub.screen_name(parts.what)
    return parts.what if parts.in_folder and parts.what != "." else path_of(name).name


def held_as(name: str) -> str:
    """The name that an uploaded file is held under, which is of whoever brought it first; empty where it is gone."""
    upload = uploads().find(taken_apart(name).what)
    return upload.path.name if upload is not None else ""


def add(name: str, progress: Progress) -> ve.ModelSpec:
    """Make a checkpoint a model of every session; CheckpointError where it cannot be one. What is one already stays."""
    found = inspect(name, progress)
    if found.spec is None:
        problem = f"{found.display_name} does not say how many heads it has: choose them. {found.advice}"
        raise ve.CheckpointError(problem)
    with (catalogue := _catalogue()).lock:
        known = catalogue.entries.get(name)
        if known is not None and known.stamp == found.stamp:
            return known.spec
        _check_room(catalogue, name)
        titles = {own.spec.title for own in catalogue.entries.values() if own.spec.name != name}
        spec = _spec(found, titles | {spec.title for spec in ve.list_models()})
        no_text = why_no_text(found.report)
        catalogue.entries[name] = UserModel(spec, found.report.sha256, found.stamp, found.display_name, no_text)
    return spec


def _check_room(catalogue: _Catalogue, name: str) -> None:
    """Forget models whose files are gone, if need be: nobody sees them, so nobody could remove them."""
    if len(catalogue.entries) >= limits.MAX_OWN:
        for gone in [each for each in catalogue.entries if not _is_there(each)]:
            catalogue.remove(gone)
    if len(catalogue.entries) >= limits.MAX_OWN and name not in catalogue.entries:
        raise ve.CheckpointError(f"{limits.MAX_OWN} models from files are here already: remove some.")


def _spec(found: Inspected, taken: set[str]) -> ve.ModelSpec:
    """With a title of its own: the select box tells models apart by it."""
    assert found.spec is not None
    taken, heads = set(map(_as_read, taken)), f"{found.spec.heads} heads"
    titles = (_title(found), f"{_title(found)} · {heads}", f"{found.display_name} · {heads}")
    title = next((each for each in titles if _as_read(each) not in taken), found.name)
    parts = taken_apart(found.name)
    place, licence = (
        (" on the Hugging Face hub", hub.licence_of(parts.what)) if parts.on_hub else ("", found.spec.licence)
    )
    description = f"From {found.display_name}{place}: {found.report.format}, {heads}."
    return replace(found.spec, name=found.name, title=title, description=description, weights=None, licence=licence)


def _as_read(title: str) -> str:
    """The same for titles that look the same: an accent may be a character of its own."""
    return unicodedata.normalize("NFC", title)


def _title(found: Inspected) -> str:
    parts = taken_apart(found.name)
    path = PurePosixPath(found.display_name)
    title = str(path.parent / path.stem) if path.suffix else found.display_name
    title = parts.place.title if parts.place else found.display_name if parts.on_hub else title
    return f"{title} · {parts.part}" if parts.part else title


def remove(name: str) -> None:
    """No longer a model; its file stays."""
    with _catalogue().lock:
        _catalogue().remove(name)


def last_known(name: str) -> UserModel | None:
    """A model that was added, even if it, or its file, has gone since."""
    with (catalogue := _catalogue()).lock:
        return catalogue.entries.get(name) or catalogue.gone.get(name)


def entries() -> dict[str, UserModel]:
    """Models from files that are still there, by name, those of a run in the order of their numbers."""
    with _catalogue().lock:
        found = dict(_catalogue().entries)
    return {name: found[name] for name in sorted(filter(_is_there, found), key=_order)}


def _order(name: str) -> tuple[str, str, int]:
    parts = taken_apart(name)
    where = parts.place
    return (parts.prefix, where.pattern, where.number) if where else (parts.prefix, parts.what, 0)


def _is_there(name: str) -> bool:
    parts = taken_apart(name)
    if parts.on_hub:
        return hub.is_here(parts.what)
    if not parts.in_folder:
        return uploads().holds(parts.what)
    try:
        root = checkpoint_folder()
    except ve.CheckpointError:
        return False
    return root is not None and os.path.exists(root / parts.what)


def find(name: str) -> UserModel | None:
    """A model from a file, if it was added."""
    with _catalogue().lock:
        return _catalogue().entries.get(name)


def is_added(found: Inspected) -> bool:
    """Whether a checkpoint, as it was inspected, is among the models."""
    added = find(found.name)
    return added is not None and added.stamp == found.stamp


def check_unchanged(name: str, own: UserModel) -> None:
    """CheckpointError for a model whose file is gone, or another than was added."""
    if stamp_of(name) != own.stamp:
        raise ve.CheckpointError(f"{own.display_name} has changed since it was added: add it again on the page Models.")
