"""A folder of checkpoints that may not be read, that goes meanwhile, that is none, or that is very large."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vit_engine as ve
from dashboard.services import limits
from dashboard.services.checkpoints import folder, user_models
from tests.dashboard.checkpoints import touch
from tests.dashboard.support import ignore


@contextmanager
def nobody() -> Iterator[None]:
    """Without the rights of root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_the_server_may_not_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        touch(root / "good.pth")
        touch(root / "closed.pth").chmod(0)
        touch(root / "folder" / "x.pth")
        (root / "folder").chmod(0)
        monkeypatch.setenv(folder.VARIABLE, name)
        with nobody():
            listed = folder.list_checkpoints()
            with pytest.raises(ve.CheckpointError, match=folder.NOT_READABLE):
                folder.find_checkpoint("closed.pth")
            with pytest.raises(ve.CheckpointError, match="there is no checkpoint"):
                folder.find_checkpoint("folder/x.pth")
        (root / "folder").chmod(0o755)
    assert listed.names == ("good.pth",)
    assert listed.left_out == ((folder.NOT_READABLE, 2),)


def test_a_file_that_goes_between_two_looks_is_an_error_in_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = touch(root / "run" / "x.pth")
    monkeypatch.setattr(user_models, "find_checkpoint", lambda name: path.with_name("gone.pth"))
    with pytest.raises(ve.CheckpointError, match=r"'gone\.pth' cannot be read: No such file") as error:
        user_models.inspect("file:run/x.pth", ignore)
    assert str(root) not in str(error.value)


def test_a_folder_that_goes_while_it_is_listed_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(root / "a" / "x.pth")
    touch(root / "b" / "x.pth")
    scan = os.scandir

    def late(path: str):
        if path == str(root / "a"):
            shutil.rmtree(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", late)
    assert folder.list_checkpoints().names == ("b/x.pth",)


@pytest.mark.parametrize("configured", ["{root}/gone", "{root}/x.pth", "{root}/loop", "~nobody-of-this-name/x", "."])
def test_a_configured_folder_that_is_none_is_told_without_its_path(
    root: Path, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    touch(root / "x.pth")
    (root / "loop").symlink_to("loop")
    gone = root / "here"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv(folder.VARIABLE, configured.format(root=root) if configured != "." else str(gone))
    for ask in (folder.list_checkpoints, lambda: folder.find_checkpoint("x.pth")):
        with pytest.raises(ve.CheckpointError, match="must name a folder") as error:
            ask()
        assert str(root) not in str(error.value)


def test_a_very_large_folder_is_listed_within_bounds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the hub's names are read with those beside them: each is looked at once, not once for each other."""
    for number in range(60):
        touch(root / f"model-{number}-of-60.safetensors")
        touch(root / "many" / str(number) / "x.pth")
    monkeypatch.setattr(limits, "MAX_ENTRIES", 100)
    looks: list[str] = []
    scan, real = os.scandir, os.path.realpath
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scan(path))
    monkeypatch.setattr(os.path, "realpath", lambda path, **options: looks.append(path) or real(path, **options))
    listed = folder.list_checkpoints()
    assert listed.cut
    assert 1 < len(listed.names) <= 100
    assert len(looks) <= 102
