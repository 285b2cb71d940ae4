"""Weight files are read without running anything of them, and damage is always a CheckpointError."""

import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vit_engine.errors import CheckpointError
from vit_engine.weights.read import read_checkpoint

STATE = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


def saved(path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=path.suffix == ".pth")
    return path


@pytest.mark.parametrize(
    ("name", "format_name"), [("w.pth", "torch"), ("w.old", "torch"), ("w.safetensors", "safetensors")]
)
def test_tensors_come_back_with_the_format_and_the_checksum(tmp_path: Path, name: str, format_name: str) -> None:
    path = saved(tmp_path / name)
    file = read_checkpoint(path)
    assert file.content.keys() == STATE.keys()
    assert all(torch.equal(file.content[key], STATE[key]) for key in STATE)
    assert (file.container, file.sha256) == (format_name, hashlib.sha256(path.read_bytes()).hexdigest())


class Trap:
    """Unpickled, it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("kind", ["zip", "old", "bare pickle", "safetensors by name"])
def test_nothing_of_a_malicious_pickle_runs(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "trapped", tmp_path / ("w.safetensors" if "by name" in kind else "w.pth")
    content = {"teacher": {"a": torch.ones(1)}, "trap": Trap(target)}
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "old")
    with pytest.raises(CheckpointError, match=r"nothing of it was run|not a whole safetensors file") as refusal:
        read_checkpoint(path)
    assert not target.exists()
    if kind in {"zip", "old"}:
        assert f"it asks for {os.mkdir.__module__}.mkdir" in str(refusal.value)
        torch.load(path, weights_only=False)
        assert target.exists(), "the trap does not work"


@pytest.mark.parametrize("name", ["w.pth", "w.old", "w.safetensors"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name)
    data = path.read_bytes()
    for length in range(1, len(data), max(1, len(data) // 50)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"Copy it again|Download it again|Save its state_dict\(\) alone"):
            read_checkpoint(path)


@pytest.mark.parametrize("name", ["w.pth", "w.old", "w.safetensors"])
def test_damage_anywhere_is_a_checkpoint_error_or_leaves_a_file(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name)
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x55]) + data[position + 1 :])
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            assert path.name in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"<!DOCTYPE html>\n<html>404</html>", b"hello", b"PK\x03\x04", b"\x80\x02.", b"0"])
def test_what_is_no_weight_file_is_refused_and_no_unsafe_way_suggested(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name} is (not a|damaged|a PyTorch file or)") as refusal:
        read_checkpoint(path)
    assert "weights_only" not in str(refusal.value)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=rf"{name} is empty \(0 bytes\)"):
        read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("name", ["missing.pth", "missing/w.pth", "missing.pth#teacher", "w\0.pth", "n" * 300])
def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read: .* Check the path"):
        read_checkpoint(tmp_path / name)
