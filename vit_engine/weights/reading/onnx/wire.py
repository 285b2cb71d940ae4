"""The protobuf messages of an ONNX file, walked before any of them is parsed (protobuf.dev, "Encoding").

Parsed whole, a file of empty messages takes fifty times its size. So what is needed of a file is copied to a small
skeleton, field by field and counted; values of tensors stay in the file, and the skeleton says where.
"""

import struct
from collections.abc import Mapping
from io import BufferedReader
from typing import NamedTuple

from vit_engine.errors import CheckpointError

MOST_FIELDS = 500_000  # a ViT of 40 layers has 60,000, with all that PyTorch says of its nodes
LARGEST_SKELETON = 16_000_000  # bytes
_DEEPEST = 12  # messages in one another; a condition in a condition takes three more
_LONGEST_VARINT = 10  # bytes
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; groups, 3 and 4, are in no ONNX file
_WIDTHS = {_FIXED32: 4, _FIXED64: 8}  # bytes
_KEEP, _TEXT = "keep", "text"
_RAW_DATA = 9
_MARKER = struct.Struct("<BQQ")

# Values of a tensor, by the number of their field: the bytes of each of them, 0 where the tensor's type says it.
_VALUES: Mapping[int, int] = {_RAW_DATA: 0, 4: 4, 10: 8}  # raw_data, float_data, double_data
# What is kept of each message, by number: the field as it is, or the message that it holds. All else is skipped:
# documentation, shapes of intermediate results, outputs.
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "Model": {1: _KEEP, 2: _TEXT, 3: _TEXT, 7: "Graph", 8: "OperatorSet", 25: "Function"},
    "OperatorSet": {1: _TEXT, 2: _KEEP},
    "Function": {1: _TEXT},
    "Graph": {1: "Node", 5: "Tensor", 11: "ValueInfo", 15: "SparseTensor"},
    "SparseTensor": {},
    "ValueInfo": {1: _TEXT, 2: "Type"},
    "Type": {1: "TensorType"},
    "TensorType": {1: _KEEP, 2: "Shape"},
    "Shape": {1: "Dimension"},
    "Dimension": {1: _KEEP, 2: _TEXT},
    "Node": {**dict.fromkeys((1, 2, 3, 4, 7), _TEXT), 5: "Attribute", 9: "Property"},
    "Attribute": {
        **dict.fromkeys((1, 21), _TEXT),
        **dict.fromkeys((2, 3, 4, 7, 8, 9, 20), _KEEP),
        5: "Tensor",
        6: "Graph",
        11: "Graph",
    },
    "Tensor": {8: _TEXT, **dict.fromkeys((1, 2, 3, 5, 6, 7, 11, 14), _KEEP), 13: "Property"},
    "Property": {1: _TEXT, 2: _TEXT},
}


class Place(NamedTuple):
    """Where the values of a tensor are in the file, and how many bytes each has; 0 where its type says it."""

    width: int
    offset: int
    length: int


def place_of(marker: bytes) -> Place:
    """What stands in a skeleton in the place of a tensor's raw_data."""
    return Place(*_MARKER.unpack(marker))


def read_skeleton(file: BufferedReader, size: int) -> bytes:
    """A ModelProto with a Place as the raw_data of every tensor that has values in the file.

    CheckpointError where the file ends too early, is no protobuf, or has more fields than any model.
    """
    return _Walk(file).message("Model", size, 0)


class _Walk:
    def __init__(self, file: BufferedReader) -> None:
        self._file = file
        self._at = 0
        self._fields = 0
        self._kept = 0

    def message(self, kind: str, end: int, depth: int) -> bytes:
        """What is kept of a message that ends there."""
        if depth > _DEEPEST:
            raise CheckpointError(f"its messages are more than {_DEEPEST} deep in one another. Do not trust it.")
        kept, values = bytearray(), 0
        while self._at < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise CheckpointError(f"it has more than {MOST_FIELDS:,} fields, which no Vision Transformer has.")
            number, wire = divmod(self._varint(), 8)
            action = _MESSAGES[kind].get(number, "")
            if wire == _BYTES and kind == "Tensor" and number in _VALUES:
                kept += self._marker(_VALUES[number], end)
                values += 1
            elif wire == _BYTES and action in _MESSAGES:
                inner = self.message(action, self._end_of_bytes(end), depth + 1)
                kept += _tag(number, _BYTES) + _encoded(len(inner)) + inner
            else:
                value = self._field(wire, end, keep=action in {_KEEP, _TEXT}, text=action == _TEXT)
                kept += _tag(number, wire) + value if value else b""
        if self._at != end or values > 1:
            raise _damaged()
        return bytes(kept)

    def _marker(self, width: int, end: int) -> bytes:
        """Values are skipped, and where they are takes their place."""
        stop = self._end_of_bytes(end)
        marker = _MARKER.pack(*Place(width, self._at, stop - self._at))
        self._skip(stop - self._at)
        return _tag(_RAW_DATA, _BYTES) + _encoded(len(marker)) + marker

    def _field(self, wire: int, end: int, *, keep: bool, text: bool) -> bytes:
        """Empty where it is skipped."""
        if wire == _VARINT:
            number = self._varint()
            return _encoded(number) if keep else b""
        if wire not in {_BYTES, *_WIDTHS}:
            raise _damaged()
        stop = self._end_of_bytes(end) if wire == _BYTES else self._at + _WIDTHS[wire]
        length = stop - self._at
        if not keep:
            self._skip(length)
            return b""
        value = self._take(length)
        if text and not _is_text(value):
            raise _damaged()
        return (_encoded(length) if wire == _BYTES else b"") + value

    def _end_of_bytes(self, end: int) -> int:
        """Where what follows ends, by its length, which stands before it."""
        length = self._varint()
        if self._at + length > end:
            raise CheckpointError(
                f"it ends too early: {length:,} bytes should follow byte {self._at:,}, and there are "
                f"{max(end - self._at, 0):,}. Copy it again."
            )
        return self._at + length

    def _take(self, length: int) -> bytes:
        self._kept += length
        if self._kept > LARGEST_SKELETON:
            raise CheckpointError(
                f"its graph has more than {LARGEST_SKELETON:,} bytes beside the values of tensors, which no Vision "
                "Transformer has. Export it again."
            )
        taken = self._file.read(length)
        if len(taken) != length:
            raise _damaged()
        self._at += length
        return taken

    def _skip(self, length: int) -> None:
        self._at += length
        self._file.seek(self._at)

    def _varint(self) -> int:
        value = 0
        for place in range(_LONGEST_VARINT):
            byte = self._file.read(1)
            if not byte:
                raise _damaged()
            self._at += 1
            value |= (byte[0] & 0x7F) << (7 * place)
            if byte[0] < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF
        raise _damaged()


def _damaged() -> CheckpointError:
    return CheckpointError("it is a damaged ONNX file, or none. Copy it again.")


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tag(number: int, wire: int) -> bytes:
    return _encoded(number * 8 + wire)


def _encoded(value: int) -> bytes:
    """As a varint: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))
