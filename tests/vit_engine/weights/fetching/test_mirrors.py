"""Mirrors and proxies that the environment names."""

import hashlib
import shutil
import socket
from pathlib import Path

import pytest

from tests.vit_engine.weights.serving import BODY, Asked, Served, Server
from vit_engine.errors import DownloadError
from vit_engine.weights.fetching.checksum import Expected
from vit_engine.weights.fetching.connection import Failure
from vit_engine.weights.fetching.download import addresses, download

UNKNOWN = "http://weights.invalid/models/w.pth"  # a host that no resolver knows (RFC 2606)


def test_the_path_is_kept_and_the_host_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", "https://one.example/base/\n http://two.example")
    assert addresses("https://host.example/a/w.pth?download=true") == (
        "https://one.example/base/a/w.pth?download=true",
        "http://two.example/a/w.pth?download=true",
        "https://host.example/a/w.pth?download=true",
    )


@pytest.mark.parametrize("value", ["", "  ", "https://host.example"])
def test_an_address_is_asked_once(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", value)
    assert addresses("https://host.example/w.pth") == ("https://host.example/w.pth",)


@pytest.mark.parametrize(
    "value", ["mirror.example", "file:///mirror", "https:///mirror", "https://fine.example ftp://mirror.example"]
)
def test_a_mirror_that_is_no_web_address_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", value)
    with pytest.raises(Failure, match=r"VIT_ENGINE_MIRROR.* must begin with http:// or https://") as failure:
        addresses("https://host.example/w.pth")
    assert repr(value.split()[-1]) in str(failure.value)


def test_a_mirror_is_asked_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", f"{server.url}/mirror")
    server.files["/mirror/models/w.pth"] = Served()
    told: list[str] = []
    target = download(UNKNOWN, tmp_path / "w.pth", progress=lambda _, message: told.append(message))
    assert target.read_bytes() == BODY
    assert told[0] == "connecting to 127.0.0.1"


@pytest.mark.parametrize(
    "mirrored",
    [Served(status=404), Served(bytes(reversed(BODY))), Served(sends=[1000, 0, 0, 0])],
    ids=["has it not", "has another file", "breaks"],
)
def test_where_a_mirror_fails_the_host_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mirrored: Served
) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", f"{server.url}/mirror")
    server.files["/mirror/w.pth"] = mirrored
    server.files["/w.pth"] = Served()
    expected = Expected(hashlib.sha256(BODY).hexdigest(), "as the test says")
    target = download(f"{server.url}/w.pth", tmp_path / "w.pth", expected=expected)
    assert target.read_bytes() == BODY
    assert server.asked[0] == Asked("/mirror/w.pth")
    assert server.asked[-1] == Asked("/w.pth"), "what a mirror left is not gone on with elsewhere"


def test_where_all_fail_each_has_its_reason(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", f"{server.url}/mirror")
    server.files["/mirror/w.pth"] = Served(status=403)
    url = f"{server.url}/w.pth"
    with pytest.raises(DownloadError) as failure:
        download(url, tmp_path / "w.pth")
    message = str(failure.value)
    assert message.startswith(f"could not download {url}: {server.url}/mirror/w.pth: HTTP 403, ")
    assert f"; {url}: HTTP 404, there is no such file. " in message


def test_a_full_disk_is_no_reason_to_ask_elsewhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIT_ENGINE_MIRROR", f"{server.url}/mirror")
    usage = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    server.files["/mirror/w.pth"] = server.files["/w.pth"] = Served()
    with pytest.raises(DownloadError, match="the disk is full"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert server.asked == [Asked("/mirror/w.pth")]


def test_a_proxy_is_asked_for_the_whole_url(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", server.url)
    server.files["/models/w.pth"] = Served()
    assert download(UNKNOWN, tmp_path / "w.pth").read_bytes() == BODY
    assert server.asked == [Asked(UNKNOWN)]


def test_no_proxy_is_asked_for_hosts_that_are_excepted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        server.files["/w.pth"] = Served()
        assert download(f"{server.url}/w.pth", tmp_path / "w.pth").read_bytes() == BODY
