"""PyTorch's files are read as torch.load() reads them, and every byte of a tensor is verified."""

import argparse
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vit_engine.weights.fixtures_states import assert_same, prefixed, vit_state
from tests.vit_engine.weights.reading.spelling import called, keyed, name, number, packed, text, zipped
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.reading import pickles
from vit_engine.weights.reading.read import read_checkpoint

TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.bool, torch.complex64, torch.complex128),
)
NEWER_TYPES = (torch.float8_e4m3fn, torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64)


def tensors() -> dict[str, Tensor]:
    marked = torch.arange(5.0)
    marked.origin = "here"  # type: ignore[attr-defined]  # as some tools mark tensors
    return {
        **{str(dtype): torch.arange(7).to(dtype) for dtype in TYPES},
        "transposed": torch.arange(12.0).view(3, 4).t(),
        "every other": torch.arange(10.0)[2:8:2],
        "repeated": torch.ones(1).expand(4, 4),
        "number": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.arange(6.0).view(2, 3)),
        "marked": marked,
    }


def raw(tensor: Tensor) -> list[int]:
    """The bytes of its values, in order."""
    return tensor.detach().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("older", [False, True])
def test_tensors_are_those_of_torch(tmp_path: Path, older: bool) -> None:
    state = tensors() | ({} if older else {str(dtype): torch.arange(7).to(dtype) for dtype in NEWER_TYPES})
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=not older)
    content, expected = read_checkpoint(tmp_path / "w.pth").content, torch.load(tmp_path / "w.pth", weights_only=True)
    assert content.keys() == expected.keys()
    for key, tensor in expected.items():
        got = content[key]
        assert (got.dtype, got.shape, got.stride()) == (tensor.dtype, tensor.shape, tensor.stride()), key
        assert raw(got) == raw(state[key]), key


@pytest.mark.parametrize("older", [False, True])
def test_what_a_training_run_saves_beside_its_weights_is_read(tmp_path: Path, older: bool) -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.5)
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    beside: dict[str, Any] = {
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict(),
        "args": argparse.Namespace(arch="vit_small", lr=np.float64(0.1), steps=np.int64(3), old=np.float32(2.5)),
        "random": torch.get_rng_state(),
        "bytes": b"a\xff",
        "set": {1, "a"},
        "complex": 1 + 2j,
        "size": torch.Size([2, 3]),
        "type": torch.float16,
        "device": torch.device("cuda", 0),
        "by size": {(2, 3): "a"},
        "large": 1 << 70,
        "deep": [[{"a": (1, 2, 3, 4)}]],
    }
    torch.save({"model": layer.state_dict(), **beside}, tmp_path / "w.pth", _use_new_zipfile_serialization=not older)
    content = read_checkpoint(tmp_path / "w.pth").content
    assert_same(content["model"], layer.state_dict())
    assert isinstance(content["model"], OrderedDict)
    assert torch.equal(content["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert content["scheduler"]["milestones"] == Counter({3: 1, 5: 1})
    assert vars(content["args"]) == {"arch": "vit_small", "lr": 0.1, "steps": 3, "old": 2.5}
    assert torch.equal(content["random"], beside["random"])
    for key in ("bytes", "set", "complex", "size", "type", "by size", "large", "deep"):
        assert content[key] == beside[key], key


def test_tensors_of_one_storage_share_its_memory(tmp_path: Path) -> None:
    whole = torch.arange(12.0)
    torch.save({"a": whole, "b": whole.view(3, 4), "c": whole[6:]}, tmp_path / "w.pth")
    content = read_checkpoint(tmp_path / "w.pth").content
    assert content["a"].data_ptr() == content["b"].data_ptr() == content["c"].data_ptr() - 6 * 4


def repacked(path: Path, **changed: bytes) -> None:
    """The same archive with other records, each with a CRC-32 that fits."""
    with zipfile.ZipFile(path) as archive:
        records = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in records.items():
            archive.writestr(each, changed.get(each.split("/")[-1], data))


@pytest.mark.parametrize("values", [[1.5, -2.0, 3e7], [1.5 + 2j, 0j, -1j]])
def test_the_byte_order_of_another_machine_is_turned(tmp_path: Path, values: list[complex]) -> None:
    path, tensor = tmp_path / "w.pth", torch.tensor(values)
    torch.save({"a": tensor}, path)
    repacked(path, **{"byteorder": b"big", "0": tensor.numpy().byteswap().tobytes()})
    assert torch.equal(read_checkpoint(path).content["a"], tensor)


def records(path: Path) -> Iterator[tuple[str, int, int]]:
    """Of an archive as torch.save() writes it: name, first byte and one behind the last, of each record."""
    reader = torch._C.PyTorchFileReader(str(path))
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            begin = reader.get_record_offset(entry.filename.split("/", 1)[1])
            yield entry.filename, begin, begin + entry.file_size


def test_a_changed_byte_of_any_record_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(vit_state(depth=1), path)
    data, changed = path.read_bytes(), 0
    for record, begin, end in list(records(path)):
        for place in {begin, (begin + end) // 2, end - 1}:
            path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
            with pytest.raises(CheckpointError, match=r"w\.pth.*(Copy it again|Save its state_dict\(\) alone)"):
                pytest.fail(f"{record} was read: {read_checkpoint(path)}")
            changed += 1
    assert changed > 50
    path.write_bytes(data)
    assert load_model(path, heads=3, device="cpu").spec.depth == 1


def test_a_changed_byte_of_a_storage_that_no_tensor_needs_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    zipped(keyed([]), {"0": b"needless"})(path)
    assert read_checkpoint(path).content == {}
    path.write_bytes(path.read_bytes().replace(b"needless", b"Needless"))
    with pytest.raises(CheckpointError, match=r"BadZipFile while reading it\)\. Copy it again"):
        read_checkpoint(path)


def test_a_changed_checksum_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.arange(4.0)}, path)
    with zipfile.ZipFile(path) as archive:
        checksum = archive.getinfo("w/data/0").CRC.to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(checksum, bytes(4)))
    with pytest.raises(CheckpointError, match=r"BadZipFile while reading it\)\. Copy it again"):
        read_checkpoint(path)


def test_files_that_were_saved_without_checksums_are_read(tmp_path: Path) -> None:
    checked = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(vit_state(), tmp_path / "w.pth")
    finally:
        torch.serialization.set_crc32_options(checked)
    with zipfile.ZipFile(tmp_path / "w.pth") as archive:
        assert archive.testzip() is not None, "it has checksums"
    assert_same(load_model(tmp_path / "w.pth", heads=3, device="cpu").model.state_dict(), vit_state())


def test_a_wrapped_and_tied_training_file_is_loaded(tmp_path: Path) -> None:
    state = vit_state()
    content = {"model": prefixed(state, "module."), "teacher": prefixed(dict(state), "module."), "epoch": 3}
    torch.save(content, tmp_path / "w.pth")
    loaded = load_model(tmp_path / "w.pth", heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), state)
    assert loaded.report.part == "teacher"


def test_what_the_process_has_added_to_torchs_safe_names_is_left(tmp_path: Path) -> None:
    before = torch.serialization.get_safe_globals()
    torch.save({"a": torch.ones(1), "args": argparse.Namespace(lr=np.float64(1))}, tmp_path / "w.pth")
    read_checkpoint(tmp_path / "w.pth")
    assert torch.serialization.get_safe_globals() == before


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (called(name("os", "system"), text("true")), "os.system"),
        (called(name("builtins", "eval"), text("1")), "builtins.eval"),
        (name("torch", "load"), "torch.load"),
        (name("torch", "nn.Linear"), "torch.nn.Linear"),
        (name("torch._utils", "_rebuild_wrapper_subclass"), "torch._utils._rebuild_wrapper_subclass"),
        (name("torch.cuda", "QUInt4x2Storage"), "torch.cuda.QUInt4x2Storage"),
        (name("x" * 1000, "y"), f"{'x' * 99}…"),
    ],
)
def test_a_name_that_is_not_known_is_refused_by_name(tmp_path: Path, value: bytes, asked: str) -> None:
    zipped(keyed([(text("a"), value)]))(tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as refusal:
        read_checkpoint(tmp_path / "w.pth")
    assert f"nothing of it was run (it asks for {asked})" in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (number((1 << 63) - 1), None),
        (number(1 << 63), "has a key that is too large a number, which must be below 2 to the 63rd"),
        (packed(text("a"), number(-(1 << 63))), "has a key that is too large a number, which must be below"),
        (packed(*[number(1)] * 16), None),
        (packed(*[number(1)] * 17), r"has keys that are no names or numbers \(tuple\)"),
        (text("a" * 10_000), None),
        (text("a" * 10_001), "has a key of 10,001 characters, and at most 10,000 are read"),
        (packed(text("a" * 5000), text("b" * 5001)), "has a key of 10,001 characters"),
    ],
)
def test_keys_are_bounded(tmp_path: Path, key: bytes, reason: str | None) -> None:
    zipped(keyed([(key, b"N")]))(tmp_path / "w.pth")
    if reason is None:
        assert list(read_checkpoint(tmp_path / "w.pth").content.values()) == [None]
        return
    with pytest.raises(CheckpointError, match=f"nothing of it was run: it {reason}"):
        read_checkpoint(tmp_path / "w.pth")


def test_a_pickle_longer_than_any_models_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    monkeypatch.setattr(pickles.Limited.__init__, "__defaults__", (100,))
    with pytest.raises(CheckpointError, match=r"w\.pth: it holds more than weights: a pickle of over 64,000,000 bytes"):
        read_checkpoint(tmp_path / "w.pth")
