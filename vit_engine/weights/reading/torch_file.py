"""Reading PyTorch files, safely: their pickles as data, and tensors from the bytes that the file has for them.

Those from before 1.6 are five pickles one after another, and then the storages; newer ones are in torch_zip.
"""

import io
import re
from pathlib import Path
from typing import Any

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError, ResourceError
from vit_engine.weights.reading.pickle_names import resolver
from vit_engine.weights.reading.pickles import Limited, UnknownName, Unreadable, sequence, unpickle
from vit_engine.weights.reading.storages import OTHER_ORDER, Storage, StorageType, storage_key, swap_bytes
from vit_engine.weights.reading.torch_zip import read_zip

_MAGIC = 0x1950A86A20F9469CFC6C
_COUNT = 8  # bytes before each storage, which say how many values it has
_SAVE = "Save its state_dict() alone, or as safetensors."
# What a file with code asks for, what it then is, and what to do; the first that matches.
_ASKED: tuple[tuple[str, str, str], ...] = (
    (
        r"torch\.distributed\.",
        "a shard of a distributed (FSDP) run",
        "Gather the whole model there (StateDictType.FULL_STATE_DICT, or get_model_state_dict() with "
        "full_state_dict=True), and save that.",
    ),
    (r"omegaconf\.", "a training file with its OmegaConf configuration", _SAVE),
    (r"peft\.", "an adapter's file", "Merge it into the model that it was trained on, and save that."),
    (r"torch\.nn\.modules\.|.*[Tt]ransformer|.*[Mm]odel", "a whole model, pickled with its code", _SAVE),
)


def read_torch(path: Path, container: str) -> Any:
    """What a file holds, each storage in memory of its own; nothing in it is run. CheckpointError otherwise."""
    try:
        return read_zip(path) if container == "torch zip" else _read_legacy(path)
    except (CheckpointError, ResourceError):
        raise
    except UnknownName as error:
        raise CheckpointError(f"{path} {_refusal(str(error))}") from error
    except Unreadable as error:
        raise CheckpointError(
            f"{path} is not a PyTorch weight file, or holds more than weights, and nothing of it was run: it {error}. "
            f"{_SAVE}"
        ) from error
    except Exception as error:  # damaged bytes lead to whatever they stumble over
        if out_of_memory(error):
            raise
        raise CheckpointError(
            f"{path} is damaged or not a PyTorch file ({type(error).__name__} while reading it). Copy it again."
        ) from error


def _refusal(name: str) -> str:
    """Of what a pickle asks for that is not known here."""
    for pattern, what, todo in _ASKED:
        if re.match(pattern, name):
            return f"is {what}, and nothing of it was run (it asks for {name}). {todo}"
    return f"holds more than weights, and nothing of it was run (it asks for {name}). {_SAVE}"


def _read_legacy(path: Path) -> Any:
    """What a file holds, each storage in memory of its own. Unreadable, or what damage leads to, where it is none."""
    with path.open("rb") as file:
        limited, storages = Limited(file), _Announced(path.stat().st_size)

        def load() -> Any:
            return unpickle(limited, resolve=resolver(limited), storage=storages.find)

        magic = load()
        if type(magic) is not int or magic != _MAGIC:
            raise Unreadable("is a pickle, and not as torch.save() writes it")
        _, system, content, keys = load(), load(), load(), load()
        if type(system) is not dict:
            raise Unreadable("does not say which machine it is from")
        storages.fill(file, keys, swapped=system.get("little_endian") is (OTHER_ORDER == "little"))
        return content


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
