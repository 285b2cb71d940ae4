"""The running dashboard and the browser to look at it with: for the browser tests and for screenshots."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
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


@contextmanager
def running_dashboard(
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    address: str | None = "127.0.0.1",
    base: str = "",
    port: int | None = None,
    folder: Path = ROOT,
    script: str = "serve.py",
) -> Iterator[Server]:
    """The dashboard as `make run` starts it, on a free port; RuntimeError with its output if it does not come up.

    environment: variables that it has beside those of this process. address: where it listens; None for what its
    settings say. base: its base path, such as "/lab". port: one to have, such as that of a server that has ended.
    folder: where it is started. script: of the folder dashboard.
    """
    port = port or _free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboard" / script)]
    options = ["--server.headless", "true", "--server.port", str(port), "--server.baseUrlPath", base]
    options += ["--server.address", address] if address else []
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, *options],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        ) as process,
    ):
        try:
            _wait_until_healthy(process, port, log, base)
            yield Server(f"http://127.0.0.1:{port}{base}", log)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path, base: str) -> None:
    deadline = time.monotonic() + STARTUP
    while process.poll() is None and time.monotonic() < deadline:
        if _healthy(port, base):
            return
        time.sleep(0.1)
    state = "is not healthy" if process.poll() is None else f"ended with {process.returncode}"
    raise RuntimeError(f"the dashboard {state} after {STARTUP:.0f} s at most; it said:\n{log.read_text()}")


def _healthy(port: int, base: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", f"{base}/_stcore/health")
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
