"""PyTorch's files from before 1.6: five pickles one after another, and then the storages."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vit_engine.weights.reading.pickle_names import resolver
from vit_engine.weights.reading.pickles import Limited, Unreadable, sequence, unpickle
from vit_engine.weights.reading.storages import OTHER_ORDER, Storage, StorageType, storage_key, swap_bytes

_MAGIC = 0x1950A86A20F9469CFC6C
_COUNT = 8  # bytes before each storage, which say how many values it has


def read_legacy(path: Path) -> Any:
    """What a file holds, each storage in memory of its own. Unreadable, or what damage leads to, where it is none."""
    with path.open("rb") as file:
        size = path.stat().st_size
        storages = _Announced(size)
        pickles = _pickles(file, storages)
        magic = next(pickles)
        if type(magic) is not int or magic != _MAGIC:
            raise Unreadable("is a pickle, and not as torch.save() writes it")
        _, system, content, keys = next(pickles), next(pickles), next(pickles), next(pickles)
        if type(system) is not dict:
            raise Unreadable("does not say which machine it is from")
        storages.fill(file, keys, swapped=system.get("little_endian") is (OTHER_ORDER == "little"))
        return content


def _pickles(file: io.BufferedReader, storages: "_Announced") -> Iterator[Any]:
    """One after another; all of them share what may be made."""
    limited = Limited(file)
    while True:
        yield unpickle(limited, resolve=resolver(limited), storage=storages.find)


class _Announced:
    """Storages that the pickle names before they come. left: bytes that the file can have for them."""

    def __init__(self, left: int) -> None:
        self._left = left
        self._found: dict[str, Storage] = {}

    def find(self, saved: Any) -> Storage:
        word, kind, name, _, count, part = saved
        key = storage_key(word, kind, name)
        nbytes = kind.nbytes(count)
        if key not in self._found:
            self._left -= nbytes
            if self._left < 0:
                raise Unreadable("claims storages of more bytes than it has")
            self._found[key] = Storage(bytearray(nbytes), kind)
        whole = self._found[key].values
        if len(whole) != nbytes:
            raise Unreadable("claims one storage with two lengths")
        return Storage(whole if part is None else _part(whole, part, kind), kind)

    def fill(self, file: io.BufferedReader, keys: object, *, swapped: bool) -> None:
        names = sequence(keys)
        if not all(type(name) is str for name in names) or sorted(names) != sorted(self._found):
            raise Unreadable("has other storages than its tensors need")
        for key in names:
            values, kind = self._found[key]
            count = int.from_bytes(file.read(_COUNT), "big" if swapped else "little")
            if kind.nbytes(count) != len(values) or file.readinto(values) != len(values):
                raise Unreadable("has storages of other lengths than it says")
            if swapped:
                swap_bytes(values, kind)


def _part(values: bytearray | memoryview, part: Any, kind: StorageType) -> memoryview:
    """Of a storage, which PyTorch's first versions wrote: (key, where it begins, how many values)."""
    _, first, count = sequence(part)
    begin, length = kind.nbytes(first), kind.nbytes(count)
    if begin + length > len(values):
        raise Unreadable("has a part of a storage that ends behind it")
    return memoryview(values)[begin : begin + length]
