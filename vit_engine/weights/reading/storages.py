"""Tensors of PyTorch files: views of storages, which are held to the bytes that the file has for them."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vit_engine.weights.reading.pickles import Function, Unreadable, sequence

Sides = Sequence[int]
STORAGE_TYPES: Mapping[str, torch.dtype | None] = {
    "UntypedStorage": None,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.int8,  # quantised values as the whole numbers that they are packed in
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
}
_LARGEST = (1 << 63) - 1
_MOST_AXES = 16


class StorageType(NamedTuple):
    """The type of a storage's values; None where it is bytes, and its tensors say their type."""

    dtype: torch.dtype | None

    def nbytes(self, count: object) -> int:
        if type(count) is not int or not 0 <= count <= _LARGEST:
            raise Unreadable("has a storage without a length")
        return count * (self.dtype.itemsize if self.dtype else 1)


def storage_key(kind: object, saved: object, key: object) -> str:
    """Of what a pickle says in the place of a storage. Anything may stand there, and a hash of it may not end."""
    if type(kind) is not str or kind != "storage" or not isinstance(saved, StorageType) or type(key) is not str:
        raise Unreadable("holds more than weights")
    return key


class Storage(NamedTuple):
    """The memory of tensors. values: a bytearray, or a part of one."""

    values: bytearray | memoryview
    type: StorageType


class PackedTensor(Tensor):
    """In the place of quantised values, which are not read: they are refused as what they are."""


def swap_bytes(values: bytearray | memoryview, kind: StorageType) -> None:
    """Of a file from a machine with the other byte order."""
    if kind.dtype is None:
        raise Unreadable("is from a machine of another byte order, and does not say the types of its storages")
    width = kind.dtype.itemsize // (2 if kind.dtype.is_complex else 1)
    numbers = torch.frombuffer(values, dtype=torch.uint8).view(-1, width) if values else torch.empty(0)
    numbers.copy_(numbers.flip(-1))


OTHER_ORDER = {"little": "big", "big": "little"}[sys.byteorder]


def _tensor(storage: Storage, offset: int, size: Sides, stride: Sides, *_: object) -> Tensor:
    return _view(storage, offset, size, stride, storage.type.dtype)


def _typed_tensor(storage: Storage, offset: int, size: Sides, stride: Sides, *rest: Any) -> Tensor:
    """Of a storage that is bytes. rest: whether it is trained, its hooks, its type."""
    return _view(storage, offset, size, stride, rest[2])


def _view(storage: Storage, offset: int, size: Sides, stride: Sides, dtype: torch.dtype | None) -> Tensor:
    """No memory of its own, whatever shape it claims; RuntimeError where that goes beyond the storage."""
    _check_sizes((offset,), size, stride)
    if dtype is None or math.prod(max(side, 1) for side in size) > _LARGEST:
        raise Unreadable("has a tensor without a type, or of more values than can be counted")
    count = len(storage.values) // dtype.itemsize
    whole = torch.frombuffer(storage.values, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)
    return whole.as_strided(tuple(size), tuple(stride), offset)


def _check_sizes(*sizes: object) -> None:
    for numbers in map(sequence, sizes):
        whole = all(type(number) is int and 0 <= number <= _LARGEST for number in numbers[:_MOST_AXES])
        if len(numbers) > _MOST_AXES or not whole:
            raise Unreadable("has a tensor whose shape is no shape")


def _parameter(data: Any, *_: object) -> Tensor:
    """What is trainable in a model is a tensor as any other in its file."""
    if not isinstance(data, Tensor):
        raise Unreadable("has a parameter that is no tensor")
    return data


def _without_values(dtype: torch.dtype, size: Sequence[int], *_: object) -> Tensor:
    _check_sizes(size)
    return torch.empty(tuple(size), dtype=dtype, device="meta")


def _name(*parts: object) -> str:
    """Of a device or a layout, which nothing is made of."""
    if not all(type(part) in {str, int} for part in parts):
        raise Unreadable("has a device or a layout without a name")
    return ":".join(f"{part:.20}" if isinstance(part, str) else f"{part}" for part in parts)


def _with_attributes(make: Any, kind: Any, arguments: Sequence[Any], *_: object) -> Tensor:
    """A tensor on which somebody has set attributes, which are let go."""
    if not isinstance(make, Function) or make not in _MAKERS.values() or kind not in _CLASSES.values():
        raise Unreadable("has tensors of a class of their own")
    made: Tensor = make.apply(sequence(arguments))
    return made


_MAKERS = {
    "torch._utils._rebuild_tensor": Function(_tensor),
    "torch._utils._rebuild_tensor_v2": Function(_tensor),
    "torch._utils._rebuild_tensor_v3": Function(_typed_tensor),
    "torch._utils._rebuild_parameter": Function(_parameter, tensors=True),
    "torch._utils._rebuild_parameter_with_state": Function(_parameter, tensors=True),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": Function(_parameter, tensors=True),
    "torch._utils._rebuild_meta_tensor_no_storage": Function(_without_values),
    # Empty ones in their place: they are refused as what they are.
    "torch._utils._rebuild_sparse_tensor": Function(lambda *_: torch.zeros(1).to_sparse()),
    "torch._utils._rebuild_qtensor": Function(lambda *_: torch.empty(0).as_subclass(PackedTensor)),
}
_CLASSES = {
    "torch.Tensor": Function(_parameter, tensors=True),
    "torch.nn.parameter.Parameter": Function(_parameter, tensors=True),
}
TENSORS: Mapping[str, Any] = {
    **_MAKERS,
    **_CLASSES,
    "torch._tensor._rebuild_from_type_v2": Function(_with_attributes),
    "torch.Size": Function(lambda sides=(): tuple(sequence(sides))),
    "torch.device": Function(_name),
    "torch.serialization._get_layout": Function(_name),
}
