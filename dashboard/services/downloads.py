"""Downloads of weights: in the background, seen by all sessions, stopped by any."""

from pathlib import Path

import vit_engine as ve
from dashboard.services.checkpoints.paths import errors_without_paths
from dashboard.services.jobs import Job, Jobs
from dashboard.services.process import once_per_process
from vit_engine.progress import Progress
from vit_engine.weights import fetch

# They wait for the network, not for cores: several at a time, and never in the way of a run.
_downloads = once_per_process(lambda: Jobs(at_once=4, waiting="waiting for other downloads"))


@once_per_process
def _failures() -> dict[str, str]:
    return {}


def start_download(spec: ve.ModelSpec) -> None:
    """Download a model's weights in the background, whether or not anybody watches."""
    failures = _failures()

    def make(report: Progress) -> Path:
        failures.pop(spec.name, None)
        try:
            with errors_without_paths():
                return fetch(spec, progress=report)
        except ve.VitEngineError as error:
            failures[spec.name] = str(error)
            raise

    _downloads().start(spec.name, make)


def cancel_download(name: str) -> None:
    """Stop the download of a model, if there is one; what has come is kept for the next."""
    _downloads().stop(name)


def find_download(name: str) -> Job | None:
    """The download of a model that is under way, or None."""
    return _downloads().find(name)


def download_failure(name: str) -> str:
    """Why the last download of a model failed; empty where it did not."""
    return _failures().get(name, "")
