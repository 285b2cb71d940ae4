"""Uploaded checkpoints: files in a private folder on disk, bounded in bytes, gone when the server ends."""

import hashlib
import shutil
import tempfile
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dashboard.jobs import Progress
from dashboard.services import limits
from dashboard.services.folder import SUFFIXES
from dashboard.services.process import once_per_process
from vit_engine import CheckpointError
from vit_engine.planning import in_words

_PIECE = 1 << 22


@dataclass(frozen=True)
class Upload:
    """A file that was uploaded: where it is, under the name that it came with, and its bytes."""

    path: Path
    size: int


class Uploads:
    """Files by sha256, the least recently used out first."""

    def __init__(self, max_bytes: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="vit-checkpoints-"))  # for this user alone
        self._max_bytes = max_bytes
        self._files: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def close(self) -> None:
        """Remove all files; at the latest this happens when the process ends, unless a signal ends it."""
        self._remove()

    def keep(self, source: BinaryIO, *, title: str, size: int, progress: Progress) -> str:
        """Copy a file piece by piece; returns its sha256. CheckpointError for one that is too large or of no kind.

        Its name stays: weights that were published are known by it.
        """
        name = Path(title.replace("\\", "/")).name
        if Path(name).suffix.lower() not in SUFFIXES:
            raise CheckpointError(f"the name of a checkpoint must end in {', '.join(SUFFIXES)}; got {name!r}.")
        if size > self._max_bytes:
            raise CheckpointError(
                f"{name!r} has {in_words(size)}, and {in_words(self._max_bytes)} of uploaded checkpoints are kept "
                "here: put it into the server's folder of checkpoints, or raise VIT_DASHBOARD_CHECKPOINT_BYTES."
            )
        part = Path(tempfile.mkstemp(dir=self._folder)[1])
        try:
            sha256 = _copy(source, part, size, progress)
            self._take(sha256, Upload(self._folder / sha256 / name, size), part)
        finally:
            part.unlink(missing_ok=True)
        return sha256

    def _take(self, sha256: str, upload: Upload, part: Path) -> None:
        with self._lock:
            self._drop(sha256)
            while self._files and sum(file.size for file in self._files.values()) + upload.size > self._max_bytes:
                self._drop(next(iter(self._files)))
            upload.path.parent.mkdir()
            part.replace(upload.path)
            self._files[sha256] = upload

    def _drop(self, sha256: str) -> None:
        if self._files.pop(sha256, None) is not None:
            shutil.rmtree(self._folder / sha256)

    def find(self, sha256: str) -> Upload | None:
        """A file that is still held, or None."""
        with self._lock:
            if sha256 in self._files:
                self._files.move_to_end(sha256)
            return self._files.get(sha256)

    def holds(self, sha256: str) -> bool:
        """Whether a file is still held; no use of it."""
        with self._lock:
            return sha256 in self._files


def _copy(source: BinaryIO, target: Path, size: int, progress: Progress) -> str:
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
            done += len(piece)
            progress(done / max(size, 1), f"keeping the file: {in_words(done)} of {in_words(size)}")
    return digest.hexdigest()


@once_per_process
def uploads() -> Uploads:
    """Of this server."""
    return Uploads(limits.CHECKPOINT_BYTES)


def close_uploads() -> None:
    """Remove all uploaded checkpoints of this server: it ends."""
    uploads().close()
