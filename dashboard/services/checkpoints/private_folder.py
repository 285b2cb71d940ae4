"""A folder of this process alone, in the system's temporary folder, that goes with the process.

A process that is killed leaves its folder behind: the next one removes it. Folders in use are locked, and the system
drops a lock with its process, however that ends. (systemd-tmpfiles leaves locked folders alone, too.)
"""

import os
import re
import shutil
import stat
import tempfile
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: folders are neither locked nor swept
    fcntl = None  # type: ignore[assignment]

PREFIX = "vit-checkpoints-"
_OURS = re.compile(PREFIX + r"[a-z0-9_]{8}")  # as mkdtemp() names folders
_CONTENT = re.compile(r"[0-9a-f]{64}|tmp[a-z0-9_]{8}")  # uploads by sha256, and files that mkstemp() names


class PrivateFolder:
    """A new folder that only this user can enter, locked as long as it is held."""

    def __init__(self) -> None:
        self.path, lock = Path(tempfile.mkdtemp(prefix=PREFIX)), None
        while fcntl is not None and (lock := _hold(self.path)) is None:  # another process was quicker to lock it
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.remove = weakref.finalize(self, _remove, self.path, lock, os.getpid())


def _remove(path: Path, lock: int | None, process: int) -> None:
    if os.getpid() != process:  # a fork has the parent's finalizers
        return
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def remove_abandoned() -> None:
    """Remove the folders of processes that were killed: this user's, of this make, and locked by nobody."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):  # none where it is open for writing alone
        lock = _hold(path) if fcntl is not None and _OURS.fullmatch(path.name) else None
        if lock is not None:
            if _is_ours(path, lock):
                shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _hold(path: Path) -> int | None:
    """The descriptor that locks a folder from now on; None where another has it, or it is no folder any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone, a link, another user's: not ours
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return descriptor
    except OSError:  # locked, or just removed by whoever had the lock
        pass
    os.close(descriptor)
    return None


def _is_ours(path: Path, descriptor: int) -> bool:
    """Whether a folder is one that this user's server made: nobody else's, and nothing else in it."""
    status = os.fstat(descriptor)
    private = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == stat.S_IRWXU
    return private and all(_CONTENT.fullmatch(name) for name in os.listdir(path))
