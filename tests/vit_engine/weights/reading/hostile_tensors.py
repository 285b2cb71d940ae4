"""Checkpoints whose tensors, texts or shapes stand where something else is expected, which makes a small file large.

A tensor of stride 0 claims any number of rows; iterating over it makes a tensor of each.
"""

import json
import pickle
import zipfile
from pathlib import Path

import torch

from tests.vit_engine.weights.fixtures_states import vit_state
from tests.vit_engine.weights.reading.hostile import holding, safetensors
from tests.vit_engine.weights.reading.spelling import (
    Write,
    called,
    get,
    keyed,
    legacy,
    name,
    number,
    packed,
    put,
    storage,
    tensor,
    text,
    writing,
    zipped,
)

ROWS = 2_000_000  # which take 1 GB as tensors
LARGE = tensor(storage(4), [ROWS], [0])
PAIRS = tensor(storage(4), [ROWS, 2], [0, 1])
OLDER = tensor(storage(4, "0", b"N"), [ROWS], [0])
ONE = packed(number(1))
LONG = text("a" * 1_000_000) + put(5)


def rebuilt(size: bytes, stride: bytes) -> bytes:
    return called(name("torch._utils", "_rebuild_tensor_v2"), storage(4), number(0), size, stride, b"\x89", b"N")


def legacy_with(magic: bytes = b"", system: bytes = b"", keys: bytes = b"") -> Write:
    """A file of PyTorch before 1.6, with one of its pickles in another's place."""
    usual = [pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, ["0"])]
    odd = [b"\x80\x02" + each + b"." if each else b"" for each in (magic, b"", system, b"", keys)]
    return writing(b"".join(mine or others for mine, others in zip(odd, usual, strict=True)))


def long_key(level: str) -> Write:
    """A key of 300 times one text beside a whole model: at the top, or beside it in its own dict."""

    def write(path: Path) -> None:
        state = {"MARK": 1}
        torch.save({"model": vit_state() | (state if level == "inner" else {}), "beside": state, **state}, path)
        with zipfile.ZipFile(path) as archive:
            records = {each: archive.read(each) for each in archive.namelist()}
        key = packed(LONG, *[get(5)] * 300)
        with zipfile.ZipFile(path, "w") as archive:
            for each, data in records.items():
                archive.writestr(each, data.replace(text("MARK"), key, 1) if each.endswith("data.pkl") else data)

    return write


def shaped(sides: list[int], nbytes: int) -> Write:
    header = {"a": {"dtype": "F32", "shape": sides, "data_offsets": [0, nbytes]}}
    return safetensors(json.dumps(header).encode(), b"\0" * nbytes)


TENSOR_FILES: dict[str, Write] = {
    "content-is-tensor": zipped(LARGE),
    "size-of-tensor": holding(called(name("torch", "Size"), LARGE)),
    "set-of-tensor": holding(called(name("builtins", "set"), LARGE)),
    "pairs-of-tensor": holding(called(name("collections", "OrderedDict"), PAIRS)),
    "pair-is-tensor": holding(called(name("collections", "OrderedDict"), packed(LARGE))),
    "counter-of-tensor": holding(called(name("collections", "Counter"), LARGE)),
    "complex-of-tensor": holding(called(name("builtins", "complex"), LARGE)),
    "namespace-of-tensor": holding(called(name("argparse", "Namespace"), LARGE)),
    "size-is-tensor": holding(rebuilt(LARGE, ONE)),
    "stride-is-tensor": holding(rebuilt(ONE, LARGE)),
    "meta-size-is-tensor": holding(
        called(name("torch._utils", "_rebuild_meta_tensor_no_storage"), name("torch", "float32"), LARGE, ONE, b"\x89")
    ),
    "rebuilt-with-tensor": holding(
        called(
            name("torch._tensor", "_rebuild_from_type_v2"),
            name("torch", "Tensor"),
            name("torch", "Tensor"),
            LARGE,
            b"N",
        )
    ),
    "rebuilt-with-inner-tensor": holding(
        called(
            name("torch._tensor", "_rebuild_from_type_v2"),
            name("torch._utils", "_rebuild_tensor_v2"),
            name("torch", "Tensor"),
            packed(storage(4), number(0), LARGE, ONE, b"\x89", b"N"),
            b"N",
        )
    ),
    "storage-is-tensor": holding(LARGE + b"Q"),
    "storage-is-tensor-legacy": legacy(OLDER + b"Q"),
    "storage-part-is-tensor-legacy": legacy(storage(4, "0", OLDER)),
    "magic-is-tensor-legacy": legacy_with(magic=OLDER),
    "system-is-tensor-legacy": legacy_with(system=OLDER),
    "keys-are-tensor-legacy": legacy_with(keys=OLDER),
    "key-is-tensor": holding(keyed([(LARGE, b"N")])),
    "key-has-tensor": holding(keyed([(packed(LARGE), b"N")])),
    "items-into-tensor": holding(LARGE + b"(" + text("a") + b"Nu"),
    "append-to-tensor": holding(LARGE + b"(Ne"),
    "state-of-tensor": holding(LARGE + b"}b"),
    "type-state-is-tensor": holding(called(name("numpy", "dtype"), text("f8")) + LARGE + b"b"),
    "namespace-state-is-tensor": holding(called(name("argparse", "Namespace")) + LARGE + b"b"),
    "number-of-tensor": holding(
        called(name("numpy.core.multiarray", "scalar"), called(name("numpy", "dtype"), text("f8")), LARGE)
    ),
    "called-tensor": holding(called(LARGE, LARGE)),
    "long-tuple-key": zipped(keyed([(LONG + b"0" + packed(*[get(5)] * 300), number(1))])),
    "long-tuple-key-beside": long_key("top"),
    "long-tuple-key-inner": long_key("inner"),
    "many-sides": shaped([1] * 1_300_000, 4),
    "many-sides-wrong": shaped([1] * 1_300_000, 8),
    "large-sides": shaped([1 << 62] * 100_000, 8),
}
