"""A model on the hub: which files it is made of, and what is known of it without its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.fetching.hub.names import HubName
from vit_engine.weights.reading.folder import NAMES, OPEN_CLIP


@dataclass(frozen=True)
class HubFile:
    """One file of a model: its name in the repository, and its size in bytes."""

    name: str
    size: int
    sha256: str = ""  # as the hub says; empty for small files, which it keeps in Git itself
    path: Path | None = None  # in the hub's cache; None where it is not there


@dataclass(frozen=True)
class HubModel:
    """A model on the hub at one commit, and the files of it that are read."""

    name: HubName  # as it was asked for, with the repository's own spelling
    commit: str  # 40 hex digits
    kind: str  # the model type of transformers, or the architecture of timm; empty where nothing says it
    main: str  # the name of the weight file, or of the index of its shards
    files: tuple[HubFile, ...]
    config: Mapping[str, Any] = field(default_factory=dict)  # of its config.json
    licence: str = ""  # as its model card says; empty where it does not, or the hub was not asked
    gated: bool = False  # whether its owner grants access

    @property
    def source(self) -> str:
        """The name under which these very files are found again, "hf:org/name@commit"."""
        return HubName(self.name.repo, self.commit).text

    @property
    def pinned(self) -> str:
        """source, with the part that was asked for."""
        return HubName(self.name.repo, self.commit, self.name.part).text

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def path(self) -> Path:
        """What read_checkpoint() takes, once nothing is missing: a file with the hub's name, or the folder."""
        main = next(file.path for file in self.files if file.name == self.main)
        if main is None:
            raise CheckpointError(f"{self.source} is not in the hub's cache. Fetch it first.")
        return main if self.main in {*NAMES, *OPEN_CLIP} or "/" in self.main else main.parent

    @property
    def missing(self) -> tuple[HubFile, ...]:
        """Files that are to be fetched."""
        return tuple(file for file in self.files if file.path is None)
