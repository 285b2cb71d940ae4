"""The lock that makes a file be downloaded once, whoever wants it at the same time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from vit_engine.progress import Progress
from vit_engine.weights.fetching.failures import disk_failures

STEP = 0.1  # seconds between two words of those who wait


@contextlib.contextmanager
def exclusive(target: Path, progress: Progress) -> Iterator[None]:
    """The lock of a file, among threads and processes; whoever waits for it goes on telling progress.

    The lock's own file, `.NAME.lock`, stays: taking it away would part those who wait from those who come.
    A process that is killed leaves the lock. DiskFailure where the folder cannot be written.
    """
    path = target.with_name(f".{target.name}.lock")
    with disk_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    while not _acquire(lock, path):
        progress(0.0, f"waiting for another download of {target.name}")
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path) -> bool:
    """Whether it was had within STEP seconds."""
    with disk_failures(path):
        try:
            lock.acquire(timeout=STEP, poll_interval=STEP / 4)
        except Timeout:
            return False
    return True
