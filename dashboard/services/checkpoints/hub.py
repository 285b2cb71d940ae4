"""Models of the Hugging Face hub: looked up, and found in the hub's cache once they were downloaded.

VIT_DASHBOARD_HUB=off keeps this server from it: what its token may read, everybody who reaches the server can load.
"""

import os
import re

import vit_engine as ve
from dashboard.services import limits
from dashboard.services.checkpoints.paths import errors_without_paths
from dashboard.services.jobs import Jobs
from dashboard.services.process import once_per_process
from vit_engine.progress import Progress
from vit_engine.resources.budget import format_bytes
from vit_engine.weights.fetching.hub import (
    HUB_PREFIX,
    HubModel,
    HubName,
    cached_hub_model,
    describe_hub_model,
    hub_name,
)

VARIABLE = "VIT_DASHBOARD_HUB"
OFF = f"models of the Hugging Face hub are switched off on this server ({VARIABLE})."
# As people copy it from the address bar.
_ADDRESS = re.compile(r"https?://[^/]+/(?P<repo>[^/?#]+/[^/?#]+)(?:/(?:tree|blob)/(?P<revision>[^/?#]+))?.*")

_lookups = once_per_process(lambda: Jobs(at_once=4, waiting="waiting for other look-ups"))


@once_per_process
def _found() -> dict[str, HubModel]:
    """Models that are in the cache, by what follows the prefix of their names: a commit never changes."""
    return {}


@once_per_process
def _licences() -> dict[str, str]:
    """As model cards say, of models that were looked up, by what follows the prefix of their names."""
    return {}


def is_on() -> bool:
    """Whether this server takes models from the hub."""
    return os.environ.get(VARIABLE, "").strip().lower() != "off"


def parse_hub_text(text: str) -> HubName:
    """A name on the hub as people write it, with or without "hf:", or a page's address. SpecError for anything else."""
    if not is_on():
        raise ve.CheckpointError(OFF)
    text = text.strip()
    if (address := _ADDRESS.fullmatch(text)) is not None:
        text = f"{address['repo']}@{address['revision']}" if address["revision"] else address["repo"]
    name = hub_name(HUB_PREFIX + text.removeprefix(HUB_PREFIX))
    assert name is not None, text  # what begins with the prefix is a name, or an error
    return name


def look_up(name: HubName, progress: Progress) -> HubModel:
    """What a model on the hub is, without its weights; VitEngineError where it cannot be had, or is too large."""

    def ask(report: Progress) -> HubModel:
        report(0.0, f"looking up {name.repo}")
        with errors_without_paths():
            return describe_hub_model(name)

    model = _lookups().run(name, ask, progress)
    if model.size > limits.MODEL_BYTES:
        raise ve.ResourceError(
            f"{name.repo} has {format_bytes(model.size)}, and models may take {format_bytes(limits.MODEL_BYTES)} of "
            "memory here. Choose a smaller one, or start the server with a larger VIT_DASHBOARD_MODEL_BYTES."
        )
    _licences()[model.source.removeprefix(HUB_PREFIX)] = model.licence
    return model


def licence_of(what: str) -> str:
    """As its model card said when it was looked up; empty where it did not, or was not."""
    return _licences().get(what, "")


def find(what: str) -> HubModel:
    """A model in the cache, "org/name@commit"; CheckpointError where it is not there, or not of a commit."""
    if not is_on():
        raise ve.CheckpointError(OFF)
    known = _found().get(what)
    if known is not None and known.path.exists():
        return known
    name = hub_name(HUB_PREFIX + what)
    if name is not None and not name.pinned:
        raise ve.CheckpointError(
            f"{HUB_PREFIX}{what} names no commit, and links here must: its name is filled in on the page Models, which "
            "finds its commit"
        )
    model = cached_hub_model(name) if name is not None else None
    if model is None:
        raise ve.CheckpointError(
            f"{HUB_PREFIX}{what} is not on this server yet: its name is filled in on the page Models, which says what "
            "it is and downloads it"
        )
    _found()[what] = model
    return model


def is_here(what: str) -> bool:
    """Whether find() finds it."""
    try:
        return bool(find(what))
    except ve.VitEngineError:
        return False


def screen_name(what: str) -> str:
    """What to call it on the screen: without its commit."""
    return what.partition("@")[0]
