"""The folder of checkpoints that the server offers: VIT_ENGINE_CHECKPOINTS. Nothing outside it is ever opened.

Names are relative paths with forward slashes, as they stand in links. What may be opened is what the listing offers:
both ask the same functions. Only the listing's length is no limit to links.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath

from dashboard.services import limits
from dashboard.services.checkpoints.names import Name, has_suffix, parse
from vit_engine import CheckpointError
from vit_engine.analysis.comparison import FILE_PREFIX

VARIABLE = "VIT_ENGINE_CHECKPOINTS"
_HUB = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)")  # read with configurations, index, shards
_BESIDE = (".json", ".safetensors", ".bin")
_SHOWN_IN_ERRORS = 80  # characters of a name that a link asks for

# Why something is not offered, as it stands after "left out:" and after "there is no checkpoint 'x':".
HIDDEN = "hidden"
UNPRINTABLE = "name with a backslash, or with characters that cannot be shown"
AMBIGUOUS = "ambiguous name"
NOT_ORDINARY = "no ordinary file"
NOT_READABLE = "no permission to read it"
STRAY_LINK = "link that leads nowhere, or out of the folder"
FOLDER_LINK = "link to a folder"
TOO_DEEP = "too many folders below each other"
OF_A_MODEL_FOLDER = "part of a model folder, which is opened as a whole"
NO_WEIGHTS = "no weight file, and no folder with a config.json and weights"
ABSENT = "absent"  # goes without saying

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Listing:
    """Names of checkpoints, files and folders with a config.json."""

    names: tuple[str, ...]
    folder: str = ""  # what the folder itself is called; empty where none is configured
    cut: bool = False  # whether there are more than are listed
    left_out: tuple[tuple[str, int], ...] = ()  # why what looks like a checkpoint is not offered, and how many times


def checkpoint_folder() -> Path | None:
    """The configured folder, resolved; None where none is configured. CheckpointError where it is no folder."""
    configured = os.environ.get(VARIABLE)
    if not configured:
        return None
    try:
        folder = os.path.realpath(os.path.expanduser(configured))
    except OSError:  # a relative one, and the server's own working folder is gone
        folder = ""
    if not os.path.isdir(folder):
        advice = "Whoever runs this server can bring it back, or name another and start the server again."
        raise CheckpointError(f"{VARIABLE} must name a folder; what it names is none, or is no longer there. {advice}")
    return Path(folder)


def list_checkpoints() -> Listing:
    """What the folder offers, sorted; nothing where none is configured."""
    root = checkpoint_folder()
    if root is None:
        return Listing(())
    walk = _Walk(str(root))
    walk.visit("", limits.MAX_DEPTH)
    names, cut = walk.names[: limits.MAX_FILES], walk.cut or len(walk.names) > limits.MAX_FILES
    left_out = tuple(sorted(walk.left_out.items()))
    return Listing(tuple(sorted(names, key=_as_people_count)), root.name or str(root), cut, left_out)


def _as_people_count(name: str) -> list[tuple[int, str]]:
    """9 before 10."""
    return [(len(part), part) if part.isdigit() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


@dataclass
class _Walk:
    """One walk through the folder, until a name more than are listed is found, or so many entries were seen."""

    root: str
    names: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    cut: bool = False
    seen: int = 0

    def visit(self, folder: str, depth: int) -> None:
        """Take in what is below a folder, a relative name or "" for the root, and so many folders below that."""
        entries = self._entries(os.path.join(self.root, folder))
        if _is_model_folder(entries):
            self._take(folder or ".", _fault_of_folder(entries, self.root))
            return
        beside = _fault_of_folder(entries, self.root, endings=_BESIDE)
        for entry in entries:
            if len(self.names) > limits.MAX_FILES:
                return
            self._look_at(entry, f"{folder}/{entry.name}" if folder else entry.name, depth, beside)

    def _look_at(self, entry: os.DirEntry, name: str, depth: int, beside: str) -> None:
        is_folder = _is_folder(entry)
        if not is_folder and not has_suffix(entry.name):
            return
        if fault := _fault_of_name(entry.name):
            self._take(name, fault)
        elif not is_folder:
            self._take(name, _fault_of_ending(name) or _fault_of_file(entry.path, self.root, beside))
        elif entry.is_symlink():
            self._take(name, FOLDER_LINK)
        elif depth:
            self.visit(name, depth - 1)

    def _entries(self, path: str) -> list[os.DirEntry]:
        """What is in a folder, as far as the walk may still look, by name; nothing where it cannot be read."""
        most = limits.MAX_ENTRIES - self.seen
        entries = _scan(path, most) if most else []
        if entries is None:
            self.left_out[NOT_READABLE] += 1
            return []
        self.seen += len(entries)
        self.cut = self.cut or len(entries) == most
        return entries

    def _take(self, name: str, fault: str) -> None:
        fault = fault or _fault_of_ending(name)
        if not fault:
            self.names.append(name)
        elif fault != HIDDEN:  # which is meant so: nobody needs to hear of it
            self.left_out[fault] += 1


def find_checkpoint(name: str) -> Path:
    """The path of a checkpoint by its name; CheckpointError, with the reason, for what the listing does not offer."""
    root = checkpoint_folder()
    if root is None:
        raise CheckpointError(f"no folder of checkpoints is configured here: set {VARIABLE} and start the server.")
    if fault := _fault(name, str(root)):
        shown = repr(name if len(name) <= _SHOWN_IN_ERRORS else f"{name[:_SHOWN_IN_ERRORS]}…")
        why = "" if fault == ABSENT else f": {fault}"
        raise CheckpointError(f"there is no checkpoint {shown} in the folder of this server{why}.")
    return root / name


def _fault(name: str, root: str) -> str:
    """Why a name is not offered; empty for one that is."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or str(pure) != name:
        return ABSENT
    above = (_fault_above(os.path.join(root, folder)) for folder in reversed(pure.parents))
    return (
        next(filter(None, map(_fault_of_name, pure.parts)), "")
        or _fault_of_ending(name)
        or next(filter(None, above), "")
        or _fault_of_last(os.path.join(root, name), root, len(pure.parts))
    )


def _fault_above(folder: str) -> str:
    """What is wrong with one of the folders above."""
    if os.path.islink(folder):
        return FOLDER_LINK
    is_model = os.path.isfile(os.path.join(folder, "config.json")) and _is_model_folder(_scan(folder) or [])
    return OF_A_MODEL_FOLDER if is_model else ""


def _fault_of_last(path: str, root: str, depth: int) -> str:
    is_folder = os.path.isdir(path)
    if depth - (not is_folder) > limits.MAX_DEPTH:
        return TOO_DEEP
    if is_folder and os.path.islink(path):
        return FOLDER_LINK
    if is_folder:
        entries = _scan(path) or []
        return _fault_of_folder(entries, root) if _is_model_folder(entries) else NO_WEIGHTS
    if not os.path.lexists(path):
        return ABSENT
    entries = (_scan(os.path.dirname(path)) or []) if _HUB.fullmatch(os.path.basename(path)) else []
    beside = _fault_of_folder(entries, root, endings=_BESIDE)
    return _fault_of_file(path, root, beside) if has_suffix(path) else NO_WEIGHTS


def _fault_of_name(name: str) -> str:
    """What is wrong with the name of a file or a folder, by itself."""
    if name.startswith("."):
        return HIDDEN
    return "" if name.isprintable() and "\\" not in name else UNPRINTABLE  # bytes that are no UTF-8 are not printable


def _fault_of_ending(name: str) -> str:
    """A name that would be taken apart as another one, in links."""
    return "" if parse(FILE_PREFIX + name) == Name(FILE_PREFIX, name) else AMBIGUOUS


def _fault_of_file(path: str, root: str, beside: str) -> str:
    """What is wrong with a file, without opening it, as a pipe would never answer.

    beside: what is wrong with the folder around it, if it is one of a hub's files.
    """
    if os.path.islink(path) and not _is_inside(path, root):
        return STRAY_LINK
    if not os.path.isfile(path):
        return STRAY_LINK if os.path.islink(path) and not os.path.exists(path) else NOT_ORDINARY
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        return NOT_READABLE
    return beside if _HUB.fullmatch(os.path.basename(path)) else ""


def _fault_of_folder(entries: Sequence[os.DirEntry], root: str, *, endings: tuple[str, ...] = ("",)) -> str:
    """Whether all that would be read in a folder lies in the root, once links are followed."""
    links = (entry for entry in entries if entry.is_symlink() and entry.name.endswith(endings))
    return "" if all(_is_inside(link.path, root) for link in links if os.path.isfile(link.path)) else STRAY_LINK


def _is_model_folder(entries: Sequence[os.DirEntry]) -> bool:
    """Whether a folder with these entries is a model as Hugging Face saves it: a config.json and weights."""
    files = (entry for entry in entries if entry.name.endswith((".safetensors", ".bin")))
    configured = any(entry.name == "config.json" and os.path.isfile(entry.path) for entry in entries)
    return configured and any(os.path.isfile(entry.path) for entry in files)


def _is_folder(entry: os.DirEntry) -> bool:
    """Unlike entry.is_dir(), no error for links in a circle."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir(follow_symlinks=False)


def _scan(path: str, most: int = limits.MAX_ENTRIES) -> list[os.DirEntry] | None:
    """At most so many entries of a folder, by name; None where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(islice(entries, most), key=lambda entry: entry.name)
    except OSError:
        return None


def _is_inside(path: str, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _files(path: Path) -> list[Path]:
    """All that is read of a checkpoint."""
    if path.is_dir():
        return sorted(filter(Path.is_file, path.iterdir()))
    beside = [each for each in path.parent.iterdir() if each.suffix in _BESIDE] if _HUB.fullmatch(path.name) else []
    return [path, *sorted(each for each in beside if each != path and each.is_file())]


def stamp(path: Path) -> Stamp:
    """Name, time in ns and size of every file that is read of a checkpoint; CheckpointError where one has just gone."""
    try:
        stats = [(file.name, file.stat()) for file in _files(path)]
    except OSError as error:
        raise CheckpointError(f"{path.name!r} cannot be read: {os.strerror(error.errno or 0)}.") from error
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
