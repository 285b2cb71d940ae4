"""A download goes on from where the one before broke, and only with the same file."""

import contextlib
import hashlib
import json
from pathlib import Path

import pytest

from tests.vit_engine.weights.fetching.children import Child
from tests.vit_engine.weights.serving import BODY, Asked, Served, Server
from vit_engine.errors import DownloadError
from vit_engine.weights.fetching.checksum import Expected
from vit_engine.weights.fetching.download import download

HALF = 1 << 20  # one piece
REST = Asked("/w.pth", f"bytes={HALF}-", '"one"')
OTHER = bytes(reversed(BODY))


class Cancelled(Exception):  # noqa: N818
    pass


def leave_half(server: Server, target: Path) -> None:
    """A download that was given up after its first piece."""

    def cancel(_: float, message: str) -> None:
        if message.startswith("downloading"):
            raise Cancelled

    with pytest.raises(Cancelled):
        download(f"{server.url}/w.pth", target, progress=cancel)
    assert (target.parent / ".w.pth.part").stat().st_size == HALF
    server.asked.clear()


def assert_whole(target: Path, body: bytes = BODY) -> None:
    assert target.read_bytes() == body
    names = sorted(path.name for path in target.parent.iterdir())
    assert names == [".w.pth.lock", "w.pth", "w.pth.sha256"]


def test_a_connection_that_breaks_is_made_again_for_the_rest(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(sends=[HALF, 500_000])
    told: list[tuple[float, str]] = []
    target = download(f"{server.url}/w.pth", tmp_path / "w.pth", progress=lambda *step: told.append(step))
    assert_whole(target)
    assert server.asked == [Asked("/w.pth"), REST, Asked("/w.pth", f"bytes={HALF + 500_000}-", '"one"')]
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions), "no step back while what has come is kept"


def test_a_connection_that_stalls_is_made_again_for_the_rest(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vit_engine.weights.fetching.connection.TIMEOUT", 0.2)
    server.files["/w.pth"] = Served(held=2 * HALF)
    assert_whole(download(f"{server.url}/w.pth", tmp_path / "w.pth"))
    assert server.asked == [Asked("/w.pth"), Asked("/w.pth", f"bytes={2 * HALF}-", '"one"')]


def test_the_rest_is_asked_for_where_the_server_sends_on(server: Server, tmp_path: Path) -> None:
    server.files["/link"] = Served(status=302, extra={"Location": "/w.pth"})
    server.files["/w.pth"] = Served(sends=[HALF])
    assert_whole(download(f"{server.url}/link", tmp_path / "w.pth"))
    assert server.asked == [Asked("/link"), Asked("/w.pth"), Asked("/link", REST.range, REST.if_range), REST]


def test_the_wait_before_it_tells_progress_and_can_be_cancelled(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vit_engine.weights.fetching.download.WAITS", (3600.0,))
    server.files["/w.pth"] = Served(sends=[HALF])

    def cancel(fraction: float, message: str) -> None:
        if message == "the connection broke; again in 3600 s":
            assert fraction == HALF / len(BODY)
            raise Cancelled

    with pytest.raises(Cancelled):
        download(f"{server.url}/w.pth", tmp_path / "w.pth", progress=cancel)


def test_a_connection_that_brings_nothing_more_is_given_up(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(sends=[HALF, 500, 0, 0, 0, 0])
    with pytest.raises(DownloadError, match=rf"the connection ended after {HALF + 500} of {len(BODY)} bytes"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert len(server.asked) == 5, "the first, one that brought more, and three that did not"
    assert (tmp_path / ".w.pth.part").stat().st_size == HALF + 500


def test_the_next_download_asks_for_the_rest(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served()
    leave_half(server, tmp_path / "w.pth")
    told: list[str] = []
    download(f"{server.url}/w.pth", tmp_path / "w.pth", progress=lambda _, message: told.append(message))
    assert_whole(tmp_path / "w.pth")
    assert server.asked == [REST]
    assert told[:2] == ["reading what is here of w.pth: 1 of 1 MB", "connecting to 127.0.0.1"]


@pytest.mark.parametrize(("left", "kept"), [(BODY[:HALF], True), (OTHER[:HALF], False)])
def test_what_an_earlier_download_left_counts_for_the_sha256(
    server: Server, tmp_path: Path, left: bytes, kept: bool
) -> None:
    server.files["/w.pth"] = Served()
    leave_half(server, tmp_path / "w.pth")
    part, expected = tmp_path / ".w.pth.part", Expected(hashlib.sha256(BODY).hexdigest(), "as the test says")
    part.write_bytes(left)
    with contextlib.nullcontext() if kept else pytest.raises(DownloadError, match="It was thrown away"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth", expected=expected)
    assert (tmp_path / "w.pth").exists() == kept
    assert not part.exists()
    assert server.asked == [REST]


def test_a_process_that_was_killed_leaves_its_part_to_the_next(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served(held=HALF + 1000)
    url, target = f"{server.url}/w.pth", tmp_path / "w.pth"
    with Child(url, target) as child:
        child.begin(until="downloading w.pth: 1 of 3 MB")
        child.kill()
    assert not target.exists()
    server.gate.set()
    download(url, target)
    assert_whole(target)
    assert server.asked == [Asked("/w.pth"), REST]


def test_a_part_that_only_had_to_be_renamed_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served()
    leave_half(server, tmp_path / "w.pth")
    (tmp_path / ".w.pth.part").write_bytes(BODY)
    download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth")
    assert server.asked == []


WHOLE = Asked("/w.pth")


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        (Served(OTHER, etag='"two"'), [REST]),  # the server sends all of it
        (Served(OTHER, ranges=False), [REST]),
        (Served(OTHER[:-1]), [REST, WHOLE]),  # its version has the same name, and another size
        (Served(OTHER[:HALF]), [REST, WHOLE]),  # what is asked for is beyond its end
        (Served(OTHER, skew=7), [REST, WHOLE]),  # the server sends another part
    ],
    ids=["version", "no ranges", "size", "shorter", "another part"],
)
def test_another_file_is_fetched_from_its_beginning(
    server: Server, tmp_path: Path, changed: Served, asked: list[Asked]
) -> None:
    server.files["/w.pth"] = Served()
    leave_half(server, tmp_path / "w.pth")
    server.files["/w.pth"] = changed
    download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth", changed.body)
    assert server.asked == asked


@pytest.mark.parametrize("served", [Served(etag=None), Served(etag='W/"weak"')], ids=["nothing", "a weak one"])
def test_without_a_name_for_its_version_nothing_is_gone_on_with(server: Server, tmp_path: Path, served: Served) -> None:
    served.sends = [HALF]
    server.files["/w.pth"] = served
    download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth")
    assert server.asked == [Asked("/w.pth"), Asked("/w.pth")]
    (tmp_path / "w.pth").unlink()
    served.sends = [HALF, HALF, HALF, HALF]
    with pytest.raises(DownloadError, match="the connection ended"):
        download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert not (tmp_path / ".w.pth.part").exists(), "nobody could go on with it"


def test_a_date_names_a_version_too(server: Server, tmp_path: Path) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.files["/w.pth"] = Served(etag='W/"weak"', modified=date)
    leave_half(server, tmp_path / "w.pth")
    download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth")
    assert server.asked == [Asked("/w.pth", REST.range, date)]


def test_the_part_of_another_url_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.files["/w.pth"] = Served()
    leave_half(server, tmp_path / "w.pth")
    server.files["/v2/w.pth"] = Served(OTHER)
    download(f"{server.url}/v2/w.pth", tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth", OTHER)
    assert server.asked == [Asked("/v2/w.pth")]


@pytest.mark.parametrize("note", ["", '{"url": "http', json.dumps({"url": 1})])
def test_a_part_whose_note_was_cut_off_is_fetched_again(server: Server, tmp_path: Path, note: str) -> None:
    server.files["/w.pth"] = Served()
    leave_half(server, tmp_path / "w.pth")
    (tmp_path / ".w.pth.part.json").write_text(note)
    download(f"{server.url}/w.pth", tmp_path / "w.pth")
    assert_whole(tmp_path / "w.pth")
    assert server.asked == [Asked("/w.pth")]
