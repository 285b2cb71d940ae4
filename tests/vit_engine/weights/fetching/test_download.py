"""Downloads from a server on the loopback: a file appears whole or not at all, and errors say what to do."""

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.vit_engine.weights.serving import BODY, Asked, Served, Server
from vit_engine.errors import DownloadError
from vit_engine.weights.fetching.checksum import Expected
from vit_engine.weights.fetching.download import download

SHA256 = hashlib.sha256(BODY).hexdigest()
WHOLE = [".w.pth.lock", "w.pth", "w.pth.sha256"]


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("sized", [True, False])
def test_a_file_arrives_whole_in_a_folder_made_for_it(server: Server, tmp_path: Path, sized: bool) -> None:
    server.files["/w.pth"] = Served(sized=sized)
    target = tmp_path / "new" / "folder" / "w.pth"
    assert download(f"{server.url}/w.pth", target) == target
    assert target.read_bytes() == BODY
    assert files_under(tmp_path) == WHOLE
    assert (target.parent / "w.pth.sha256").read_text() == f"{SHA256}  w.pth\n"


def test_progress_is_told_while_the_file_is_not_there_yet(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served()
    told: list[tuple[float, str, bool]] = []
    target = tmp_path / "w.pth"
    download(f"{server.url}/w.pth", target, progress=lambda *step: told.append((*step, target.exists())))
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions)
    assert len(fractions) >= 4
    assert told[0] == (0.0, "connecting to 127.0.0.1", False)
    assert told[-1] == (1.0, "downloading w.pth: 3 of 3 MB", False)


def test_without_a_known_size_progress_tells_only_the_megabytes(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(sized=False)
    told: list[tuple[float, str]] = []
    download(f"{server.url}/w.pth", tmp_path / "w.pth", progress=lambda *step: told.append(step))
    assert told[-1] == (0.0, "downloading w.pth: 3 MB")


def test_a_file_that_is_there_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "w.pth"
    target.write_bytes(b"before")
    assert download(f"{server.url}/w.pth", target) == target
    assert target.read_bytes() == b"before"
    assert server.asked == []


@pytest.mark.parametrize("error", [RuntimeError("given up"), OSError(errno.ENOSPC, "of the one who asked")])
@pytest.mark.parametrize(
    ("when", "left"), [("connecting", []), ("downloading", [".w.pth.part", ".w.pth.part.json"])], ids=str
)
def test_what_progress_raises_cancels_and_what_came_is_kept(
    server: Server, tmp_path: Path, when: str, left: list[str], error: Exception
) -> None:
    server.files["/w.pth"] = Served()

    def cancel(_: float, message: str) -> None:
        if message.startswith(when):
            raise error

    with pytest.raises(type(error)) as raised:
        download(f"{server.url}/w.pth", tmp_path / "w.pth", progress=cancel)
    assert raised.value is error
    assert files_under(tmp_path) == [".w.pth.lock", *left]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "HTTP 404, there is no such file"),
        (403, "HTTP 403, the server refuses it; its licence may have to be accepted first"),
        (503, "HTTP 503, the server has trouble; try again later"),
        (410, "HTTP 410, Gone"),
    ],
)
def test_what_the_server_refuses_is_told_and_not_asked_for_again(
    server: Server, tmp_path: Path, status: int, reason: str
) -> None:
    server.files["/w.pth"] = Served(status=status)
    target = tmp_path / "w.pth"
    with pytest.raises(DownloadError) as failure:
        download(f"{server.url}/w.pth", target)
    assert str(failure.value) == (
        f"could not download {server.url}/w.pth: {reason}. Without internet, fetch it elsewhere and put it "
        f"into {target.parent} as {target.name}."
    )
    assert files_under(tmp_path) == [".w.pth.lock"]
    assert server.asked == [Asked("/w.pth")]


def test_a_web_page_is_no_weight_file(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(extra={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(DownloadError, match="a web page came instead of a file"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert files_under(tmp_path) == [".w.pth.lock"]


def test_a_file_of_another_sha256_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served()
    with pytest.raises(DownloadError) as failure:
        download(f"{server.url}/w.pth", tmp_path / "w.pth", expected=Expected("0" * 64, "as the registry says"))
    assert f"w.pth has sha256 {SHA256}; expected {'0' * 64}, as the registry says. It was thrown away" in str(
        failure.value
    )
    assert files_under(tmp_path) == [".w.pth.lock"]


@pytest.mark.parametrize("digits", [SHA256, SHA256[:8], SHA256.upper()])
def test_a_file_of_the_expected_sha256_is_kept(server: Server, tmp_path: Path, digits: str) -> None:
    server.files["/w.pth"] = Served()
    target = download(f"{server.url}/w.pth", tmp_path / "w.pth", expected=Expected(digits, "the test"))
    assert target.read_bytes() == BODY


def test_a_server_that_says_nothing_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/w.pth"] = Served(held=0)
    monkeypatch.setattr("vit_engine.weights.fetching.connection.TIMEOUT", 0.2)
    with pytest.raises(DownloadError, match=r"timed out: nothing came for 0\.2 seconds"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert files_under(tmp_path) == [".w.pth.lock"]
    assert len(server.asked) == 1


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/w.pth"


def test_a_port_that_never_answers_is_given_up_in_time(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vit_engine.weights.fetching.connection.CONNECT_WITHIN", 0.1)
    with pytest.raises(DownloadError, match=rf"could not download {silent}: no answer within 0\.1 seconds\."):
        download(silent, tmp_path / "w.pth")
    assert files_under(tmp_path) == [".w.pth.lock"]


def test_a_name_that_is_never_resolved_is_given_up_in_time(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, left = Event(), Event()

    def hang(*_: object, **__: object) -> list[object]:
        over.wait(timeout=30)
        left.set()
        raise socket.gaierror("over")

    monkeypatch.setattr("vit_engine.weights.fetching.connection.CONNECT_WITHIN", 0.1)
    monkeypatch.setattr("socket.getaddrinfo", hang)
    with pytest.raises(DownloadError, match="no answer within"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert not left.is_set(), "it waited for the resolver"
    over.set()
    assert left.wait(timeout=30)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o007, 0o660)])
def test_the_file_has_the_mode_that_the_umask_gives(server: Server, tmp_path: Path, mask: int, mode: int) -> None:
    server.files["/w.pth"] = Served()
    before = os.umask(mask)
    try:
        assert download(f"{server.url}/w.pth", tmp_path / "w.pth").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/w.pth", "nonsense", "gopher://127.0.0.1/w.pth", "http://[1/w", "http:///w"]
)
def test_without_a_server_the_error_says_what_to_do(tmp_path: Path, url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url, target = url.format(port=taken.getsockname()[1]), tmp_path / "w.pth"
        with pytest.raises(DownloadError) as failure:
            download(url, target)
    assert str(failure.value).startswith(f"could not download {url}: ")
    assert str(failure.value).endswith(
        f"Without internet, fetch it elsewhere and put it into {target.parent} as {target.name}."
    )
    assert not target.exists()


def test_what_the_network_says_is_told_without_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"w\.pth: Name or service not known\. Without internet"):
        download("http://weights.invalid/w.pth", tmp_path / "w.pth")


def test_files_of_this_machine_are_not_downloaded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(BODY)
    with pytest.raises(DownloadError, match="must begin with http"):
        download((tmp_path / "secret").as_uri(), tmp_path / "w.pth")
    assert files_under(tmp_path) == ["secret"]


def test_a_folder_that_cannot_be_made_is_a_download_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match=r"could not download .*/file: "):
        download(f"{server.url}/w.pth", tmp_path / "file" / "w.pth")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_told_in_words(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served()
    (tmp_path / ".w.pth.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError) as failure:
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert "the disk is full: No space left on device" in str(failure.value)
    assert "set VIT_ENGINE_HOME to a folder on another disk" in str(failure.value)
    assert len(server.asked) == 1
    assert not (tmp_path / "w.pth").exists()


def test_a_disk_without_room_is_told_before_the_first_byte(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/w.pth"] = Served()
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BODY) - 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="the disk is full: 3 MB are needed"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert files_under(tmp_path) == [".w.pth.lock"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=len(BODY)))
    assert download(f"{server.url}/w.pth", tmp_path / "w.pth").exists()
