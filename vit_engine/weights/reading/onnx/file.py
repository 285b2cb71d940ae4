"""An ONNX file, and the files beside it that hold tensors of it: https://onnx.ai/onnx/repo-docs/IR.html."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.limits import check_names
from vit_engine.weights.reading.listing import listed, shorten
from vit_engine.weights.reading.onnx.wire import place_of, read_skeleton

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

_LARGEST = (1 << 63) - 1
_WHOLE = (1 << 64) - 1
_MOST_SIDES = 16  # of a shape
_EXTERNAL = 1  # TensorProto.EXTERNAL
# By TensorProto's numbers. Values of four bits, and texts, are read by nobody here.
_DTYPES = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    4: torch.uint16,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    12: torch.uint32,
    13: torch.uint64,
    16: torch.bfloat16,
    17: torch.float8_e4m3fn,
    19: torch.float8_e5m2,
}


class Values(NamedTuple):
    """Bytes of a file that are the values of a tensor."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True)
class OnnxFile:
    """A file without the values of its tensors, which are read when they are asked for."""

    path: Path
    model: "ModelProto"  # its tensors have a Place in the place of raw_data

    @cached_property
    def outside(self) -> tuple[Path, ...]:
        """Files beside it with values of its tensors, by name. CheckpointError for one that is elsewhere or not there.

        The name comes from a stranger, and may be that of any file.
        """
        names = {_location(tensor) for _, tensor in self.tensor_protos() if tensor.data_location == _EXTERNAL}
        return tuple(_beside(self.path, name) for name in sorted(names))

    def tensor_protos(self) -> Iterator[tuple[str, "TensorProto"]]:
        """(name, tensor) of all initializers and constants, those of subgraphs too."""
        for graph in graphs_of(self.model.graph):
            yield from ((tensor.name, tensor) for tensor in graph.initializer)
            for node in graph.node:
                yield from ((node.output[0], each.t) for each in _constants(node))

    def tensors(self) -> dict[str, Tensor]:
        """By name, each in memory of its own. CheckpointError for one that is not whole, or of a type unknown here."""
        check_names([name for name, _ in self.tensor_protos()])
        places = {name: self._values(name, tensor) for name, tensor in self.tensor_protos()}
        self._check_read_once([place for place in places.values() if place is not None])
        return {name: _tensor(name, tensor, places[name]) for name, tensor in self.tensor_protos()}

    def _values(self, name: str, tensor: "TensorProto") -> Values | None:
        """Where its values are; None where they are in the skeleton."""
        if tensor.HasField("segment"):
            raise CheckpointError(f"{shorten(name)!r} is in segments, which nobody writes. Export it again.")
        if tensor.data_location == _EXTERNAL:
            return _external_values(self.path, name, tensor)
        if not tensor.HasField("raw_data"):
            return None
        place = place_of(tensor.raw_data)
        dtype = _DTYPES.get(tensor.data_type)
        if dtype is not None and place.width not in {0, dtype.itemsize}:
            raise CheckpointError(f"{shorten(name)!r} has values of another type than it says. Copy it again.")
        return Values(self.path, place.offset, place.length)

    def _check_read_once(self, places: list[Values]) -> None:
        """CheckpointError where tensors claim more bytes than there are: the same ones, many times over."""
        claimed = sum(place.length for place in places)
        available = sum(path.stat().st_size for path in (self.path, *self.outside))
        if claimed > available:
            raise CheckpointError(
                f"its tensors claim {claimed:,} bytes, and its files have {available:,}: the same ones are used "
                "several times. Export it again."
            )


def open_onnx(path: Path) -> OnnxFile:
    """CheckpointError where it is no ONNX file, or where the package that parses them is missing."""
    try:
        from google.protobuf.message import DecodeError  # noqa: PLC0415  # only where an ONNX file is read
        from onnx import ModelProto  # noqa: PLC0415
    except ImportError as error:
        raise CheckpointError("reading ONNX files needs the package onnx. Install it: pip install onnx.") from error
    with path.open("rb") as file:
        skeleton = read_skeleton(file, path.stat().st_size)
    try:
        model = ModelProto.FromString(skeleton)
    except DecodeError as error:
        raise CheckpointError("it is a damaged ONNX file, or none. Copy it again.") from error
    if not model.HasField("graph"):
        raise CheckpointError("it is an ONNX file without a graph. Export it again.")
    return OnnxFile(path, model)


def graphs_of(graph: "GraphProto") -> Iterator["GraphProto"]:
    """A graph, and all within it: branches of conditions, bodies of loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from graphs_of(inner)


def _constants(node: "NodeProto") -> Iterator:
    if node.op_type == "Constant" and node.output:
        yield from (each for each in node.attribute if each.name == "value" and each.HasField("t"))


def _location(tensor: "TensorProto") -> str:
    return next((each.value for each in tensor.external_data if each.key == "location"), "")


def _beside(path: Path, name: str) -> Path:
    """CheckpointError unless it is a file in the same folder, under a plain name and by no link."""
    folder = path.parent.resolve()
    other = path.parent / name
    if other == path or not name or "\0" in name or Path(name).name != name or "\\" in name or name in {".", ".."}:
        raise CheckpointError(
            f"values of its tensors are in {shorten(name)!r}, outside of its folder. Do not trust it."
        )
    if not other.is_file():
        raise CheckpointError(f"values of its tensors are in {shorten(name)!r}, which is not beside it. Copy it, too.")
    # A link may lead to the blobs beside the snapshots of the hub's cache, which holds every file that way.
    target = other.resolve()
    cached = folder.parents[:1] and any(parent.name == "snapshots" for parent in folder.parents)
    blobs = [parent.parent / "blobs" for parent in folder.parents if parent.name == "snapshots"]
    if target.parent != folder and not (cached and target.parent in blobs):
        raise CheckpointError(f"{shorten(name)!r} beside it is a link out of its folder. Do not trust it.")
    return other


def _external_values(path: Path, name: str, tensor: "TensorProto") -> Values:
    given = {each.key: each.value for each in tensor.external_data}
    file = _beside(path, _location(tensor))
    size = file.stat().st_size
    offset = _whole(given.get("offset", "0"))
    length = _whole(given.get("length", str(max(size - (offset or 0), 0))))
    if offset is None or length is None or offset + length > size:
        raise CheckpointError(
            f"{shorten(name)!r} should be bytes {shorten(given.get('offset', 0), 20)} and on of {file.name}, "
            f"{shorten(given.get('length', 'all'), 20)} of them, and that file has {size:,}. Copy it again."
        )
    return Values(file, offset, length)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _tensor(name: str, tensor: "TensorProto", values: Values | None) -> Tensor:
    shape = tuple(tensor.dims)
    few = len(shape) <= _MOST_SIDES
    if not few or min(shape, default=0) < 0 or math.prod(max(side, 1) for side in shape) > _LARGEST:
        raise CheckpointError(f"{shorten(name)!r} has the shape {listed(shape)}, which is none. Copy it again.")
    if tensor.data_type not in _DTYPES:
        raise CheckpointError(f"{shorten(name)!r} has values of four bits, texts, or of a type unknown here.")
    dtype, count = _DTYPES[tensor.data_type], math.prod(shape)
    if values is None:
        return _typed(name, tensor, dtype, count).view(shape)
    if values.length != count * dtype.itemsize:
        raise CheckpointError(
            f"{shorten(name)!r} has {values.length:,} bytes, which are no {str(dtype).removeprefix('torch.')} of shape "
            f"{list(shape)}. Copy it again."
        )
    return _read(values, dtype).view(shape)


def _read(values: Values, dtype: torch.dtype) -> Tensor:
    if not values.length:
        return torch.empty(0, dtype=dtype)
    data = bytearray(values.length)
    with values.path.open("rb") as file:
        _read_into(file, values.offset, data)
    return torch.frombuffer(data, dtype=dtype)


def _read_into(file: BufferedReader, offset: int, data: bytearray) -> None:
    file.seek(offset)
    if file.readinto(data) != len(data):
        raise CheckpointError("it became shorter while it was read. Load it again.")


def _typed(name: str, tensor: "TensorProto", dtype: torch.dtype, count: int) -> Tensor:
    """Of values that are numbers of the message itself, as hand-made files and old converters have them."""
    numbers = tensor.int64_data or tensor.int32_data or tensor.uint64_data
    if len(numbers) != count or (count and dtype.is_floating_point and dtype.itemsize > 2):
        raise CheckpointError(f"{shorten(name)!r} has {len(numbers):,} values for a shape of {count:,}. Copy it again.")
    values = torch.tensor([number & _WHOLE for number in numbers], dtype=torch.uint64)
    if not dtype.is_floating_point:
        return values.view(torch.int64).to(dtype)
    bits = values.view(torch.int64).to(torch.int16 if dtype.itemsize == 2 else torch.int8)
    return bits.view(dtype)  # small floats are stored as the bits that they have
