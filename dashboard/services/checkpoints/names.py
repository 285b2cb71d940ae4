"""Names of models from files, as they stand in links.

"file:run1/last.pth" is from the folder of checkpoints, "upload:SHA256" was uploaded, "hf:org/name@COMMIT" is in the
cache of the Hugging Face hub. "#student" names a part of the file, where it has several; "@6" the number of heads,
where nothing in the file says it and its user did.
"""

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dashboard.links.selection import OWN_PREFIXES
from dashboard.services.checkpoints.series import Place, place
from vit_engine import CheckpointError
from vit_engine.analysis.comparison import FILE_PREFIX
from vit_engine.weights.fetching.hub import HUB_PREFIX
from vit_engine.weights.reading.folder import SUFFIXES

_PREFIX = "|".join(OWN_PREFIXES)
_NAME = re.compile(rf"(?P<prefix>{_PREFIX})(?P<what>.+?)(?P<part>#[^#/@]+)?(?:@(?P<heads>[0-9]{{1,4}}))?", re.DOTALL)


def has_suffix(name: str) -> bool:
    """Whether a file of this name, in capitals or not, may hold weights."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


class Name(NamedTuple):
    """A name, taken apart."""

    prefix: str
    what: str  # a relative name, a sha256, or a name on the hub and its commit
    part: str = ""  # "" for none named
    heads: int | None = None

    @property
    def text(self) -> str:
        part = f"#{self.part}" if self.part else ""
        return f"{self.prefix}{self.what}{part}{'' if self.heads is None else f'@{self.heads}'}"

    @property
    def in_folder(self) -> bool:
        """Whether it is from the folder of checkpoints."""
        return self.prefix == FILE_PREFIX

    @property
    def on_hub(self) -> bool:
        """Whether it is from the Hugging Face hub."""
        return self.prefix == HUB_PREFIX

    @property
    def place(self) -> Place | None:
        """Where the file stands in a series; None for one that is in none."""
        return place(self.what) if self.in_folder else None

    def source(self, path: Path) -> str:
        """The file at this path, and which part of it, as the engine takes them."""
        return f"{path}#{self.part}" if self.part else str(path)


def parse(name: str) -> Name | None:
    """A name taken apart; None for models that are no files."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    prefix, what, part = found["prefix"], found["what"], found["part"] or ""
    if part.lower().endswith(SUFFIXES) or (part and prefix == FILE_PREFIX and not has_suffix(what)):
        what, part = what + part, ""  # a file's own name may have a "#"
    heads = found["heads"]
    if heads and prefix == HUB_PREFIX and "@" not in what:
        what, heads = f"{what}@{heads}", None  # a revision: heads come after a commit
    return Name(prefix, what, part[1:], int(heads) if heads else None)


def taken_apart(name: str) -> Name:
    """A file's name taken apart; CheckpointError for models that are no files."""
    parts = parse(name)
    if parts is None:
        raise CheckpointError(f"{name!r} is no file's name.")
    return parts


def with_heads(name: str, heads: int | None) -> str:
    """The same part of the same file with so many heads; None for those that the file says."""
    return taken_apart(name)._replace(heads=heads).text


def with_part(name: str, part: str) -> str:
    """Another part of the same file, whose heads nobody has said yet."""
    return taken_apart(name)._replace(part=part, heads=None).text
