"""Why a download did not come to its end; download() makes them a DownloadError."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


class Failure(Exception):  # noqa: N818
    """An address does not give the file, another one may: why, without a full stop. status: of HTTP, if that was it."""

    def __init__(self, reason: str, *, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Broken(Failure):
    """No answer, or one that ended too early; what has come stays, and the rest may be asked for."""


class DiskFailure(Failure):
    """The disk is full, or the folder cannot be written, wherever the file comes from."""


@contextlib.contextmanager
def disk_failures(path: Path) -> Iterator[None]:
    """What the disk refuses, in words."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFailure(
                f"the disk is full: {error.strerror}, {path}. Free some of {path.parent}, or set VIT_ENGINE_HOME to a "
                "folder on another disk; where the server allows it, the next download goes on from what has come"
            ) from error
        raise DiskFailure(f"{error.filename or path}: {error.strerror or error}") from error
