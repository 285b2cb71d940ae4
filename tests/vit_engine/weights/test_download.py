"""Downloads from a server on the loopback: a file appears whole or not at all."""

import dataclasses
import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from safetensors.torch import save as to_safetensors

from vit_engine.errors import CheckpointError, DownloadError
from vit_engine.spec import ModelSpec, Weights
from vit_engine.weights import LoadedModel, load_model, weights_path
from vit_engine.weights.download import download

BODY = bytes(range(256)) * 10_000  # 2.56 MB: three pieces


class Handler(BaseHTTPRequestHandler):
    """/whole, /unsized, /short (announces more than it sends), /stalled, and the files of the server."""

    def do_GET(self) -> None:
        body = self.server.files.get(self.path, BODY)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(body) + (self.path == "/short")))
        self.end_headers()
        if self.path == "/stalled":
            self.server.over.wait(timeout=30)
        else:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.over = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *args: object) -> None:
        """A client that goes away is part of the test."""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", ["/whole", "/unsized"])
def test_a_file_arrives_whole_in_a_folder_made_for_it(server: Server, tmp_path: Path, path: str) -> None:
    target = tmp_path / "new" / "folder" / "w.pth"
    assert download(server.url + path, target) == target
    assert target.read_bytes() == BODY
    assert files_under(tmp_path) == ["w.pth"]


def test_progress_is_told_while_the_file_is_not_there_yet(server: Server, tmp_path: Path) -> None:
    told: list[tuple[float, str, bool]] = []
    target = tmp_path / "w.pth"
    download(server.url + "/whole", target, progress=lambda *step: told.append((*step, target.exists())))
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions)
    assert len(fractions) >= 4
    assert told[0] == (0.0, "connecting to 127.0.0.1", False)
    assert told[-1] == (1.0, "downloading w.pth: 3 of 3 MB", False)


def test_without_a_known_size_progress_tells_only_the_megabytes(server: Server, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    download(server.url + "/unsized", tmp_path / "w.pth", progress=lambda *step: told.append(step))
    assert told[-1] == (0.0, "downloading w.pth: 3 MB")


class Cancelled(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("when", ["connecting", "downloading"])
def test_cancelling_leaves_nothing_behind(server: Server, tmp_path: Path, when: str) -> None:
    def cancel(fraction: float, message: str) -> None:
        assert files_under(tmp_path) != ["w.pth"]
        if message.startswith(when):
            raise Cancelled(f"{fraction} {message}")

    with pytest.raises(Cancelled, match=when):
        download(server.url + "/whole", tmp_path / "w.pth", progress=cancel)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/missing", "HTTP 404"), ("/short", "the connection ended after 2560000 of 2560001 bytes|IncompleteRead")],
)
def test_a_failed_download_keeps_what_was_there_before(server: Server, tmp_path: Path, path: str, reason: str) -> None:
    target = tmp_path / "w.pth"
    target.write_bytes(b"before")
    with pytest.raises(DownloadError, match=rf"could not download {server.url}{path}: ({reason})") as failure:
        download(server.url + path, target)
    assert f"put it at {target}" in str(failure.value)
    assert files_under(tmp_path) == ["w.pth"]
    assert target.read_bytes() == b"before"


def test_a_server_that_says_nothing_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vit_engine.weights.download.TIMEOUT", 0.2)
    with pytest.raises(DownloadError, match="timed out"):
        download(server.url + "/stalled", tmp_path / "w.pth")
    assert files_under(tmp_path) == []


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/w.pth"


def test_a_port_that_never_answers_is_given_up_in_time(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vit_engine.weights.download.CONNECT_WITHIN", 0.1)
    with pytest.raises(DownloadError, match=rf"could not download {silent}: no answer within 0\.1 seconds\."):
        download(silent, tmp_path / "w.pth")
    assert files_under(tmp_path) == []


def test_a_name_that_is_never_resolved_is_given_up_in_time(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, left = Event(), Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(timeout=30)
        left.set()
        raise socket.gaierror("over")

    monkeypatch.setattr("vit_engine.weights.download.CONNECT_WITHIN", 0.1)
    monkeypatch.setattr("socket.getaddrinfo", hang)
    with pytest.raises(DownloadError, match="no answer within"):
        download(server.url + "/whole", tmp_path / "w.pth")
    assert not left.is_set(), "it waited for the resolver"
    over.set()
    assert left.wait(timeout=30)
    assert files_under(tmp_path) == []


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_the_file_has_the_mode_that_the_umask_gives(server: Server, tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        assert download(server.url + "/whole", tmp_path / "w.pth").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/w.pth", "nonsense", "gopher://127.0.0.1/w.pth"])
def test_without_a_server_the_error_says_what_to_do(tmp_path: Path, closed_port: int, url: str) -> None:
    target = tmp_path / "w.pth"
    with pytest.raises(DownloadError) as failure:
        download(url.format(port=closed_port), target)
    assert url.format(port=closed_port) in str(failure.value)
    assert str(failure.value).endswith(f"Without internet, fetch it elsewhere and put it at {target}.")
    assert files_under(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_a_download_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="could not download"):
        download(server.url + "/whole", tmp_path / "file" / "w.pth")


@pytest.fixture
def remote(
    small: LoadedModel, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ModelSpec]:
    """The small model with its weights on the server, in an empty cache."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path / "cache"))
    server.files["/small.safetensors"] = to_safetensors(small.model.state_dict())

    def spec(url: str = f"{server.url}/small.safetensors", sha256: str | None = None) -> ModelSpec:
        return dataclasses.replace(small.spec, weights=Weights(url=url, sha256=sha256))

    return spec


def test_a_model_is_downloaded_once(small: LoadedModel, server: Server, remote: Callable[..., ModelSpec]) -> None:
    body = server.files["/small.safetensors"]
    spec = remote(sha256=hashlib.sha256(body).hexdigest())
    first = load_model(spec, device="cpu")
    server.files["/small.safetensors"] = b"changed"
    again = load_model(spec, device="cpu")
    pixels = torch.ones(1, 3, 20, 28)
    for loaded in (first, again):
        torch.testing.assert_close(loaded.model(pixels), small.model(pixels), rtol=0, atol=0)
        assert loaded.report.source == str(weights_path(spec))
    assert weights_path(spec).read_bytes() == body


def test_a_downloaded_file_of_another_sha256_is_refused(remote: Callable[..., ModelSpec]) -> None:
    with pytest.raises(CheckpointError, match=r"small\.safetensors has sha256 .*; expected 0000"):
        load_model(remote(sha256="0" * 64), device="cpu")


def test_an_error_page_saved_as_weights_is_refused(server: Server, remote: Callable[..., ModelSpec]) -> None:
    server.files["/small.safetensors"] = b"<!DOCTYPE html><html>Sign in</html>"
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_model(remote(), device="cpu")


def test_offline_the_error_names_the_models_that_work(remote: Callable[..., ModelSpec], closed_port: int) -> None:
    spec = remote(url=f"http://127.0.0.1:{closed_port}/small.safetensors")
    with pytest.raises(DownloadError) as failure:
        load_model(spec, device="cpu")
    message = str(failure.value)
    assert spec.weights.url in message
    assert str(weights_path(spec)) in message
    assert "These models work without it: " in message
    assert "random_vit_tiny_p16" in message
    assert "dino_vits16" not in message
