"""What the disk does not do, and names that no file can have: told in words, and nothing is left behind."""

import errno
import io
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vit_engine as ve
from dashboard.services.checkpoints import uploads
from dashboard.services.checkpoints.uploads import Uploads
from tests.dashboard.support import ignore
from tests.dashboard.uploads import SIZE, everything, keep, path_of, used


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, and files copied in several pieces."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(uploads, "_PIECE", SIZE // 4)
    return tmp_path


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file can be larger: writing fails in its middle, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_disk_that_takes_no_more_is_told_in_words_and_nothing_is_left(temporary: Path) -> None:
    store = Uploads(3 * SIZE)
    kept = path_of(store, keep(store, 1))
    with files_end_at(SIZE // 2), pytest.raises(ve.CheckpointError, match=r"'mine\.pth'.*disk of this server is full"):
        keep(store, 2)
    assert everything(temporary) == [kept]
    assert store.holds(keep(store, 2))  # the same bytes, at once
    assert used(temporary) == 2 * SIZE


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "full"),
        (errno.EDQUOT, "full"),
        (errno.EROFS, "Read-only"),
        (errno.EIO, "Input/output"),
        (errno.EACCES, "denied"),
        (errno.EMFILE, "open files"),
        (errno.ENAMETOOLONG, "too long"),
    ],
)
def test_whatever_fails_is_told_without_a_path_and_the_same_bytes_can_come_again(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    store = Uploads(SIZE)

    def fail(_: object, target: Path, *__: object) -> None:
        target.write_bytes(b"half")
        raise OSError(number, os.strerror(number), str(target))

    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_copy", fail)
        with pytest.raises(ve.CheckpointError, match=words) as failure:
            keep(store)
    assert str(temporary) not in str(failure.value)
    assert everything(temporary) == []
    assert path_of(store, keep(store)).stat().st_size == SIZE


def test_a_copy_that_is_broken_off_in_its_middle_leaves_nothing_and_takes_no_room(temporary: Path) -> None:
    store = Uploads(SIZE)

    def stop(_: float, message: str) -> None:
        if message.startswith("keeping"):
            assert used(temporary) > 0
            raise StopIteration

    with pytest.raises(StopIteration):
        keep(store, 1, progress=stop)
    assert everything(temporary) == []
    assert store.holds(keep(store, 2))


def test_a_temporary_folder_that_cannot_be_used_is_told_and_tried_again(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Uploads(SIZE)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "nowhere"))
    with pytest.raises(ve.CheckpointError, match="No such file or directory") as failure:
        keep(store)
    assert str(temporary) not in str(failure.value)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert store.holds(keep(store))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_somebody_removed_from_the_disk_can_be_uploaded_again(what: str) -> None:
    store = Uploads(SIZE)
    sha256 = keep(store)
    path = path_of(store, sha256)
    shutil.rmtree(path.parent if what == "file" else path.parent.parent)
    assert not store.holds(sha256)
    assert keep(store) == sha256
    assert path_of(store, sha256).stat().st_size == SIZE


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("x" * 300 + ".pth", "304 bytes"),
        ("ж" * 128 + ".pth", "260 bytes"),
        ("a\0b.pth", "cannot be shown"),
        ("a\nb.pth", "cannot be shown"),
        ("a\udcffb.pth", "cannot be shown"),
        ("\u202ehtp.pth", "cannot be shown"),
        ("x.pth/", "must end in"),
        ("x" * 300, "must end in"),
    ],
)
def test_names_that_no_file_can_have_are_refused_before_a_byte_is_read(temporary: Path, title: str, words: str) -> None:
    store, source = Uploads(SIZE), io.BytesIO(b"data")
    with pytest.raises(ve.CheckpointError, match=words) as refused:
        store.keep(source, title=title, size=4, progress=ignore)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250
    assert source.tell() == 0
    assert everything(temporary) == []
    assert store.holds(store.keep(source, title="x.pth", size=4, progress=ignore))


@pytest.mark.parametrize("title", ["x" * 251 + ".pth", "UPPER.PTH", "[a](b) <i> 100%.pth", "x#y@4.pth", "naïve.pth"])
def test_other_names_are_taken_as_they_are(title: str) -> None:
    store = Uploads(SIZE)
    assert path_of(store, keep(store, title=title)).name == title
