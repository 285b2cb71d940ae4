"""Names on the Hugging Face hub: "org/name", "org/name@revision", "hf:org/name@revision#part"."""

import os
import re
from pathlib import PurePath
from typing import NamedTuple

from vit_engine.errors import SpecError
from vit_engine.weights.reading.folder import SUFFIXES
from vit_engine.weights.reading.listing import shorten

HUB_PREFIX = "hf:"
_FILES = (*SUFFIXES, ".pkl", ".npz", ".h5", ".json", ".distcp")  # "run/last.pth" is a file that is not there
# What Git allows in the name of a branch or tag, as far as it can be written in a pane: no colon, no space.
_REVISION = re.compile(r"(?!/)(?!.*(\.\.|//|@\{))[\w./+-]{1,200}(?<![/.])", re.ASCII)
_ADDRESS = re.compile(r"(?i)\w{2,}://|hf[-_]hub:")  # of a web page; what timm writes before a name
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubName(NamedTuple):
    """A name taken apart."""

    repo: str  # "org/name"; a few old models are "name"
    revision: str = ""  # a branch, a tag or a commit; empty for the default branch
    part: str = ""  # of the file, as after '#' in a path
    explicit: bool = True  # whether it begins with "hf:", so that no file can be meant

    @property
    def text(self) -> str:
        """As it may be written anywhere, "hf:org/name@revision#part"."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{HUB_PREFIX}{self.repo}{revision}{f'#{self.part}' if self.part else ''}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, of which the files never change."""
        return _COMMIT.fullmatch(self.revision) is not None


def hub_name(text: str) -> HubName | None:
    """A name on the hub, taken apart; None for what is none.

    "hf:…" always is one, and SpecError where it cannot be, or for an address ("https://…"). "org/name" is one unless
    it is written as a path or as a weight file, or something of that name is here.
    """
    if _ADDRESS.match(text):
        raise SpecError(
            f"{shorten(text)!r} is an address, and no name or path. For a model on the Hugging Face hub write "
            "hf:ORG/NAME; what is elsewhere, download, and pass its path."
        )
    explicit = text.startswith(HUB_PREFIX)
    whole, _, part = text.removeprefix(HUB_PREFIX).partition("#")
    repo, mark, revision = whole.partition("@")
    if not explicit and (repo.count("/") != 1 or PurePath(repo).suffix.lower() in _FILES):
        return None
    problem = _problem(repo, revision, given=bool(mark))
    if explicit and problem:
        raise SpecError(
            f"{shorten(text)!r} names no model on the Hugging Face hub: {problem}. Write hf:ORG/NAME, "
            "hf:ORG/NAME@REVISION or hf:ORG/NAME#PART."
        )
    if not explicit and (problem or os.path.lexists(whole)):
        return None
    return HubName(repo, revision, part, explicit)


def _problem(repo: str, revision: str, *, given: bool) -> str:
    """Why these are no repository and no revision, without a full stop; empty where they can be."""
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415  (slow to import, and few names need it)
    from huggingface_hub.utils._validators import validate_repo_id  # noqa: PLC0415

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        return shorten(str(error).partition(" Use `repo_type`")[0].rstrip("."), 300)
    if given and not _REVISION.fullmatch(revision):
        return f"{shorten(revision)!r} is no branch, tag or commit"
    return ""
