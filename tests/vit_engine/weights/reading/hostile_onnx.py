"""ONNX files that ask for gigabytes or for minutes, or for files elsewhere, by what each does."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.vit_engine.weights.reading.spelling import Write

HUGE = 3 << 30


def field(number: int, value: bytes) -> bytes:
    """Of bytes: a message, a text, values of tensors."""
    return varint(number * 8 + 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def model(graph: bytes) -> Write:
    return lambda path: path.write_bytes(b"\x08\x08\x12\x01x" + field(7, graph)) and None


def built(*nodes: NodeProto, tensors: list[TensorProto] | None = None) -> Write:
    graph = GraphProto(node=nodes, initializer=tensors or [], name="g")
    whole = ModelProto(ir_version=8, producer_name="x", graph=graph)
    whole.opset_import.append(helper.make_opsetid("", 17))
    return lambda path: path.write_bytes(whole.SerializeToString()) and None


def tensor(name: str = "a", dims: tuple[int, ...] = (1,), **fields: object) -> TensorProto:
    return TensorProto(name=name, dims=dims, data_type=1, **fields)


def outside(location: str, **others: str) -> Write:
    """Values in another file."""
    made = tensor("cls_token", (1, 1, 12), data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **others}.items():
        made.external_data.add(key=key, value=value)
    return built(tensors=[made])


def with_file(write: Write, name: str, content: bytes) -> Write:
    def both(path: Path) -> None:
        (path.parent / name).write_bytes(content)
        write(path)

    return both


def linked(path: Path) -> None:
    (path.parent / "onnx-link").symlink_to("/etc/passwd")
    outside("onnx-link")(path)


def read_often(path: Path) -> None:
    """A thousand tensors of the same megabyte."""
    (path.parent / "onnx-megabyte").write_bytes(b"\0" * 1_000_000)
    tensors = [tensor(f"t{each}", (250_000,), data_location=TensorProto.EXTERNAL) for each in range(1000)]
    for each in tensors:
        each.external_data.add(key="location", value="onnx-megabyte")
    built(tensors=tensors)(path)


def nested(levels: int) -> bytes:
    """Graphs in graphs."""
    graph = b""
    for _ in range(levels):
        graph = field(1, field(5, field(6, graph)))
    return graph


def chained(count: int, make: Callable[[int], NodeProto]) -> Write:
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "v0")
    return built(*map(make, range(count)), tensors=[weight])


def shared_large(path: Path) -> None:
    """One weight of four megabytes for 300 modules: each would have a transposed copy of its own."""
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::w"], [f"y{each}"], name=f"/blocks.{each}/attn/proj/MatMul")
        for each in range(300)
    ]
    built(*nodes, tensors=[numpy_helper.from_array(np.ones((1000, 1000), np.float32), "onnx::w")])(path)


ONNX_FILES: dict[str, Write] = {
    "onnx-empty-nodes": model(b"\x0a\x00" * 5_000_000),
    "onnx-empty-tensors": model(b"\x2a\x00" * 5_000_000),
    "onnx-empty-attributes": model(field(1, b"\x2a\x00" * 5_000_000)),
    "onnx-empty-inputs": model(field(1, b"\x0a\x00" * 5_000_000)),
    "onnx-long-name": model(field(1, field(3, b"a" * 20_000_000))),
    "onnx-long-names": built(tensors=[tensor("x" * 100_000)]),
    "onnx-no-text": model(field(1, field(3, b"\xff\xfe"))),
    "onnx-deep": model(nested(5000)),
    "onnx-length": lambda path: path.write_bytes(b"\x08\x08\x12\x01x\x3a" + varint(HUGE)) and None,
    "onnx-length-of-values": model(field(5, b"\x4a" + varint(HUGE) + b"\0" * 8)),
    "onnx-endless-number": model(b"\xff" * 1000),
    "onnx-truncated": model(field(5, field(9, b"\0" * 8))[:-2]),
    "onnx-group": model(b"\x0b" * 1000),
    "onnx-shape": built(tensors=[tensor(dims=(HUGE,), raw_data=b"\0" * 8)]),
    "onnx-shape-beyond-counting": built(tensors=[tensor(dims=(1 << 40, 1 << 40, 0), raw_data=b"")]),
    "onnx-negative-shape": built(tensors=[tensor(dims=(-1,), raw_data=b"\0" * 4)]),
    "onnx-many-sides": model(field(5, field(1, b"\x01" * 1_000_000) + b"\x10\x01" + field(9, b"\0" * 4))),
    "onnx-values-twice": model(field(5, b"\x10\x01" + field(9, b"\0" * 4) + field(9, b"\0" * 4))),
    "onnx-values-of-another-type": model(field(5, b"\x08\x01\x10\x0b" + field(4, b"\0" * 8))),
    "onnx-many-numbers": model(field(5, b"\x10\x07" + field(7, b"\x01" * 15_000_000))),
    "onnx-text-values": built(tensors=[helper.make_tensor("a", TensorProto.STRING, [1], [b"x"])]),
    "onnx-four-bits": built(tensors=[TensorProto(name="a", dims=[2], data_type=TensorProto.INT4, raw_data=b"\1")]),
    "onnx-segment": built(tensors=[tensor(raw_data=b"\0" * 4, segment=TensorProto.Segment(begin=0, end=1))]),
    "onnx-outside-absolute": outside("/etc/passwd"),
    "onnx-outside-above": outside("../secret.bin"),
    "onnx-outside-device": outside("/dev/zero", length="48"),
    "onnx-outside-missing": outside("missing.bin"),
    "onnx-outside-nothing": outside(""),
    "onnx-outside-null": outside("a\0b"),
    "onnx-outside-itself": outside("onnx-outside-itself"),
    "onnx-outside-link": linked,
    "onnx-outside-offset": with_file(outside("onnx-short", offset="40", length="48"), "onnx-short", b"\0" * 48),
    "onnx-outside-odd": with_file(outside("onnx-odd", offset="-1", length="1e3"), "onnx-odd", b"\0" * 48),
    "onnx-outside-often": read_often,
    "onnx-circle": built(helper.make_node("Identity", ["b"], ["a"]), helper.make_node("Identity", ["a"], ["b"])),
    "onnx-itself": built(helper.make_node("Identity", ["a"], ["a"])),
    "onnx-long-chain": chained(30_000, lambda each: helper.make_node("Identity", [f"v{each}"], [f"v{each + 1}"])),
    "onnx-doubled-sums": chained(
        30_000, lambda each: helper.make_node("Add", [f"v{each}", f"v{each}"], [f"v{each + 1}"])
    ),
    "onnx-doubled-identities": chained(
        100, lambda each: helper.make_node("Identity", [f"v{each}"] * 3, [f"v{each + 1}"])
    ),
    "onnx-doubled-choices": chained(
        100,
        lambda each: helper.make_node("Where" if each else "Softmax", [f"v{each}"] * 3, [f"v{each + 1}"]),
    ),
    "onnx-odd-nodes": built(*(helper.make_node(op, [], []) for op in ("Softmax", "MatMul", "Conv", "Attention"))),
    "onnx-shared-large": shared_large,
    "onnx-number-first": lambda path: path.write_bytes(struct.pack("<Q", 8) + b"\x12\x01") and None,
}
