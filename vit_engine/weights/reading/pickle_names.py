"""What the names in a PyTorch file's pickle stand for: containers, arguments, NumPy's numbers, and what tensors need.

They are those that DINO's own training files, timm's and Lightning's hold beside their weights.
"""

import argparse
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vit_engine.weights.reading.listing import shorten
from vit_engine.weights.reading.pickles import Function, Limited, UnknownName, Unreadable, sequence
from vit_engine.weights.reading.storages import STORAGE_TYPES, TENSORS, StorageType

_STORAGE = re.compile(r"torch\.(?:cuda\.|storage\.)?(\w+Storage)")
_NUMBER = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


class NumberType:
    """NumPy's dtype of a plain number; its byte order comes after it in a pickle."""

    def __init__(self, code: str, *_: object) -> None:
        if not _NUMBER.fullmatch(code):
            raise Unreadable("has NumPy values that are no plain numbers")
        self.dtype = np.dtype(code)

    def set_state(self, state: object) -> None:
        said = sequence(state)
        if type(said[1]) is str and said[1] in {"<", ">"}:
            self.dtype = np.dtype(f"{said[1]}{self.dtype.str[1:]}")


def resolver(limits: Limited) -> Callable[[str], Any]:
    """resolve(name) for unpickle(); UnknownName for one that stands for nothing here."""
    known = {**_FUNCTIONS, **_containers(limits)}

    def resolve(name: str) -> Any:
        name = re.sub(r"^__builtin__\.", "builtins.", name)  # Python 2's
        if name in known:
            return known[name]
        match = _STORAGE.fullmatch(name)
        if match and match[1] in STORAGE_TYPES:
            return StorageType(STORAGE_TYPES[match[1]])
        value = vars(torch).get(name.removeprefix("torch."))
        if not name.startswith("torch.") or not isinstance(value, torch.dtype | torch.layout | torch.qscheme):
            raise UnknownName(shorten(name))
        return value

    return resolve


def _containers(limits: Limited) -> dict[str, Function]:
    def keys(items: object) -> Sequence[Any]:
        for each in sequence(items):
            limits.check_key(each)
        return sequence(items)

    def pairs(items: Any) -> Sequence[Any]:
        listed = list(items.items()) if isinstance(items, Mapping) else sequence(items)
        keys([key for key, _ in map(sequence, listed)])
        return listed

    return {
        "collections.OrderedDict": Function(lambda items=(): OrderedDict(pairs(items))),
        "collections.Counter": Function(lambda items=(): Counter(dict(pairs(items)))),
        "builtins.set": Function(lambda items=(): set(keys(items))),
    }


def _encode(text: str, encoding: str) -> bytes:
    """How protocol 2 spells bytes."""
    if type(text) is not str or type(encoding) is not str or encoding not in {"latin1", "latin-1"}:
        raise Unreadable("encodes text in another way than pickles spell bytes")
    return text.encode("latin-1")


def _bytearray(values: bytes = b"") -> bytes:
    """Of bytes; a number would be a length."""
    if type(values) is not bytes:
        raise Unreadable("asks for an array of bytes that it does not contain")
    return values


def _number(kind: NumberType, values: bytes) -> Any:
    """A scalar of NumPy; without its bytes it would be as long as its type says."""
    if type(kind) is not NumberType or type(values) is not bytes or len(values) != kind.dtype.itemsize:
        raise Unreadable("has NumPy numbers of another length than their type's")
    return np.frombuffer(values, kind.dtype)[0]


_FUNCTIONS: Mapping[str, Any] = {
    **TENSORS,
    "argparse.Namespace": Function(argparse.Namespace),
    "builtins.complex": Function(complex),
    "builtins.bytearray": Function(_bytearray),
    "_codecs.encode": Function(_encode),
    "numpy.dtype": Function(NumberType),
    "numpy.dtypes.Float64DType": Function(lambda: NumberType("f8")),
    "numpy.core.multiarray.scalar": Function(_number),  # before NumPy 2
    "numpy._core.multiarray.scalar": Function(_number),
}
