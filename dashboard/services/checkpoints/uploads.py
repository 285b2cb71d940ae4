"""Uploaded checkpoints: files in a private folder on disk, bounded in bytes, gone when the server ends."""

import errno
import hashlib
import os
import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from dashboard.services import limits
from dashboard.services.checkpoints.names import has_suffix
from dashboard.services.checkpoints.private_folder import PrivateFolder, remove_abandoned
from dashboard.services.jobs import POLL
from dashboard.services.process import once_per_process
from vit_engine import CheckpointError
from vit_engine.progress import Progress
from vit_engine.registry import model_of_file
from vit_engine.resources.budget import format_bytes
from vit_engine.weights.fetching.checksum import expected_sha256
from vit_engine.weights.reading.folder import SUFFIXES

GONE = "the uploaded checkpoint is no longer held here: upload it again."
_PIECE = 1 << 22
_LONGEST_NAME = 255  # bytes: of what Linux, macOS and Windows allow
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Upload:
    """A file that was uploaded: where it is, under the name that it came with first, and its bytes."""

    path: Path
    size: int


class Uploads:
    """Files by sha256, the least recently used out first.

    The bound holds on disk at every moment: what is being written counts from its first byte. A file that is being
    read stays, because its space is only free once it is closed; whoever needs that room waits.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folder: PrivateFolder | None = None
        self._files: OrderedDict[str, Upload] = OrderedDict()
        self._writing: dict[str, int] = {}  # bytes by sha256
        self._reading: Counter[str] = Counter()
        self._changed = threading.Condition()  # guards all of these

    def close(self) -> None:
        """Remove all files; at the latest this happens when the process ends, unless a signal ends it."""
        with self._changed:
            if self._folder is not None:
                self._folder.remove()

    def keep(self, source: BinaryIO, *, title: str, size: int, progress: Progress) -> str:
        """Copy a file piece by piece, unless its bytes are held; returns its sha256.

        source: can be read twice. CheckpointError, and nothing is left of it, for one that is too large or of no kind,
        or where the disk fails. The first name that it comes with stays, unless weights were published under another.
        """
        name = _checked(title)
        self._check_fit(name, size)
        sha256, size = _digest(source, size, progress)
        self._check_fit(name, size)
        with _disk_failures(name):
            if self._reserve(sha256, size, progress):
                self._write(source, sha256, name, size, progress)
            self._prefer_published(sha256, name)
        return sha256

    def _check_fit(self, name: str, size: int) -> None:
        if size > self._max_bytes:
            most = f"{format_bytes(self._max_bytes)} of uploaded checkpoints are kept here"
            advice = "put it into the server's folder of checkpoints, or raise VIT_DASHBOARD_CHECKPOINT_BYTES"
            raise CheckpointError(f"{name!r} has {format_bytes(size)}, and {most}: {advice}.")

    def _reserve(self, sha256: str, size: int, progress: Progress) -> bool:
        """Wait for room and take it; False where the bytes are held, perhaps since another session brought them."""
        while True:
            with self._changed:
                if self._held(sha256) is not None:
                    return False
                if sha256 not in self._writing and self._make_room(size):
                    self._writing[sha256] = size
                    return True
                self._changed.wait(POLL)
            progress(0.5, "waiting for other checkpoints that are being kept or read")

    def _make_room(self, size: int) -> bool:
        """Whether so many more bytes are within the bound, after the least recently used files have gone if need be."""
        used = size + sum(self._writing.values()) + sum(file.size for file in self._files.values())
        idle = {sha256: file.size for sha256, file in self._files.items() if not self._reading[sha256]}
        if used - sum(idle.values()) > self._max_bytes:
            return False
        for sha256, freed in idle.items():
            if used <= self._max_bytes and len(self._files) < limits.MAX_UPLOADS:
                break
            self._drop(sha256)
            used -= freed
        return True

    def _drop(self, sha256: str) -> None:
        """OSError where the disk does not let it go: it still takes its space, and counts."""
        folder = self._files[sha256].path.parent
        if folder.exists():
            shutil.rmtree(folder)
        del self._files[sha256]

    def _write(self, source: BinaryIO, sha256: str, name: str, size: int, progress: Progress) -> None:
        """Copy the file into the room that was reserved for it; what is unfinished goes, whatever ends it."""
        folder = upload = None
        try:
            folder = self._root() / sha256
            folder.mkdir()
            _copy(source, folder / name, size, progress)
            upload = Upload(folder / name, size)
        finally:
            if upload is None and folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            with self._changed:
                del self._writing[sha256]
                if upload is not None:
                    self._files[sha256] = upload
                self._changed.notify_all()

    def _root(self) -> Path:
        """The private folder; made at its first use, and again where somebody has removed it."""
        with self._changed:
            if self._folder is None or not self._folder.path.is_dir():
                remove_abandoned()
                self._folder = PrivateFolder()
            return self._folder.path

    def _prefer_published(self, sha256: str, name: str) -> None:
        with self._changed:
            upload = self._files.get(sha256)
            if upload is not None and _is_published(upload.path.with_name(name), sha256):
                self._files[sha256] = replace(upload, path=_named(upload, name))

    def _held(self, sha256: str) -> Upload | None:
        """A file that is there, counted as used; forgotten where somebody has removed it from the disk."""
        upload = self._files.get(sha256)
        if upload is None:
            return None
        if not upload.path.exists():
            self._drop(sha256)
            return None
        self._files.move_to_end(sha256)
        return upload

    def find(self, sha256: str) -> Upload | None:
        """A file that is still held, or None."""
        with self._changed:
            return self._held(sha256)

    def holds(self, sha256: str) -> bool:
        """Whether a file is still held; no use of it."""
        with self._changed:
            return sha256 in self._files and self._files[sha256].path.exists()

    @contextmanager
    def reading(self, sha256: str, name: str) -> Iterator[Path]:
        """Its path, under a name that it once came with, while it is read; CheckpointError if it is gone."""
        with self._changed:
            if (upload := self._held(sha256)) is None:
                raise CheckpointError(GONE)
            with _disk_failures(name):
                path = _named(upload, name)
            self._reading[sha256] += 1
        try:
            yield path
        finally:
            with self._changed:
                self._reading -= Counter([sha256])
                self._changed.notify_all()


def _checked(title: str) -> str:
    """The name that a file came with, without folders. CheckpointError for one that no weight file can have here."""
    name = title.replace("\\", "/").rpartition("/")[2]
    if not has_suffix(name):
        raise CheckpointError(f"the name of a checkpoint must end in {', '.join(SUFFIXES)}; got {name[-80:]!r}.")
    if not name.isprintable():
        raise CheckpointError(f"{name[:80]!r} has characters that cannot be shown: rename the file.")
    if (size := len(os.fsencode(name))) > _LONGEST_NAME:
        limit = f"a file's name may have {_LONGEST_NAME}: rename the file."
        raise CheckpointError(f"the name '{name[:40]}…' has {size} bytes; {limit}")
    return name


@contextmanager
def _disk_failures(name: str) -> Iterator[None]:
    """CheckpointError for what the disk does not do, without a word on where things lie."""
    try:
        yield
    except OSError as error:
        known = os.strerror(error.errno) if error.errno else "the disk failed"  # the error's own words may have a path
        why = "the disk of this server is full" if error.errno in _FULL else known
        advice = "Try again later, or ask whoever runs this server."
        raise CheckpointError(f"{name!r} could not be saved: {why}. {advice}") from error


def _digest(source: BinaryIO, size: int, progress: Progress) -> tuple[str, int]:
    """The sha256 of a file and its bytes, as they are and not as somebody says."""
    digest, done = hashlib.sha256(), 0
    for piece, done in _pieces(source):
        digest.update(piece)
        progress(0.5 * min(done / max(size, 1), 1.0), f"reading the file: {format_bytes(done)} of {format_bytes(size)}")
    return digest.hexdigest(), done


def _copy(source: BinaryIO, target: Path, size: int, progress: Progress) -> None:
    with target.open("xb") as file:
        for piece, done in _pieces(source):
            file.write(piece)
            progress(0.5 + 0.5 * done / size, f"keeping the file: {format_bytes(done)} of {format_bytes(size)}")


def _pieces(source: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """A file's pieces, each with the bytes up to its end."""
    source.seek(0)
    while piece := source.read(_PIECE):
        yield piece, source.tell()


def _named(upload: Upload, name: str) -> Path:
    """The path of a file under another of its names."""
    path = upload.path.with_name(name)
    if not os.path.lexists(path):
        path.symlink_to(os.path.basename(os.path.realpath(upload.path)))
    return path


def _is_published(path: Path, sha256: str) -> bool:
    """Whether weights were published under the name of this file, and can be these bytes."""
    spec = model_of_file(path)
    if spec is None or spec.weights is None:
        return False
    expected = expected_sha256(path, spec.weights)
    return expected is None or expected.allows(sha256)


uploads = once_per_process(lambda: Uploads(limits.CHECKPOINT_BYTES))  # of this server
