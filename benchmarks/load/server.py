"""The dashboard in a process of its own, on loopback, and what that process takes."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

STARTUP = 120.0  # seconds
MIB = 2**20


@dataclass(frozen=True)
class Server:
    """A running dashboard: its address, and its process."""

    url: str
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """User and system time of the process and of its children, since it began."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def rss_mib(self) -> float:
        """Resident memory of the process and of its children."""
        family = (self.process, *self.process.children(recursive=True))
        return sum(process.memory_info().rss for process in family) / MIB


@contextmanager
def serving(checkout: Path) -> Iterator[Server]:
    """The dashboard of a checkout; RuntimeError with its output if it does not come up."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/serve.py", "--server.headless", "true"]
    options = ["--server.address", "127.0.0.1", "--server.port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}  # before what is installed, perhaps from elsewhere
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            [*command, *options], cwd=checkout, stdout=output, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        try:
            if not _wait_until_healthy(process, port):
                output.seek(0)
                raise RuntimeError(f"the dashboard of {checkout} did not come up; it said:\n{output.read().decode()}")
            yield Server(f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + STARTUP
    while process.poll() is None and time.monotonic() < deadline:
        if _healthy(port):
            return True
        time.sleep(0.1)
    return False


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
