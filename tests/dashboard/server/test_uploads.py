"""Uploads are bounded on the server, in front of Streamlit's own route: by file, session, all sessions, and speed."""

import time

import pytest
from starlette.exceptions import HTTPException
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from dashboard.server import held, uploads
from dashboard.server.uploads import Bounds, Transfer, UploadGuard
from tests.dashboard.server.asgi import call, http_scope, text
from tests.dashboard.server.client import BOUNDARY, form
from tests.dashboard.server.receiving import CHECKPOINT, MB, Runtime, bodies, kept, put, scope


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize(
    ("name", "largest"),
    [("a.png", MB), ("pth", MB), ("a.pth.png", MB), ("", MB), ("a.PTH", CHECKPOINT), ("é.safetensors", CHECKPOINT)],
)
def test_a_file_is_taken_up_to_its_kinds_size(guard: UploadGuard, name: str, largest: int, claimed: bool) -> None:
    assert put(guard, "a", "f", name, largest, claimed=claimed)[0] == 204
    assert kept("a") == {"f": largest}
    status, said = put(guard, "a", "g", name, MB + 1 if largest == MB else 2 * MB + 1, claimed=claimed)
    assert status == 413
    assert said.strip() == ("413: pictures may be at most 1 MB." if largest == MB else "File too large")
    assert "g" not in kept("a")


def test_a_length_that_is_too_long_is_refused_before_the_file_comes(guard: UploadGuard) -> None:
    data = form("a.png", b"\0" * 50)
    sent = call(guard, scope("a", "f", 3 * MB), {"type": "http.request", "body": data[:90], "more_body": True})
    assert (sent[0]["status"], text(sent)) == (413, "413: pictures may be at most 1 MB.\n")


def test_a_body_without_end_is_cut_off_where_it_is_too_long(guard: UploadGuard) -> None:
    head = form("a.png", b"").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    pieces = iter(range(999))
    endless = ({"type": "http.request", "body": b"\0" * 65536, "more_body": True} for _ in pieces)
    sent = call(guard, scope("a", "f", None), {"type": "http.request", "body": head, "more_body": True}, more=endless)
    assert next(pieces) == 17, "16 pieces are 1 MB"
    assert sent[0]["status"] == 413
    assert kept("a") == {}


def test_pieces_of_any_length_make_the_same_file(guard: UploadGuard) -> None:
    data = form("a.png", bytes(range(251)))
    assert call(guard, scope("a", "f", len(data)), *bodies(data, 1))[0]["status"] == 204
    assert held.files_of("a")["f"].data == bytes(range(251))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no form",
        b"\0" * 40_000,
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n--{BOUNDARY}--\r\n'.encode(),
        f"--{BOUNDARY}\r\nX: {'x' * 20_000}\r\n\r\n".encode() + form("a.png", b"1"),
    ],
)
def test_what_is_no_form_with_a_file_is_refused(guard: UploadGuard, data: bytes) -> None:
    pieces = list(bodies(data)) or [{"type": "http.request", "body": b"", "more_body": False}]
    assert call(guard, scope("a", "f", len(data)), *pieces)[0]["status"] == 400
    assert kept("a") == {}


def test_a_file_is_held_to_the_name_under_which_streamlit_keeps_it(guard: UploadGuard) -> None:
    """A first part that is called like a checkpoint does not make room for a picture behind it."""
    first = f'--{BOUNDARY}\r\nX: 1\r\nContent-Disposition: form-data; name="x"; filename="a.pth"'.encode()
    disguised = first + b'\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
    data = disguised + b"\0" * (MB + 1) + f"\r\n--{BOUNDARY}--\r\n".encode()
    assert call(guard, scope("a", "f", len(data)), *bodies(data))[0]["status"] == 413
    assert kept("a") == {}


def test_what_is_kept_is_held_to_the_name_and_the_bounds_of_what_came(runtime: Runtime) -> None:
    store = runtime.uploaded_file_mgr
    for file in ("1", "2", "f"):
        store.add_file("a", UploadedFileRec(file, "a.png", "image/png", b"\0" * MB))
    transfer = Transfer("a", "f", uploads.bounds_of("a.png"))
    uploads._check_kept(transfer, "a.png")
    assert kept("a") == {"2": MB, "f": MB}, "2 MB of pictures"
    with pytest.raises(HTTPException) as refused:
        uploads._check_kept(transfer, "a.pth")
    assert (refused.value.status_code, kept("a")) == (400, {"2": MB})


def test_a_sessions_newest_pictures_push_out_its_oldest_and_nothing_else(guard: UploadGuard) -> None:
    assert put(guard, "b", "theirs", "a.png", MB)[0] == 204
    assert put(guard, "a", "checkpoint", "a.pth", 1)[0] == 204
    for file in ("1", "2", "3"):
        assert put(guard, "a", file, "a.png", MB)[0] == 204
    assert kept("a") == {"checkpoint": 1, "2": MB, "3": MB}
    assert kept("b") == {"theirs": MB}
    for file in ("4", "5", "6"):
        assert put(guard, "a", file, "a.png", 1)[0] == 204
    assert kept("a") == {"checkpoint": 1, "4": 1, "5": 1, "6": 1}, "three files of a kind"


def test_a_file_that_comes_again_takes_its_own_place(guard: UploadGuard) -> None:
    for file in ("1", "2", "2"):
        assert put(guard, "a", file, "a.png", MB)[0] == 204
    assert kept("a") == {"1": MB, "2": MB}


def test_a_second_checkpoint_pushes_out_the_first(guard: UploadGuard) -> None:
    assert put(guard, "a", "1", "a.pth", CHECKPOINT)[0] == 204
    assert put(guard, "a", "2", "b.ckpt", MB)[0] == 204
    assert kept("a") == {"2": MB}


@pytest.mark.parametrize("claimed", [True, False])
def test_nobodys_files_make_room_for_those_of_others(guard: UploadGuard, runtime: Runtime, claimed: bool) -> None:
    runtime.active.update("cdef")
    for session in "bcd":
        assert put(guard, session, "f", "a.pth", CHECKPOINT)[0] == 204
    status, said = put(guard, "a", "f", "a.pth", CHECKPOINT, claimed=claimed)
    assert (status, said.strip()) == (503, "503: the server holds as many uploads as it may. Try again in a minute.")
    assert put(guard, "a", "f", "a.png", MB // 2)[0] == 204
    assert [kept(session) for session in "bcd"] == [{"f": CHECKPOINT}] * 3


@pytest.mark.parametrize(("others", "status"), [(3, 204), (4, 429)])
def test_a_session_uploads_a_few_files_at_once(guard: UploadGuard, others: int, status: int) -> None:
    guard._transfers |= {Transfer("a", str(number)) for number in range(others)} | {Transfer("b", "f")}
    assert put(guard, "a", "f", "a.png", 1)[0] == status


def test_what_comes_at_once_is_counted_together(guard: UploadGuard) -> None:
    pictures = Bounds("pictures", MB, 2 * MB, 3, 7 * MB)
    guard._transfers |= {Transfer("a", "1", pictures, MB), Transfer("a", "2", pictures, MB // 2)}
    assert put(guard, "a", "f", "a.png", MB)[0] == 429
    guard._transfers |= {Transfer("b", "1", pictures, 4 * MB)}
    assert put(guard, "b", "f", "a.pth", CHECKPOINT)[0] == 503


def test_what_does_not_go_on_ends(guard: UploadGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE", 0.01)
    data = form("a.png", b"\0" * 500)
    for pieces in ([data[:20]], [data[:200], data[200:400]]):
        messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        sent = call(guard, scope("a", "f", len(data)), *messages)
        assert (sent[0]["status"], dict(sent[0]["headers"])[b"connection"]) == (408, b"close")
    assert kept("a") == {}
    assert guard._transfers == set()


@pytest.mark.parametrize("received", [0, 20, 200])
def test_what_is_broken_off_leaves_nothing_behind(guard: UploadGuard, received: int) -> None:
    data = form("a.png", b"\0" * 500)
    piece = {"type": "http.request", "body": data[:received], "more_body": True}
    call(guard, scope("a", "f", len(data)), piece, {"type": "http.disconnect"})
    assert (kept("a"), guard._transfers) == ({}, set())


@pytest.mark.parametrize(
    ("seconds", "received", "patience"),
    [(0, 0, 30), (20, 0, 10), (30, 0, 0), (90, 0, 0), (90, 60 * 4096, 0), (90, 70 * 4096, 10), (90, 1 << 30, 30)],
)
def test_an_upload_may_be_slow_but_not_endless(seconds: float, received: int, patience: float) -> None:
    transfer = Transfer("a", "f", received=received, began=time.monotonic() - seconds)
    assert transfer.patience() == pytest.approx(patience, abs=2)


@pytest.mark.parametrize("session", ["stranger", "..", "A"])
def test_what_streamlit_refuses_is_not_read(guard: UploadGuard, session: str) -> None:
    sent = call(guard, scope(session, "f", 10 * MB))
    assert sent[0]["status"] == 400
    assert "Invalid session_id" in text(sent)


def test_other_requests_are_passed_on(guard: UploadGuard) -> None:
    assert put(guard, "a", "f", "a.png", 1)[0] == 204
    deleted = call(guard, http_scope("/_stcore/upload_file/a/f", "DELETE"))
    assert deleted[0]["status"] == 204
    assert kept("a") == {}


def record(size: int) -> UploadedFileRec:
    return UploadedFileRec("f", "a.png", "image/png", b"\0" * size)


def test_uploads_of_a_closed_tab_are_let_go_and_a_tab_that_comes_back_keeps_its_own(runtime: Runtime) -> None:
    for session in ("a", "b", "ended"):
        runtime.uploaded_file_mgr.add_file(session, record(10))
    sweeper = held.Sweeper(reconnect=30)
    runtime.active.discard("a")
    sweeper.sweep(100)
    sweeper.sweep(129.9)
    assert held.total_bytes() == 30
    runtime.active.add("a")
    sweeper.sweep(130)
    assert (held.total_bytes(), runtime.closed) == (20, ["ended"])
    runtime.active.discard("a")
    sweeper.sweep(140)
    sweeper.sweep(169.9)
    assert kept("a") == {"f": 10}
    sweeper.sweep(170)
    assert (kept("a"), kept("b"), runtime.closed) == ({}, {"f": 10}, ["ended", "a"])
