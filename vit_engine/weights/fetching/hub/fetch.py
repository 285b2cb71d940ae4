"""The files of a model on the hub, in the hub's own cache, where other programs find them, too.

huggingface_hub begins a file anew after each break that it gives up at or that is asked for, and its other way, Xet,
cannot be stopped. So weights come by plain HTTP to where its older versions kept what has come, and go on from there;
they are given the name that the hub's cache knows them by once they have the sha256 that the hub says.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from huggingface_hub import constants, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils._headers import build_hf_headers  # its face has it, too, and mypy does not see it there

from vit_engine.errors import CheckpointError, DownloadError
from vit_engine.progress import Progress
from vit_engine.weights.fetching.checksum import PIECE, file_sha256
from vit_engine.weights.fetching.connection import Failure
from vit_engine.weights.fetching.hub.errors import Unreachable, hub_errors
from vit_engine.weights.fetching.hub.model import HubFile, HubModel
from vit_engine.weights.fetching.partial import exclusive
from vit_engine.weights.reading.limits import check_within_limit, check_within_memory


def fetch(model: HubModel, *, progress: Progress | None = None) -> Path:
    """fetch_hub_model()."""
    check_within_limit(model.size, f"{model.source} has")
    check_within_memory(model.size, f"{model.source} has")
    _check_room(model)
    paths = {file.name: file.path for file in model.files}
    report = _Report(model, progress or (lambda fraction, message: None))
    try:
        with hub_errors(model.name):
            for file in model.missing:
                paths[file.name] = _fetch(model, file, report)
                report.done += file.size
            _record_revision(model)
    except Unreachable as error:
        raise DownloadError(
            f"{model.source} was not fetched whole: {error}. What has come is kept: try again, and it goes on from "
            "there."
        ) from error
    except Failure as error:
        raise DownloadError(f"{model.source} cannot be kept: {error}.") from error
    except _Cancelled as cancelled:
        raise cancelled.error from None
    return replace(model, files=tuple(replace(file, path=paths[file.name]) for file in model.files)).path


def verify(model: HubModel, *, progress: Progress | None = None) -> str:
    """verify_hub_model()."""
    whole, done = hashlib.sha256(), 0
    weights = [file for file in model.files if file.sha256]
    for file in sorted(weights, key=lambda file: file.name):
        path, digest = _cached(model, file), hashlib.sha256()
        with path.open("rb") as data:
            while piece := data.read(PIECE):
                digest.update(piece)
                whole.update(piece)
                done += len(piece)
                if progress is not None:
                    progress(min(done / model.size, 1.0), f"checking {file.name}")
        if digest.hexdigest() != file.sha256:
            raise CheckpointError(
                f"{path} has sha256 {digest.hexdigest()}; expected {file.sha256}, as the hub says. Delete "
                f"{path.resolve()}, and it is downloaded again."
            )
    return whole.hexdigest()


def _cached(model: HubModel, file: HubFile) -> Path:
    path = try_to_load_from_cache(model.name.repo, file.name, revision=model.commit)
    if not isinstance(path, str):
        raise CheckpointError(f"{file.name} of {model.source} is not in the hub's cache. Fetch it first.")
    return Path(path)


def stored_bytes(model: HubModel) -> int:
    """Bytes of a model that are here, those of a broken download among them."""
    parts = sum(_size(_blob(model, file).incomplete) for file in model.missing if file.sha256)
    return model.size - sum(file.size for file in model.missing) + parts


class _Cancelled(Exception):  # noqa: N818  # it never leaves this file
    """What progress raised, whatever it is, on its way past what is made of errors of the hub and of the disk."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Report:
    """Progress over all files in bytes: done, of those before; and the bytes of the present one."""

    def __init__(self, model: HubModel, progress: Progress) -> None:
        self.model, self.progress = model, progress
        self.done = model.size - sum(file.size for file in model.missing)

    def __call__(self, came: float) -> None:
        self.say((self.done + came) / max(self.model.size, 1))

    def say(self, fraction: float) -> None:
        megabytes = f"{fraction * self.model.size / 1e6:.0f} of {self.model.size / 1e6:.0f} MB"
        self._tell(min(fraction, 1.0), f"downloading {self.model.name.repo}: {megabytes}")

    def aside(self, _: float, message: str) -> None:
        """What else takes time: checks, and waiting for others."""
        self._tell(min(self.done / max(self.model.size, 1), 1.0), message)

    def _tell(self, fraction: float, message: str) -> None:
        try:
            self.progress(fraction, message)
        except Exception as error:
            raise _Cancelled(error) from error


class _Bar:
    """What huggingface_hub takes for a progress bar; what report() raises ends the download."""

    def __init__(self, report: Callable[[float], None], *, initial: float = 0, **options: object) -> None:  # noqa: ARG002
        self.came, self.report = initial, report

    def __enter__(self) -> "_Bar":
        self.report(self.came)
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is open."""

    def update(self, count: float | None = 1) -> None:
        self.came += count or 0
        self.report(self.came)


def _fetch(model: HubModel, file: HubFile, report: _Report) -> Path:
    """Into the cache, by huggingface_hub; of weights, whose sha256 is known, the bytes beforehand."""
    if file.sha256:
        blob = _blob(model, file)
        with exclusive(Path(file.name), report.aside, lock=blob.lock):
            if not blob.path.exists():
                _complete(model, file, blob, report)
    bar = cast(Any, partial(_Bar, report))
    return Path(hf_hub_download(model.name.repo, file.name, revision=model.commit, tqdm_class=bar))


class _Blob:
    """Where huggingface_hub keeps the bytes of a file, and the lock that it takes for them."""

    def __init__(self, cache: Path, folder: str, sha256: str) -> None:
        self.path = cache / folder / "blobs" / sha256
        self.incomplete = self.path.with_name(f"{sha256}.incomplete")  # `hf cache prune` knows the name
        self.lock = cache / ".locks" / folder / f"{sha256}.lock"


def _blob(model: HubModel, file: HubFile) -> _Blob:
    cache = Path(constants.HF_HUB_CACHE).expanduser().resolve()
    return _Blob(cache, repo_folder_name(repo_id=model.name.repo, repo_type="model"), file.sha256)


def _complete(model: HubModel, file: HubFile, blob: _Blob, report: _Report) -> None:
    """What is missing of a file, after what has come before; DownloadError for another sha256 than the hub says."""
    blob.path.parent.mkdir(parents=True, exist_ok=True)
    if _size(blob.incomplete) > file.size:
        blob.incomplete.unlink()
    with blob.incomplete.open("ab") as part:
        http_get(
            hf_hub_url(model.name.repo, file.name, revision=model.commit),
            part,
            resume_size=part.tell(),
            headers=build_hf_headers(library_name="vit_engine"),
            expected_size=file.size,
            displayed_filename=file.name,
            tqdm_class=cast(Any, partial(_Bar, report)),
        )
    got = file_sha256(blob.incomplete, progress=lambda share, _: report.aside(share, f"checking {file.name}"))
    if got != file.sha256:
        blob.incomplete.unlink()
        raise DownloadError(
            f"{file.name} of {model.source} has sha256 {got}; expected {file.sha256}, as the hub says. It was thrown "
            "away: try again later."
        )
    os.replace(blob.incomplete, blob.path)


def _record_revision(model: HubModel) -> None:
    """Which commit a branch or tag is at, for when the hub cannot be asked; only once all files of that are here."""
    if model.name.pinned:
        return
    folder = repo_folder_name(repo_id=model.name.repo, repo_type="model")
    ref = Path(constants.HF_HUB_CACHE).expanduser() / folder / "refs" / (model.name.revision or "main")
    if not ref.exists() or ref.read_text(encoding="utf-8") != model.commit:
        with contextlib.suppress(OSError):  # a cache that others have filled, and that is only read here
            ref.parent.mkdir(parents=True, exist_ok=True)
            part = ref.with_name(f"{ref.name}.{os.getpid()}.tmp")
            part.write_text(model.commit, encoding="utf-8")
            os.replace(part, ref)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_room(model: HubModel) -> None:
    """DownloadError unless the disk has room for what is missing."""
    cache = Path(constants.HF_HUB_CACHE).expanduser()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    needed, free = model.size - stored_bytes(model), shutil.disk_usage(existing).free
    if needed > free:
        raise DownloadError(
            f"the disk is full: {model.source} needs {needed / 1e6:,.0f} MB more in {cache}, and {free / 1e6:,.0f} MB "
            "are free. Free some, or set HF_HOME to a folder on another disk."
        )
