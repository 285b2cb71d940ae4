"""The folder of checkpoints that the server offers: VIT_ENGINE_CHECKPOINTS. Nothing outside it is ever opened.

Names are relative paths with forward slashes, as they stand in links.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dashboard.services import limits
from vit_engine import CheckpointError

VARIABLE = "VIT_ENGINE_CHECKPOINTS"
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt", ".tar")
_HUB = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)")  # read with configurations, index, shards
_BESIDE = (".json", ".safetensors", ".bin")
_LIKE_HEADS = re.compile(r"@\d+$")  # the end of a model's name that says its heads; no file may look like it

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Listing:
    """Names of checkpoints, files and folders with a config.json. cut: whether there are more than are listed."""

    names: tuple[str, ...]
    cut: bool = False


def checkpoint_folder() -> Path | None:
    """The configured folder, resolved; None where none is configured. CheckpointError where it is no folder."""
    configured = os.environ.get(VARIABLE)
    if not configured:
        return None
    folder = Path(configured).expanduser().resolve()
    if not folder.is_dir():
        raise CheckpointError(f"{VARIABLE} must name a folder, and there is none. Set it again and start the server.")
    return folder


def list_checkpoints() -> Listing:
    """What the folder offers, sorted; nothing where none is configured."""
    root = checkpoint_folder()
    if root is None:
        return Listing(())
    names: list[str] = []
    for name in _walk(root, root, limits.MAX_DEPTH):
        if len(names) == limits.MAX_FILES:
            return Listing(_sorted(names), cut=True)
        names.append(name)
    return Listing(_sorted(names))


def _sorted(names: list[str]) -> tuple[str, ...]:
    """As people count: 9 before 10."""
    return tuple(sorted(names, key=lambda name: [(len(part), part) if part.isdigit() else (0, part.lower())
                                                 for part in re.split(r"(\d+)", name)]))  # fmt: skip


def _walk(root: Path, folder: Path, depth: int) -> Iterator[str]:
    """Names below a folder; links to folders are not followed, and links out of the root are left out."""
    if _is_model_folder(folder):
        if _stays_inside(folder, root):
            yield folder.relative_to(root).as_posix()
        return
    for entry in _entries(folder):
        if entry.is_dir():
            if depth and not entry.is_symlink():
                yield from _walk(root, entry, depth - 1)
        elif _is_offered(entry) and _stays_inside(entry, root):
            yield entry.relative_to(root).as_posix()


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, but for what is hidden, unreadable, or named like a number of heads."""
    try:
        entries = sorted(folder.iterdir())
    except PermissionError:
        return []
    return [entry for entry in entries if not entry.name.startswith(".") and not _LIKE_HEADS.search(entry.name)]


def _is_model_folder(folder: Path) -> bool:
    """Whether a folder is a model as Hugging Face saves it: a config.json and weights."""
    weights = (one for pattern in ("*.safetensors", "*.bin") for one in folder.glob(pattern))
    return (folder / "config.json").is_file() and any(weights)


def find_checkpoint(name: str) -> Path:
    """The path of a checkpoint by its name; CheckpointError for what is not there, and for any way out."""
    root = checkpoint_folder()
    if root is None:
        raise CheckpointError(f"no folder of checkpoints is configured here: set {VARIABLE} and start the server.")
    pure = PurePosixPath(name)
    odd = pure.is_absolute() or ".." in pure.parts or "\0" in name or "\\" in name or str(pure) != name
    path = root / pure
    if odd or not _is_offered(path) or not _stays_inside(path, root):
        raise CheckpointError(f"there is no checkpoint {name!r} in the folder of this server.")
    return path


def _is_offered(path: Path) -> bool:
    if os.path.isdir(path):  # unlike path.is_dir(), no error for a name of any length
        return _is_model_folder(path)
    return path.suffix in SUFFIXES and os.path.isfile(path)


def _stays_inside(path: Path, root: Path) -> bool:
    """Whether a checkpoint and all that would be read with it lie in the root once links are followed."""
    return all(Path(os.path.realpath(one)).is_relative_to(root) for one in (path, *_read_with(path)))


def _read_with(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.iterdir() if one.is_file())
    if not _HUB.fullmatch(path.name):
        return []
    others = (one for one in path.parent.iterdir() if one.suffix in _BESIDE and one != path)
    return sorted(one for one in others if one.is_file())


def stamp(path: Path) -> Stamp:
    """What changes when a checkpoint does: name, time in ns and size of every file that is read."""
    files = _read_with(path) if path.is_dir() else [path, *_read_with(path)]
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
