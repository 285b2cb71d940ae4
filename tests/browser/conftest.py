"""Fixtures of the browser tests: the running app, and a Chromium to look at it with."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
STARTUP = 90.0  # seconds
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HOW_TO_GET_ONE = (
    "No Chromium was found. Install one (Debian and Ubuntu: apt-get install chromium), or name it: "
    "make test CHROMIUM=/path/to/chrome"
)
LEFT_OUT = pytest.StashKey[int]()


@dataclass(frozen=True)
class Server:
    """The running dashboard: its address, and the file that takes its output."""

    url: str
    log: Path


def find_chromium() -> str | None:
    """The browser that CHROMIUM names, else the first that is installed under a usual name."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next(filter(None, map(shutil.which, names)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder; without a browser leave it out, but never in CI, where it fails."""
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker("browser")
    if here and find_chromium() is None and os.environ.get("CI") != "true":
        items[:] = [item for item in items if item not in here]
        config.hook.pytest_deselected(items=here)
        config.stash[LEFT_OUT] = len(here)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.section(f"{count} browser tests were NOT run", yellow=True, bold=True)
        terminalreporter.write_line(HOW_TO_GET_ONE)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """pytest-playwright's launch options, for a browser that Playwright did not install itself."""
    chromium = find_chromium()
    if chromium is None:
        pytest.fail(HOW_TO_GET_ONE, pytrace=False)
    return {**browser_type_launch_args, "executable_path": chromium, "args": list(FLAGS)}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard as `make run` starts it, on a free port, for the whole session."""
    log = tmp_path_factory.mktemp("server") / "streamlit.log"
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/serve.py"]
    options = ["--server.headless", "true", "--server.address", "127.0.0.1", "--server.port", str(port)]
    with (
        log.open("wb") as output,
        subprocess.Popen([*command, *options], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_until_healthy(process, port, log)
            yield Server(f"http://127.0.0.1:{port}", log)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + STARTUP
    while process.poll() is None and time.monotonic() < deadline:
        if _healthy(port):
            return
        time.sleep(0.1)
    state = "is not healthy" if process.poll() is None else f"ended with {process.returncode}"
    pytest.fail(f"the dashboard {state} after {STARTUP:.0f} s at most; it said:\n{log.read_text()}", pytrace=False)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_stcore/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
