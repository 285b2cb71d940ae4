"""Headers of safetensors files come from strangers, and are held to what the file has."""

from pathlib import Path

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import saved
from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.read import read_checkpoint


def with_header(header: bytes, data: bytes = b"\0" * 24) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (with_header(b"{} ", b""), None),
        (with_header(b"{} "), "its tensors have 0 bytes, and the file has 24 for them"),
        (with_header(b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'), None),
        (with_header(b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}', b"\0" * 23), "end 24 bytes after"),
        (with_header(b'{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[4,24]}}'), r"20 bytes, which are no F32"),
        (with_header(b'{"a":{"dtype":"F32","shape":[2,-3],"data_offsets":[0,24]}}'), "nothing sensible of 'a'"),
        (with_header(b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}'), "nothing sensible of 'a'"),
        (with_header(b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[24,24]}}'), "leaves bytes free before it"),
        (
            with_header(
                b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[24,24]},'
                b'"b":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'
            ),
            None,
        ),
        (with_header(b'{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}'), "nothing sensible of 'a'"),
        (
            with_header(
                b'{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]},'
                b'"b":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}'
            ),
            "'b' overlaps the one before it: it begins at 20, expected 24",
        ),
        (
            with_header(
                b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},'
                b'"b":{"dtype":"F32","shape":[3],"data_offsets":[8,20]}}'
            ),
            "'b' overlaps the one before it: it begins at 8, expected 12",
        ),
        (
            with_header(
                b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},'
                b'"b":{"dtype":"F32","shape":[2],"data_offsets":[16,24]}}'
            ),
            "'b' leaves bytes free before it: it begins at 16, expected 12",
        ),
        (with_header(b'{"a":{"dtype":"F32","shape":[0,1%s],"data_offsets":[0,0]}}' % (b"0" * 30)), "sensible of 'a'"),
        (with_header(b'{"a":{"dtype":"F32","shape":[0,%d,8],"data_offsets":[0,0]}}' % 2**62), "sensible of 'a'"),
        (with_header(b'{"a":{"dtype":"F32","shape":[6%s],"data_offsets":[0,24]}}' % (b",1" * 15)), None),
        (with_header(b'{"a":{"dtype":"F32","shape":[6%s],"data_offsets":[0,24]}}' % (b",1" * 16)), "sensible of 'a'"),
        (with_header(b'{"a":{"dtype":%s,"shape":[6],"data_offsets":[0,24]}}' % (b"[" * 900 + b"]" * 900)), "type "),
        (with_header(b'{"a":{"dtype":"F32","shape":[2]}}'), "nothing sensible of 'a'"),
        (with_header(b'{"a":[1]}'), "nothing sensible of 'a'"),
        (with_header(b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,8]}}'), "of the type 'F4'; known are F64"),
        (with_header(b'{"a":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}}'), "of the type"),
        (with_header(b"{nonsense}"), "its header is no JSON"),
        (with_header(b"{" + b'"a":{' * 100_000), "its header is no JSON"),
        (
            (1 << 40).to_bytes(8, "little") + b"{}",
            "its header should have 1,099,511,627,776 bytes, and the file has 10",
        ),
    ],
)
def test_headers_of_safetensors_are_held_to_the_file(tmp_path: Path, content: bytes, reason: str | None) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    if reason is None:
        assert read_checkpoint(path).content.keys() <= {"a", "b"}
        return
    with pytest.raises(CheckpointError, match=rf"w\.safetensors is not a whole safetensors file: .*{reason}"):
        read_checkpoint(path)


def test_a_header_beyond_all_measure_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "w.safetensors", {"a": torch.ones(4)})
    monkeypatch.setattr("vit_engine.weights.reading.safetensors_file._LONGEST_HEADER", 10)
    with pytest.raises(CheckpointError, match=r"its header has \d+ bytes, and at most 10 are read"):
        read_checkpoint(path)


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580])
def test_a_header_whose_length_begins_as_a_pickle_does_is_a_header(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(with_header(b'{"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}'.ljust(length)))
    file = read_checkpoint(path)
    assert (file.container, list(file.content)) == ("safetensors", ["a"])
