"""What Linux's control groups leave this process: the limits of containers and services, which `free` does not know.

Version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory. Version 1: cgroup-v1/memory.html there.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # bytes; version 1 writes the largest whole number of pages for "none"


# Of each version, the files of limit and usage, and lines of memory.stat: what the kernel takes back before it kills.
_Names = tuple[str, str, tuple[str, ...]]
_V2: _Names = ("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable"))
_V1: _Names = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))


def cgroup_free(*, proc: Path = PROC, mount: Path = MOUNT) -> int | None:
    """Bytes that this process's groups and all their parents leave; None where nothing limits them.

    proc: the list of groups that this process is in. mount: where the file system of groups is.
    A parent may be stricter than its child. Inside a container the path may name folders that only
    the host sees; then the folders that are there, the root at least, hold the container's limit.
    """
    left = [
        free
        for names, root, path in _hierarchies(proc, mount)
        for folder in (path, *path.parents)
        if (free := _free(root / folder, names)) is not None
    ]
    return min(left, default=None)


def _hierarchies(proc: Path, mount: Path) -> Iterator[tuple[_Names, Path, PurePosixPath]]:
    """Of every hierarchy that counts memory: its files' names, its root, and this process's group under it."""
    for line in _read(proc).splitlines():
        _, controllers, path = line.split(":", 2)
        group = PurePosixPath(*(part for part in path.split("/") if part not in {"", ".", ".."}))
        if not controllers:
            yield _V2, mount, group
        elif "memory" in controllers.split(","):
            yield _V1, mount / "memory", group


def _free(folder: Path, names: _Names) -> int | None:
    """What one group leaves, at least 0; None where it has no limit, or where its files are not there."""
    limit_file, usage_file, cached = names
    limit, usage = (_read(folder / file).strip() for file in (limit_file, usage_file))
    if not limit.isdecimal() or not usage.isdecimal() or int(limit) >= _NO_LIMIT:
        return None
    counts = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines())
    return max(0, int(limit) - int(usage) + sum(int(counts.get(name, 0)) for name in cached))


def _read(file: Path) -> str:
    """The text of a file; empty where there is none, or none that this process may read."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
