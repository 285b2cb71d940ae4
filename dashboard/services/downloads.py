"""Downloads of weights: in the background, seen by all sessions, stopped by any."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import vit_engine as ve
from dashboard.services.checkpoints.paths import errors_without_paths
from dashboard.services.jobs import Job, Jobs
from dashboard.services.process import once_per_process
from vit_engine.progress import Progress
from vit_engine.weights import fetch
from vit_engine.weights.fetching.hub import HubModel, HubName, describe_hub_model, fetch_hub_model

# They wait for the network, not for cores: several at a time, and never in the way of a run.
_downloads = once_per_process(lambda: Jobs(at_once=4, waiting="waiting for other downloads"))


@once_per_process
def _failures() -> dict[str, str]:
    return {}


def start_download(spec: ve.ModelSpec) -> None:
    """Download a model's weights in the background, whether or not anybody watches."""
    _start(spec.name, lambda report: fetch(spec, progress=report))


def start_hub_download(model: HubModel) -> None:
    """The same of a model on the Hugging Face hub, under its source, "hf:org/name@commit"."""
    commit = HubName(model.name.repo, model.commit)

    def get(report: Progress) -> Path:
        # Described again: what was missing when somebody looked it up may have come since, or gone. But under the name
        # that was asked for, so that the cache knows its commit also where the hub cannot be reached.
        return fetch_hub_model(replace(describe_hub_model(commit), name=model.name), progress=report)

    _start(model.source, get)


def _start(name: str, get: Callable[[Progress], Path]) -> None:
    failures = _failures()

    def make(report: Progress) -> Path:
        failures.pop(name, None)
        try:
            with errors_without_paths():
                return get(report)
        except ve.VitEngineError as error:
            failures[name] = str(error)
            raise

    _downloads().start(name, make)


def cancel_download(name: str) -> None:
    """Stop the download of a model, if there is one; what has come is kept for the next."""
    _downloads().stop(name)


def find_download(name: str) -> Job | None:
    """The download of a model that is under way, or None."""
    return _downloads().find(name)


def download_failure(name: str) -> str:
    """Why the last download of a model failed; empty where it did not."""
    return _failures().get(name, "")
