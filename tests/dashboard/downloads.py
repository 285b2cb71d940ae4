"""A model of the registry whose weights are on the loopback, and what happens in the background while they come."""

import dataclasses
import io
import re
import threading
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vit_engine as ve
from dashboard.services import jobs
from tests.vit_engine.model.builders import small_vit
from tests.vit_engine.weights.serving import Served, Server, running
from vit_engine import registry
from vit_engine.spec import Weights

PATIENCE = 30  # seconds until a test that hangs fails
NAME, TITLE, PATH = "fetched_vit", "Fetched ViT", "/fetched_vit.pth"
UNDER_WAY = re.compile(r"Downloading fetched\\_vit\.pth\\: 2 of 5 MB")
HELD = 2_500_000  # bytes, of about 4.8 million: two pieces of a million come through


def weights() -> bytes:
    """A weight file of several pieces, in DINO's layout."""
    model = small_vit(patch_size=16, dim=128, depth=6, heads=4, image_size=(96, 96))
    model.initialise(torch.Generator().manual_seed(7))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Weights on the loopback, and a model of the registry whose weights they are."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("VIT_ENGINE_MIRROR", raising=False)
    monkeypatch.setattr("vit_engine.weights.fetching.download.WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("vit_engine.weights.fetching.connection.TIMEOUT", 2 * PATIENCE)  # what is held does not stall
    with running() as server:
        server.files[PATH] = Served(weights())
        spec = ve.ModelSpec(
            NAME,
            TITLE,
            "dino",
            patch_size=16,
            dim=128,
            depth=6,
            heads=4,
            native_size=(96, 96),
            resampling="dino",
            weights=Weights(url=server.url + PATH),
            licence="MIT",
            description="For tests.",
        )
        monkeypatch.setattr(registry, "MODELS", (*registry.MODELS, spec))
        yield server


@dataclasses.dataclass
class Watched:
    """What happens in the background: some bytes came, and each download's end with what it raised."""

    halfway: threading.Event = dataclasses.field(default_factory=threading.Event)
    ends: list[BaseException | None] = dataclasses.field(default_factory=list)
    ended: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))

    def watching(self, make: Callable) -> Callable:
        """The same work, whose end is known."""

        def made(progress: jobs.Progress) -> Any:
            error: BaseException | None = None
            try:
                return make(progress)
            except BaseException as raised:
                error = raised
                raise
            finally:
                self.ends.append(error)

        return made

    def wait_for_the_end(self) -> BaseException | None:
        assert self.ended.acquire(timeout=PATIENCE)
        return self.ends[-1]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return watch_downloads(monkeypatch, NAME)


def watch_downloads(monkeypatch: pytest.MonkeyPatch, name: str) -> Watched:
    """What happens to downloads of a model of this name, from now on."""
    seen, start, end, report = Watched(), jobs.Jobs.start, jobs.Jobs._end, jobs.Job.report

    def starting(some: jobs.Jobs, key: Hashable, make: Callable) -> None:
        start(some, key, seen.watching(make) if key == name else make)

    def ending(some: jobs.Jobs, job: jobs.Job) -> None:
        end(some, job)
        if job.key == name:
            seen.ended.release()  # not before nobody finds the download any more

    def reporting(job: jobs.Job, fraction: float, message: str) -> None:
        report(job, fraction, message)
        if job.key == name and fraction > 0.4:  # of 4.8 MB: at least "2 of 5 MB"
            seen.halfway.set()

    monkeypatch.setattr(jobs.Jobs, "start", starting)
    monkeypatch.setattr(jobs.Jobs, "_end", ending)
    monkeypatch.setattr(jobs.Job, "report", reporting)
    return seen
