"""Weight files are read without running anything of them, and damage is always a CheckpointError."""

import argparse
import hashlib
import os
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.vit_engine.weights.fixtures_states import assert_same
from tests.vit_engine.weights.fixtures_states import saved as saved_as
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.weights.reading.limits import LIMIT_VARIABLE
from vit_engine.weights.reading.read import read_checkpoint, split_part

STATE = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}
TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.bool, torch.complex64),
)


def saved(path: Path) -> Path:
    if path.suffix == ".old":
        torch.save(STATE, path, _use_new_zipfile_serialization=False)
        return path
    return saved_as(path, STATE)


@pytest.mark.parametrize(
    ("name", "format_name"), [("w.pth", "torch"), ("w.old", "torch"), ("w.safetensors", "safetensors")]
)
@pytest.mark.parametrize("renamed", ["w", "w.bin", "w.ckpt", "w.pt", "w.pth", "w.safetensors", "pytorch_model.bin"])
def test_tensors_come_back_by_content_whatever_the_file_is_called(
    tmp_path: Path, name: str, format_name: str, renamed: str
) -> None:
    path = saved(tmp_path / "first" / name) if name != "w.old" else saved(tmp_path / name)
    path = path.rename(tmp_path / renamed)
    file = read_checkpoint(path)
    assert_same(file.content, STATE)
    assert (file.container, file.sha256) == (format_name, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (file.config, file.preprocessor, file.part) == ({}, {}, "")


def test_every_type_of_safetensors_comes_back_as_its_own_library_reads_it(tmp_path: Path) -> None:
    state = {str(dtype): torch.arange(7).to(dtype) for dtype in TYPES}
    state |= {"number": torch.tensor(3.5), "empty": torch.ones(0, 3), "rows": torch.arange(6.0).view(2, 1, 3)}
    path = saved_as(tmp_path / "w.safetensors", state)
    content, expected = read_checkpoint(path).content, load_file(path)
    assert content.keys() == expected.keys() == state.keys()
    for name, tensor in expected.items():
        assert (content[name].dtype, content[name].shape) == (tensor.dtype, tensor.shape), name
        assert bytes(content[name].flatten().view(torch.uint8).tolist()) == bytes(
            tensor.flatten().view(torch.uint8).tolist()
        ), name


@pytest.mark.parametrize("name", ["w.pth", "w.old", "w.safetensors"])
@pytest.mark.parametrize("change", ["overwritten", "deleted"])
def test_what_was_read_stays_when_the_file_changes(tmp_path: Path, name: str, change: str) -> None:
    path = saved(tmp_path / name)
    content = read_checkpoint(path).content
    if change == "deleted":
        path.unlink()
    else:
        with path.open("r+b") as file:  # in place, as training writes its last checkpoint anew
            file.write(b"\xff" * path.stat().st_size)
    assert_same(content, STATE)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / name)
    hashed = read_checkpoint.__globals__["_sha256"]

    def then_touched(files: tuple[Path, ...]) -> str:
        os.utime(path, ns=(1, 1))
        return hashed(files)

    monkeypatch.setitem(read_checkpoint.__globals__, "_sha256", then_touched)
    with pytest.raises(CheckpointError, match=rf"{name} changed while it was read\. Load it again"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_is_in_memory_once_at_most(tmp_path: Path, name: str) -> None:
    mebibyte = 1 << 20
    path = saved_as(tmp_path / name, {str(number): torch.ones(mebibyte // 4) for number in range(8)})
    tracemalloc.start()
    try:
        read_checkpoint(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 9.5 * mebibyte


class Trap:
    """Unpickled, it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("kind", ["zip", "old", "bare pickle"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "model.safetensors", "pytorch_model.bin"])
def test_nothing_of_a_malicious_pickle_runs(tmp_path: Path, kind: str, name: str) -> None:
    target, path = tmp_path / "trapped", tmp_path / name
    content = {"teacher": {"a": torch.ones(1)}, "trap": Trap(target)}
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "old")
    with pytest.raises(CheckpointError, match=r"nothing of it was run") as refusal:
        read_checkpoint(path)
    assert not target.exists()
    if kind in {"zip", "old"}:
        assert f"it asks for {os.mkdir.__module__}.mkdir" in str(refusal.value)
        with path.open("rb") as file:
            torch.load(file, weights_only=False)
        assert target.exists(), "the trap does not work"


def test_many_threads_read_training_files_at_once(tmp_path: Path) -> None:
    content = {"model": STATE, "args": argparse.Namespace(lr=np.float64(0.1)), "epoch": 3}
    paths = [saved_as(tmp_path / f"{number}.pth", content) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(read_checkpoint, paths * 4))
    assert {file.content["args"].lr for file in found} == {0.1}


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


@pytest.mark.parametrize("name", ["missing.pth", "missing/w.pth", "missing.pth#teacher", "w\0.pth", "n" * 300])
def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read: .* Check the path"):
        read_checkpoint(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth is a named pipe and no file\. Pass a file"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
def test_a_device_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"/dev/zero is a device and no file"):
        read_checkpoint(Path("/dev/zero"))


def bomb(path: Path) -> None:
    """A thousand times as large when it is unpacked."""
    torch.save(STATE, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data/9", b"\0" * 3_000_000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: torch.save({"a": torch.ones(500_000)}, path), r"w\.pth has 2,00\d,\d+ bytes; at most 1,000,000"),
        (bomb, r"w\.pth unpacks to 3,00\d,\d+ bytes; at most 1,000,000 are read\. Set VIT_ENGINE_MAX_CHECKPOINT_BYTES"),
    ],
)
def test_a_file_over_the_limit_is_refused(
    tmp_path: Path, make: Callable[[Path], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "w.pth")
    monkeypatch.setenv(LIMIT_VARIABLE, "1000000")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "w.pth")
    monkeypatch.delenv(LIMIT_VARIABLE)
    if make is not bomb:
        assert read_checkpoint(tmp_path / "w.pth").content["a"].numel() == 500_000


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    bomb(tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth is a compressed zip archive, and PyTorch's are not"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("text", ["many", "-3", "0", "1.5", "2 GB"])
def test_a_limit_that_is_no_number_is_refused(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(SpecError, match=rf"{LIMIT_VARIABLE} must be a number of bytes of at least 1; got '{text}'"):
        read_checkpoint(saved(tmp_path / "w.pth"))


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        ("run.pth", "run.pth", ("run.pth", "")),
        ("run.pth", "run.pth#student", ("run.pth", "student")),
        ("run.pth", "run.pth#model.teacher", ("run.pth", "model.teacher")),
        ("run.pth", "run.pth#", ("run.pth", "")),
        ("run#3.pth", "run#3.pth", ("run#3.pth", "")),
        ("run#3.pth", "run#3.pth#ema", ("run#3.pth", "ema")),
        ("run.pth", "other.pth#ema", ("other.pth#ema", "")),
        ("run", "run#ema", ("run", "ema")),
        ("run#ema", "run#ema", ("run#ema", "")),
    ],
)
def test_a_part_stands_after_a_hash_of_what_is_there(
    tmp_path: Path, there: str, asked: str, expected: tuple[str, str]
) -> None:
    (tmp_path / there).touch()
    path, part = split_part(tmp_path / asked)
    assert (path.relative_to(tmp_path), part) == (Path(expected[0]), expected[1])


def test_a_file_of_ones_own_name_with_a_hash_comes_before_a_part(tmp_path: Path) -> None:
    saved(tmp_path / "run.pth")
    saved_as(tmp_path / "run.pth#teacher", {"c": torch.ones(3)})
    assert read_checkpoint(tmp_path / "run.pth#teacher").content.keys() == {"c"}
    assert (read_checkpoint(tmp_path / "run.pth#b").path, read_checkpoint(tmp_path / "run.pth#b").part) == (
        tmp_path / "run.pth",
        "b",
    )
