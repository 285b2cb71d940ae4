"""A private folder goes with its process, however that ends, and nobody else's ever does."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dashboard.services.checkpoints import private_folder
from dashboard.services.checkpoints.private_folder import PrivateFolder, remove_abandoned

SHA256 = "0f" * 32
# Loaded from its file, so that the child need not import PyTorch.
CHILD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("private_folder", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
folder = module.PrivateFolder()
(folder.path / sys.argv[2]).mkdir()
(folder.path / sys.argv[2] / "mine.pth").write_bytes(b"weights")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def another_server(temporary: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process that holds an upload in a private folder of its own."""
    command = [sys.executable, "-c", CHILD, private_folder.__file__, SHA256]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def left_behind(temporary: Path, name: str = "vit-checkpoints-abc_1234") -> Path:
    """A folder as a killed server leaves it."""
    folder = temporary / name
    (folder / SHA256).mkdir(parents=True)
    (folder / SHA256 / "mine.pth").write_bytes(b"weights")
    folder.chmod(0o700)
    return folder


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(temporary: Path) -> None:
    with another_server(temporary) as (_, living), another_server(temporary) as (killed, abandoned):
        assert living.parent == abandoned.parent == temporary
        remove_abandoned()
        assert (living / SHA256 / "mine.pth").exists()
        assert (abandoned / SHA256 / "mine.pth").exists()
        killed.kill()
        killed.wait()
        remove_abandoned()
        assert not abandoned.exists()
        assert (living / SHA256 / "mine.pth").exists()


def test_a_process_that_ends_by_itself_takes_its_folder_along(temporary: Path) -> None:
    with another_server(temporary) as (process, folder):
        process.communicate("", timeout=60)
        assert process.returncode == 0
        assert not folder.exists()


def test_two_folders_of_one_process_do_not_take_each_other_away() -> None:
    first = PrivateFolder()
    remove_abandoned()
    second = PrivateFolder()
    remove_abandoned()
    assert first.path.is_dir()
    assert second.path.is_dir()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o700


def test_a_folder_that_is_removed_gives_its_descriptor_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    folder = PrivateFolder()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    folder.remove()
    assert not folder.path.exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_only_folders_of_our_making_are_removed(temporary: Path) -> None:
    ours = left_behind(temporary)
    older = left_behind(temporary, "vit-checkpoints-zzz_9999")
    (older / "tmp_12ab34x").write_bytes(b"half of a file")
    named = left_behind(temporary, "vit-checkpoints-of-last-year")
    other = left_behind(temporary, "something-else")
    entered = left_behind(temporary, "vit-checkpoints-open_123")
    entered.chmod(0o755)
    filled = left_behind(temporary, "vit-checkpoints-full_123")
    (filled / "thesis.tex").write_text("years of work", encoding="utf-8")
    file = temporary / "vit-checkpoints-file_123"
    file.write_bytes(b"data")
    remove_abandoned()
    assert not ours.exists()
    assert not older.exists()
    for kept in (named, other, entered, filled):
        assert (kept / SHA256 / "mine.pth").exists()
    assert file.exists()


def test_links_are_not_followed(temporary: Path) -> None:
    target = left_behind(temporary, "elsewhere")
    link = temporary / "vit-checkpoints-link_123"
    link.symlink_to(target)
    ours = left_behind(temporary)
    (ours / ("ab" * 32)).symlink_to(target)
    remove_abandoned()
    assert link.is_symlink()
    assert not ours.exists()
    assert (target / SHA256 / "mine.pth").exists()


def test_other_users_folders_stay(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = left_behind(temporary)
    monkeypatch.setattr(os, "geteuid", lambda: theirs.stat().st_uid + 1)
    remove_abandoned()
    assert (theirs / SHA256 / "mine.pth").exists()


def test_a_folder_that_is_swept_before_it_is_locked_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    make, made = tempfile.mkdtemp, []

    def swept_once(**options: str) -> str:
        made.append(make(**options))
        if len(made) == 1:
            remove_abandoned()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept_once)
    folder = PrivateFolder()
    assert not os.path.exists(made[0])
    assert folder.path == Path(made[1])
    assert folder.path.is_dir()


def test_a_temporary_folder_that_is_not_there_is_no_error(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "nowhere"))
    remove_abandoned()
