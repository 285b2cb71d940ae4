"""Fixtures of the dashboard's suites. Caches live as long as the process: loaded models are shared on purpose."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner

import vit_engine as ve
from dashboard.services import jobs
from dashboard.testing import clear_caches
from tests.dashboard.downloads import server, watched
from tests.dashboard.working import WATCHERS

__all__ = ["server", "watched"]  # fixtures


@pytest.fixture(scope="session", autouse=True)
def one_scan_for_components() -> Iterator[None]:
    """Each AppTest looks through all packages that are installed, for twice as long as a page takes to run."""
    with pytest.MonkeyPatch.context() as patch:
        scan = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    """Nothing loaded, analysed or uploaded before, and nothing left behind."""
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The model's name for each run of a model since the test began."""
    attend, seen = ve.attend, []

    def counting(loaded: ve.LoadedModel, *args: Any, **options: Any) -> ve.AttentionTrace:
        seen.append(loaded.spec.name)
        return attend(loaded, *args, **options)

    monkeypatch.setattr(ve, "attend", counting)
    return seen


@pytest.fixture
def watchers() -> Iterator[ThreadPoolExecutor]:
    """Threads of sessions that watch jobs."""
    with ThreadPoolExecutor(WATCHERS) as pool:
        yield pool


@pytest.fixture
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who watch a job look at it often."""
    monkeypatch.setattr(jobs, "POLL", 0.01)
