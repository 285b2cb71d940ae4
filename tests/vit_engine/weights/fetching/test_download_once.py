"""Several threads and processes that want one file download it once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.vit_engine.weights.fetching.children import Child
from tests.vit_engine.weights.serving import BODY, Asked, Served, Server
from vit_engine.errors import DownloadError
from vit_engine.weights.fetching.download import download

WAITING = "waiting for another download of w.pth"


class Cancelled(Exception):  # noqa: N818
    pass


def test_two_processes_ask_once(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(held=1 << 20)
    url, target = f"{server.url}/w.pth", tmp_path / "w.pth"
    with Child(url, target) as first, Child(url, target) as second:
        first.begin(until="downloading w.pth: 1 of 3 MB")
        second.begin(until=WAITING)
        server.gate.set()
        told, _ = second.communicate(timeout=60)
        first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert set(told.splitlines()) <= {WAITING}
    assert target.read_bytes() == BODY
    assert server.asked == [Asked("/w.pth")]


def test_threads_ask_once(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(held=0)
    waiting = [Event(), Event()]

    def fetch(waits: Event) -> Path:
        def tell(_: float, message: str) -> None:
            if message == WAITING:
                waits.set()
                server.gate.set()

        return download(f"{server.url}/w.pth", tmp_path / "w.pth", progress=tell)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(fetch, waiting))
    assert [path.read_bytes() == BODY for path in results] == [True, True]
    assert sum(event.is_set() for event in waiting) == 1
    assert server.asked == [Asked("/w.pth")]


def test_who_waits_can_cancel_and_the_other_goes_on(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(held=0)
    began = Event()

    def cancel(_: float, message: str) -> None:
        assert message == WAITING
        raise Cancelled

    with ThreadPoolExecutor(1) as pool:
        target = tmp_path / "w.pth"
        other = pool.submit(download, f"{server.url}/w.pth", target, progress=lambda *told: began.set())
        assert began.wait(timeout=60)
        with pytest.raises(Cancelled):
            download(f"{server.url}/w.pth", target, progress=cancel)
        server.gate.set()
        assert other.result(timeout=60).read_bytes() == BODY


def test_who_waits_tries_itself_where_the_other_fails(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(sends=[0], held=0)
    began = Event()

    def tell(_: float, message: str) -> None:
        if message == WAITING:
            server.gate.set()

    with ThreadPoolExecutor(1) as pool:
        target = tmp_path / "w.pth"
        other = pool.submit(download, f"{server.url}/w.pth", target, progress=lambda *told: began.set())
        assert began.wait(timeout=60)
        assert download(f"{server.url}/w.pth", target, progress=tell).read_bytes() == BODY
        with pytest.raises(DownloadError, match="the connection ended after 0 of"):
            other.result(timeout=60)
    assert server.asked == [Asked("/w.pth"), Asked("/w.pth")]
