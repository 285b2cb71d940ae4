"""What all tests share."""

import sys

import pytest
from hypothesis import settings

from tests.browser.server import HOW_TO_GET_ONE

settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")

MAIN = sys.modules["__main__"]
LEFT_OUT = pytest.StashKey[int]()  # browser tests that were collected and left out, as there is no browser


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
