"""Reading safetensors without mapping the file: https://huggingface.co/docs/safetensors, "Format".

The library's own reader leaves tensors on a memory map. Where the file is then overwritten in place, which is
what training does to its last checkpoint, the next look at a weight ends the process (SIGBUS), and a server with it.
"""

import json
import math
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.limits import check_names
from vit_engine.weights.reading.listing import represent
from vit_engine.weights.reading.sniff import SAFETENSORS_HEADER

_LONGEST_HEADER = 8_000_000  # bytes; the library takes 100 MB, which become 3 GB of objects. A tensor has about 100
_LARGEST = (1 << 63) - 1
_MOST_SIDES = 16  # of a shape
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class _Entry(NamedTuple):
    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int  # bytes, after the header
    end: int


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, each in memory of its own. CheckpointError unless it is whole."""
    with path.open("rb") as file:
        size = path.stat().st_size
        try:
            header, start = _header(file, size)
            check_names(header)
            entries = {name: _entry(name, each, size - start) for name, each in header.items()}
            _check_contiguous(entries, size - start)
        except CheckpointError as error:
            raise CheckpointError(f"{path} is not a whole safetensors file: {error} Copy it again.") from error
        return {name: _tensor(path, file, start, entry) for name, entry in entries.items()}


def _header(file: BufferedReader, size: int) -> tuple[Mapping[str, Any], int]:
    """What it says of every tensor, and where the tensors begin."""
    length = int.from_bytes(file.read(SAFETENSORS_HEADER), "little")
    start = SAFETENSORS_HEADER + length
    if start > size:
        raise CheckpointError(f"its header should have {length:,} bytes, and the file has {size:,}.")
    if length > _LONGEST_HEADER:
        raise CheckpointError(f"its header has {length:,} bytes, and at most {_LONGEST_HEADER:,} are read.")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its header is no JSON ({type(error).__name__}).") from error
    if not isinstance(header, dict):
        raise CheckpointError("its header is no JSON object.")
    header.pop("__metadata__", None)
    return header, start


def _entry(name: str, said: Any, available: int) -> _Entry:
    """What the header says of a tensor, held to what the file can have."""
    try:
        (begin, end), shape, kind = said["data_offsets"], tuple(said["shape"]), said["dtype"]
        few = len(shape) <= _MOST_SIDES  # the product of a million sides takes minutes
        if not few or not all(type(number) is int and 0 <= number <= _LARGEST for number in (*shape, begin, end)):
            raise ValueError
        if math.prod(max(side, 1) for side in shape) > _LARGEST:  # which torch cannot stride, even around a 0
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"its header says nothing sensible of {name!r}.") from error
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise CheckpointError(f"{name!r} is of the type {represent(kind)}; known are {', '.join(_DTYPES)}.")
    if end > available:
        raise CheckpointError(f"{name!r} should end {end:,} bytes after the header, and there are {available:,}.")
    if end - begin != math.prod(shape) * _DTYPES[kind].itemsize:
        raise CheckpointError(f"{name!r} has {end - begin:,} bytes, which are no {kind} of shape {list(shape)}.")
    return _Entry(_DTYPES[kind], shape, begin, end)


def _check_contiguous(entries: Mapping[str, _Entry], available: int) -> None:
    """As the format has it, tensors lie one behind the other, and all bytes are some tensor's."""
    expected = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != expected:
            overlap = "overlaps the one before it" if entry.begin < expected else "leaves bytes free before it"
            raise CheckpointError(f"{name!r} {overlap}: it begins at {entry.begin:,}, expected {expected:,}.")
        expected = entry.end
    if expected != available:
        raise CheckpointError(f"its tensors have {expected:,} bytes, and the file has {available:,} for them.")


def _tensor(path: Path, file: BufferedReader, start: int, entry: _Entry) -> Tensor:
    if entry.begin == entry.end:
        return torch.empty(entry.shape, dtype=entry.dtype)
    values = bytearray(entry.end - entry.begin)
    file.seek(start + entry.begin)
    if file.readinto(values) != len(values):
        raise CheckpointError(f"{path} became shorter while it was read. Load it again.")
    return torch.frombuffer(values, dtype=entry.dtype).view(entry.shape)
