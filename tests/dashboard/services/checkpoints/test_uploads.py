"""Uploaded checkpoints stay within their bound on disk, survive each other, and leave nothing where the disk fails."""

import io
import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vit_engine as ve
from dashboard.services import limits
from dashboard.services.checkpoints import uploads
from dashboard.services.checkpoints.uploads import Uploads
from tests.dashboard.support import ignore
from tests.dashboard.uploads import SIZE, everything, keep, path_of, used

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, and files copied in several pieces."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(uploads, "_PIECE", SIZE // 4)
    return tmp_path


def deleted_but_open(folder: Path) -> list[str]:
    """Files of a folder that are gone and whose space a descriptor of this process still takes."""
    links = []
    for descriptor in os.listdir(DESCRIPTORS):
        try:
            links.append(os.readlink(DESCRIPTORS / descriptor))
        except FileNotFoundError:  # of the listing itself, or of another thread
            continue
    return [link for link in links if link.startswith(str(folder)) and link.endswith("(deleted)")]


def test_a_hundred_uploads_take_no_descriptor_and_no_more_than_the_bound(temporary: Path) -> None:
    store = Uploads(3 * SIZE)
    keep(store)
    before = len(os.listdir(DESCRIPTORS))
    for seed in range(100):
        keep(store, seed)
    assert len(os.listdir(DESCRIPTORS)) == before
    assert deleted_but_open(temporary) == []
    assert used(temporary) == 3 * SIZE


def test_the_bound_holds_at_every_moment_while_several_upload_at_once(temporary: Path) -> None:
    store, together = Uploads(3 * SIZE), threading.Barrier(6)
    seen: list[int] = []

    def measure(*_: object) -> None:
        with store._changed:  # else one file could go and another come while they are counted
            seen.append(used(temporary))

    def upload(seed: int) -> str:
        together.wait(timeout=60)
        return keep(store, seed, progress=measure)

    with ThreadPoolExecutor(6) as sessions:
        kept = list(sessions.map(upload, range(6)))
    assert max(seen) <= 3 * SIZE
    assert deleted_but_open(temporary) == []
    assert sum(store.holds(sha256) for sha256 in kept) == 3
    assert used(temporary) == 3 * SIZE


@pytest.mark.parametrize("second", [1, 2], ids=["the same bytes", "other bytes"])
def test_who_needs_the_room_or_the_bytes_of_one_that_is_being_written_waits_for_it(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, second: int
) -> None:
    store, copy = Uploads(3 * SIZE if second == 1 else SIZE), uploads._copy
    begun, waiting, go_on, written = threading.Event(), threading.Event(), threading.Event(), []

    def counting(*arguments: object) -> None:
        written.append(arguments[1])
        copy(*arguments)

    def hold(_: float, message: str) -> None:
        if message.startswith("keeping"):
            begun.set()
            assert go_on.wait(timeout=60)

    def look(_: float, message: str) -> None:
        if message.startswith("waiting"):
            waiting.set()

    monkeypatch.setattr(uploads, "_copy", counting)
    with ThreadPoolExecutor(2) as sessions:
        try:
            first = sessions.submit(keep, store, 1, progress=hold)
            assert begun.wait(timeout=60)
            other = sessions.submit(keep, store, second, progress=look)
            assert waiting.wait(timeout=60)
            assert 0 < used(temporary) <= SIZE
            assert len(written) == 1
        finally:
            go_on.set()
        assert (other.result() == first.result()) == (second == 1)
    assert len(written) == second
    assert store.holds(other.result())
    assert used(temporary) == SIZE


def test_room_is_made_before_a_byte_is_written(temporary: Path) -> None:
    store = Uploads(2 * SIZE)
    keep(store, 1)
    keep(store, 2)
    seen: list[int] = []
    keep(store, 3, progress=lambda fraction, message: seen.append(used(temporary)))
    assert max(seen) == 2 * SIZE


def test_a_file_that_is_being_read_stays_and_who_needs_its_room_waits(temporary: Path) -> None:
    store, waiting, done = Uploads(SIZE), threading.Event(), threading.Event()
    first = keep(store, 1)

    def progress(_: float, message: str) -> None:
        if message.startswith("waiting"):
            waiting.set()

    with ThreadPoolExecutor(1) as session, store.reading(first, "mine.pth") as path, path.open("rb") as file:
        other = session.submit(keep, store, 2, progress=progress)
        other.add_done_callback(lambda _: done.set())
        assert waiting.wait(timeout=60)
        assert not done.is_set()
        assert used(temporary) == SIZE
        assert len(file.read()) == SIZE
    assert store.holds(other.result())
    assert not store.holds(first)
    assert used(temporary) == SIZE


def test_a_file_that_is_not_being_read_goes_before_one_that_is_even_if_it_was_used_later() -> None:
    store = Uploads(2 * SIZE)
    first, second = keep(store, 1), keep(store, 2)
    with store.reading(first, "mine.pth"):
        store.find(second)
        third = keep(store, 3)
    assert [store.holds(sha256) for sha256 in (first, second, third)] == [True, False, True]


def test_one_that_is_gone_cannot_be_read() -> None:
    store = Uploads(SIZE)
    first = keep(store, 1)
    keep(store, 2)
    with pytest.raises(ve.CheckpointError, match="upload it again"), store.reading(first, "mine.pth"):
        pass


def test_very_many_very_small_files_are_bounded_in_number(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_UPLOADS", 3)
    store = Uploads(1000)
    kept = [keep(store, seed, size=1) for seed in range(5)]
    assert [store.holds(sha256) for sha256 in kept] == [False, False, True, True, True]
    assert len(everything(temporary)) == 3


def test_the_size_is_measured_and_not_believed() -> None:
    store = Uploads(SIZE)
    with pytest.raises(ve.CheckpointError, match="are kept here"):
        store.keep(io.BytesIO(b"x" * (SIZE + 1)), title="mine.pth", size=1, progress=ignore)


# The same bytes once more.


def test_the_same_bytes_under_another_name_leave_the_file_as_it_is(temporary: Path) -> None:
    store = Uploads(3 * SIZE)
    sha256 = keep(store, title="mine.pth")
    before = path_of(store, sha256).stat()
    written: list[int] = []
    assert keep(store, title="other.safetensors", progress=lambda *_: written.append(used(temporary))) == sha256
    path = path_of(store, sha256)
    assert path.name == "mine.pth"
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert set(written) == {SIZE}
    assert everything(temporary) == [path]


def test_the_same_bytes_from_several_sessions_at_once_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store, together, copy = Uploads(3 * SIZE), threading.Barrier(4), uploads._copy
    written: list[Path] = []

    def counting(source, target: Path, size: int, progress) -> None:
        written.append(target)
        copy(source, target, size, progress)

    monkeypatch.setattr(uploads, "_copy", counting)

    def upload(number: int) -> str:
        together.wait(timeout=60)
        return keep(store, title=f"{number}.pth")

    with ThreadPoolExecutor(4) as sessions:
        (sha256,) = set(sessions.map(upload, range(4)))
    (path,) = written
    assert path_of(store, sha256) == path
    assert path.stat().st_size == SIZE


def test_a_file_can_be_read_under_the_name_that_it_had_before_it_went_and_came_back() -> None:
    store = Uploads(SIZE)
    sha256 = keep(store, 1, title="mine.pth")
    keep(store, 2)
    assert keep(store, 1, title="other.pth") == sha256
    with store.reading(sha256, "mine.pth") as path:
        assert path.name == "mine.pth"
        assert path.read_bytes() == b"\1" * SIZE
