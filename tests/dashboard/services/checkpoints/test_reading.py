"""Weight files are read side by side: small ones and the registry's models beside a stranger's large one."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from dashboard.services import memory
from dashboard.services.checkpoints import user_models
from dashboard.services.checkpoints.folder import VARIABLE
from tests.dashboard.support import ignore
from tests.dashboard.working import PATIENCE, says
from vit_engine.analysis.comparison import FILE_PREFIX

pytestmark = pytest.mark.usefixtures("fresh_caches", "quick_polls")

Inspection = Callable[..., Future]
LARGE, SMALL = 300_000_000, 1000  # bytes
BUDGET = 600_001_999  # bytes: of twice both files one too few


@pytest.fixture
def inspection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watchers: ThreadPoolExecutor) -> Iterator[Inspection]:
    """Inspects a file of a folder in a session of its own; of a large one it does not end before the test does."""
    go_on, started = threading.Event(), threading.Event()

    def inspected(_: str, title: str) -> str:
        if title == "large.pth":
            started.set()
            assert go_on.wait(PATIENCE)
        return title

    def begin(title: str, size: int, progress: Callable = ignore) -> Future:
        with (tmp_path / title).open("wb") as file:
            file.truncate(size)  # sparse: takes no room
        future = watchers.submit(user_models.inspect, FILE_PREFIX + title, progress)
        assert size == SMALL or started.wait(PATIENCE)
        return future

    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(user_models, "_inspect", inspected)
    yield begin
    go_on.set()


def test_a_small_file_is_inspected_beside_a_large_one(inspection: Inspection) -> None:
    large = inspection("large.pth", LARGE)
    assert inspection("small.pth", SMALL).result(PATIENCE) == "small.pth"
    assert not large.done()


def test_a_model_of_the_registry_is_loaded_beside_a_large_file_whatever_its_size(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.services.memory.READ_BYTES", 1.0)  # so that it would take days
    large = inspection("large.pth", LARGE)
    loaded = memory.load_model("demo_vit_p16", ignore)
    assert loaded.spec.name == "demo_vit_p16"
    assert not large.done()


@pytest.mark.parametrize("budget", [BUDGET, BUDGET + 1])
def test_inspected_files_count_twice_against_the_memory_of_all(
    inspection: Inspection, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(user_models, "budget", lambda: budget)
    large, waits = inspection("large.pth", LARGE), threading.Event()
    small = inspection("small.pth", SMALL, says(waits, "waiting until other weight files leave enough memory"))
    if budget == BUDGET:
        assert waits.wait(PATIENCE)
        assert not small.done()
    else:
        assert small.result(PATIENCE) == "small.pth"
    assert not large.done()


def test_inspections_are_of_the_session_that_asks(inspection: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_models, "session", lambda: "somebody")
    inspection("large.pth", LARGE)
    name = FILE_PREFIX + "large.pth"
    job = user_models.readers().find(("inspect", name, "large.pth", user_models.stamp_of(name)))
    assert job is not None
    assert job.sessions == {"somebody"}
