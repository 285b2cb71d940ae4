"""What has come of a file that is being downloaded: its bytes, and a note of which file they are of.

They are `.NAME.part` and `.NAME.part.json` beside the target, so that whoever wants the file next goes on
from there. Only who holds the file's lock, `.NAME.lock`, may touch them.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from vit_engine.progress import Progress
from vit_engine.weights.fetching.connection import PIECE, Failure

STEP = 0.1  # seconds between two words of those who wait


class DiskFailure(Failure):
    """The disk is full, or the folder cannot be written, wherever the file comes from."""


@contextlib.contextmanager
def disk_failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFailure(
                f"the disk is full: {error.strerror}, {path}. Free some of {path.parent}, or set VIT_ENGINE_HOME to a "
                "folder on another disk; where the server allows it, the next download goes on from what has come"
            ) from error
        raise DiskFailure(f"{error.filename or path}: {error.strerror or error}") from error


@dataclass(frozen=True)
class PartialInfo:
    """Which file a part is of."""

    url: str
    validator: str | None  # the server's name for its version
    total: int | None  # bytes, if known


class Partial:
    """A file's part; what the disk refuses is a DiskFailure."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")
        self.came = 0  # bytes that this object has appended
        self._hash, self._hashed = hashlib.sha256(), 0  # of the first so many bytes

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def info(self) -> PartialInfo | None:
        """What the part is of; None where there is none, or nothing tells its version."""
        try:
            info = PartialInfo(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # not there, or its writer was killed
            return None
        return info if self.size and info.validator else None

    def begin(self, info: PartialInfo) -> None:
        """Empty, and of this file from now on."""
        with disk_failures(self.path):
            self.path.write_bytes(b"")  # before the note, which must never be of another file than the bytes
            self._note.write_text(json.dumps(asdict(info)), encoding="utf-8")
        self._hash, self._hashed = hashlib.sha256(), 0

    def check_room(self, size: int | None) -> None:
        """DiskFailure unless the disk has room for so many more bytes."""
        with disk_failures(self.path):
            free = shutil.disk_usage(self.path.parent).free
        if size is not None and size > free:
            raise DiskFailure(
                f"the disk is full: {size / 1e6:,.0f} MB are needed in {self.path.parent} and {free / 1e6:,.0f} MB are "
                "free. Free some, or set VIT_ENGINE_HOME to a folder on another disk"
            )

    def open(self) -> io.FileIO:
        """The part, to append to; unbuffered, so that what has come is there if the process is killed."""
        with disk_failures(self.path):
            return self.path.open("ab", buffering=0)

    def append(self, file: io.FileIO, piece: bytes) -> None:
        rest = memoryview(piece)
        with disk_failures(self.path):
            while rest:
                rest = rest[file.write(rest) :]
        self._hash.update(piece)
        self._hashed += len(piece)
        self.came += len(piece)

    @property
    def share(self) -> float:
        """How much of the file is here, 0..1; 0 where its size is not known."""
        info = self.info()
        return min(self.size / info.total, 1.0) if info and info.total else 0.0

    def sha256(self, progress: Progress) -> str:
        """Of all bytes that are here; those that an earlier process has left are read for it."""
        size = self.size
        if self._hashed != size:
            self._hash, self._hashed = hashlib.sha256(), 0
            for piece in _pieces(self.path):
                self._hash.update(piece)
                self._hashed += len(piece)
                megabytes = f"{self._hashed / 1e6:.0f} of {size / 1e6:.0f} MB"
                progress(0.0, f"reading what is here of {self.target.name}: {megabytes}")
        return self._hash.hexdigest()

    def finish(self) -> None:
        with disk_failures(self.path):
            os.replace(self.path, self.target)

    def remove(self) -> None:
        with disk_failures(self.path):
            self.path.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Take away what nobody could go on with."""
        if self.info() is None:
            with contextlib.suppress(DiskFailure):  # the error that is told is the one before
                self.remove()


def _pieces(path: Path) -> Iterator[bytes]:
    with disk_failures(path), path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


@contextlib.contextmanager
def exclusive(target: Path, progress: Progress, *, lock: Path | None = None) -> Iterator[None]:
    """The lock of a file, among threads and processes; whoever waits for it goes on telling progress.

    lock: its path, where other programs take the same one.
    """
    # Its own file stays: taking it away would part those who wait from those who come.
    path = lock or target.with_name(f".{target.name}.lock")
    with disk_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(path)
    while True:
        with disk_failures(path), contextlib.suppress(Timeout):
            held.acquire(timeout=STEP, poll_interval=STEP / 4)
            break
        progress(0.0, f"waiting for another download of {target.name}")
    try:
        yield
    finally:
        held.release()
