"""A model's weight file, fetched where it is not there yet."""

from pathlib import Path

from vit_engine.errors import CheckpointError, DownloadError
from vit_engine.progress import Progress
from vit_engine.registry import list_models
from vit_engine.spec import ModelSpec
from vit_engine.weights.fetching.checksum import expected_sha256
from vit_engine.weights.fetching.download import download
from vit_engine.weights.locate import weights_path, works_offline


def fetch(spec: ModelSpec, *, progress: Progress | None = None) -> Path:
    """The file with a model's trained weights, downloaded to the cache folder if it is not there.

    A file that is there is not looked into: verify() does that with the sha256 of what was read.
    progress(fraction, message): what it raises cancels the download, and the next one goes on from there.
    CheckpointError where a model has no weights to fetch, DownloadError where they cannot be fetched or
    come with another sha256 than they must have.
    """
    path = weights_path(spec)
    if path.exists():
        return path
    if spec.weights is None or spec.weights.url is None:
        raise CheckpointError(f"the weights of {spec.name!r} should be at {path}, but are not there. Install again.")
    try:
        return download(spec.weights.url, path, expected=expected_sha256(path, spec.weights), progress=progress)
    except DownloadError as error:
        ready = ", ".join(other.name for other in list_models() if works_offline(other))
        raise DownloadError(f"{error} These models work without it: {ready}.") from error
