"""Models by their names on the Hugging Face hub: what they are, before their weights are fetched, and their files.

huggingface_hub is imported once it is needed: it takes a sixth of a second.
"""

from pathlib import Path

from vit_engine.progress import Progress
from vit_engine.weights.fetching.hub.model import HubFile, HubModel
from vit_engine.weights.fetching.hub.names import HUB_PREFIX, HubName, hub_name

__all__ = [
    "HUB_PREFIX",
    "HubFile",
    "HubModel",
    "HubName",
    "cached_hub_model",
    "describe_hub_model",
    "fetch_hub_model",
    "hub_name",
    "verify_hub_model",
]


def describe_hub_model(name: HubName) -> HubModel:
    """What a model on the hub is, from its configuration, which is all that is fetched.

    A copy in the hub's cache is taken where the hub cannot be reached, and without asking it where the name has a
    commit. DownloadError where there is neither, CheckpointError where it is no Vision Transformer, or has no weights
    that can be read.
    """
    from vit_engine.weights.fetching.hub.describe import describe  # noqa: PLC0415

    return describe(name)


def cached_hub_model(name: HubName) -> HubModel | None:
    """The copy in the hub's cache, without asking the hub; None where there is none, or not all of it."""
    from vit_engine.weights.fetching.hub.describe import in_cache  # noqa: PLC0415

    return in_cache(name)


def fetch_hub_model(model: HubModel, *, progress: Progress | None = None) -> Path:
    """Fetch what is missing of a model into the hub's cache, and return the path that read_checkpoint() takes.

    progress(fraction of all bytes, message): what it raises cancels the download, and the next one goes on from there.
    CheckpointError or ResourceError, before anything is fetched, for more than limits or memory allow; DownloadError
    where the disk has no room, a file has another sha256 than the hub says, or the hub does not give it.
    """
    from vit_engine.weights.fetching.hub.fetch import fetch  # noqa: PLC0415

    return fetch(model, progress=progress)


def verify_hub_model(model: HubModel, *, progress: Progress | None = None) -> str:
    """The sha256 of all weights in the cache, one file after another by name.

    CheckpointError where a file has another one than the hub says.
    """
    from vit_engine.weights.fetching.hub.fetch import verify  # noqa: PLC0415

    return verify(model, progress=progress)
