"""What a model on the hub is: its commit, its configuration and its files, without its weights."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi, ModelInfo, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import LocalEntryNotFoundError

from vit_engine.errors import CheckpointError, DownloadError
from vit_engine.weights.fetching.hub.choice import CONFIGURATIONS, FIRST_CHOICE, IncompleteError, beside, main_file
from vit_engine.weights.fetching.hub.errors import LOG_IN, Unreachable, hub_errors, unreachable
from vit_engine.weights.fetching.hub.kind import model_kind
from vit_engine.weights.fetching.hub.model import HubFile, HubModel
from vit_engine.weights.fetching.hub.names import HubName
from vit_engine.weights.reading.folder import CONFIG, LARGEST_JSON, OPEN_CLIP, OPEN_CLIP_CONFIG, read_index, read_json

_INDEX = ".index.json"  # ends the names of files that name shards


@dataclass(frozen=True)
class _Repository:
    """The files of a repository at a commit, and how a small one is brought here."""

    name: HubName
    commit: str
    files: Mapping[str, HubFile]
    get: Callable[[str], Path]
    licence: str = ""
    gated: bool = False

    def json(self, name: str) -> Mapping[str, Any]:
        """A configuration; empty where there is none."""
        return read_json(self.small(name)) if name in self.files else {}

    def small(self, name: str) -> Path:
        if self.files[name].size > LARGEST_JSON:
            raise CheckpointError(
                f"{name} of {self.name.text} has {self.files[name].size:,} bytes; a configuration has at most "
                f"{LARGEST_JSON:,}. Choose another model."
            )
        return self.get(name)


def describe(name: HubName) -> HubModel:
    """describe_hub_model()."""
    # Of a commit nothing changes, and nothing that the hub may have beside it would be taken in its place.
    if name.pinned and (local := in_cache(name)) is not None and local.main in FIRST_CHOICE:
        return local
    try:
        with hub_errors(name):
            return _model(_on_hub(name))
    except Unreachable as error:
        if (local := in_cache(name)) is None:
            raise unreachable(name, str(error)) from error
        return local


def _on_hub(name: HubName) -> _Repository:
    info = _info(name)
    if info.sha is None:
        raise CheckpointError(f"the hub at {constants.ENDPOINT} does not say which commit {name.text} is. Try again.")
    repo, commit = info.id, info.sha  # a model that was renamed is found under its old name
    files = {}
    for sibling in info.siblings or ():
        if not _is_relative(sibling.rfilename):  # nothing that is read here is called so, and no cache takes it
            continue
        cached = try_to_load_from_cache(repo, sibling.rfilename, revision=commit)
        files[sibling.rfilename] = HubFile(
            sibling.rfilename,
            sibling.size or 0,
            sibling.lfs.sha256 if sibling.lfs else "",
            Path(cached) if isinstance(cached, str) else None,
        )
    licence = info.card_data.get("license_name") or info.card_data.get("license") if info.card_data else ""

    def get(file: str) -> Path:
        return Path(hf_hub_download(repo, file, revision=commit, tqdm_class=cast(Any, _Silent)))

    return _Repository(name._replace(repo=repo), commit, files, get, str(licence or ""), bool(info.gated))


def _info(name: HubName) -> ModelInfo:
    try:
        return HfApi().model_info(
            name.repo, revision=name.revision or None, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
    except UnicodeEncodeError as error:  # of HTTP's headers
        raise DownloadError(f"the token that is set here has characters that no token has: {LOG_IN}.") from error
    except (json.JSONDecodeError, AttributeError, LookupError, TypeError) as error:  # a network's page for signing in
        raise Unreachable(f"what answers at {constants.ENDPOINT} is no hub") from error


def _is_relative(file: str) -> bool:
    """Whether a name stays within a folder, on Windows too."""
    parts = file.replace("\\", "/").split("/")
    return not {"", ".."}.intersection(parts) and ":" not in file


class _Silent:
    """What huggingface_hub takes for a progress bar, of files that come at once."""

    def __init__(self, **options: object) -> None: ...

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *error: object) -> None: ...

    def update(self, count: float | None = 1) -> None: ...


def in_cache(name: HubName) -> HubModel | None:
    """The copy in the hub's cache; None where there is none, or not all of it."""
    try:
        folder = Path(snapshot_download(name.repo, revision=name.revision or None, local_files_only=True))
        paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        files = {file: HubFile(file, path.stat().st_size, _sha256_of(path), path) for file, path in paths.items()}
        return _model(_Repository(name, folder.name, files, paths.__getitem__))
    except (LocalEntryNotFoundError, IncompleteError):
        return None


def _sha256_of(path: Path) -> str:
    """What the cache says: it calls weights by their sha256, and all other files by something shorter."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else ""


def _model(repository: _Repository) -> HubModel:
    repo, config = repository.name.repo, repository.json(CONFIG)
    main = main_file(repo, repository.files)
    kind = model_kind(repo, config, repository.json(OPEN_CLIP_CONFIG) if main in OPEN_CLIP else {})
    weights = read_index(repository.small(main)) if main.endswith(_INDEX) else ()
    if missing := [shard for shard in weights if shard not in repository.files]:
        raise IncompleteError(
            f"{repo} lacks {len(missing)} of the files that its {main} names. Choose another revision."
        )
    names = dict.fromkeys(
        [
            *(name for name in CONFIGURATIONS if name in repository.files),
            main,
            *weights,
            *beside(main, repository.files),
        ]
    )
    return HubModel(
        name=repository.name,
        commit=repository.commit,
        kind=kind,
        main=main,
        files=tuple(repository.files[name] for name in names),
        config=config,
        licence=repository.licence,
        gated=repository.gated,
    )
