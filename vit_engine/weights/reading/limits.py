"""How large a checkpoint may be, so that a strange file cannot take the machine's memory or its time."""

import math
import os
from collections.abc import Collection, Mapping

from torch import Tensor

from vit_engine.errors import CheckpointError, ResourceError, SpecError
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes, memory_budget
from vit_engine.weights.reading.listing import shorten

LIMIT_VARIABLE = "VIT_ENGINE_MAX_CHECKPOINT_BYTES"
MOST_TENSORS = 20_000  # of a state dict; a whole CLIP of the largest size has 1,300
LONGEST_NAME = 500  # characters of a tensor's name; wrapped many times over they have 200
_DEFAULT = 16 * 1024**3
_WIDE = 4  # bytes of a value as float32, which the model will have
_SHARED = 4  # times that the values of a file may stand in a state dict: weights are tied, and the same part is two
_FREE = 64 * 1024**2  # bytes that tensors may claim whatever the file has


def size_limit() -> int:
    """Bytes: of the environment variable where it is set, else 16 GiB. SpecError where it says no number."""
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return _DEFAULT
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise SpecError(
            f"{LIMIT_VARIABLE} must be a number of bytes of at least 1; got {text!r}. Set it to, say, 20000000000, "
            "or leave it unset."
        )
    return int(text)


def check_within_limit(size: int, what: str) -> None:
    """CheckpointError for more bytes than the limit. what: with a verb, "w.pth has"."""
    limit = size_limit()
    if size > limit:
        raise CheckpointError(
            f"{what} {size:,} bytes; at most {limit:,} are read. Set {LIMIT_VARIABLE} to read larger checkpoints."
        )


def check_within_memory(size: int, what: str) -> None:
    """ResourceError for more bytes than memory_budget(). what: with a verb, "w.pth has"."""
    budget = memory_budget("cpu")
    if size > budget:
        raise ResourceError(
            f"{what} {format_bytes(size)}, and loading may take {format_bytes(budget)}, the memory budget. Use a "
            f"smaller checkpoint, or set {BUDGET_VARIABLE} where more is free."
        )


def check_names(names: Collection[str]) -> None:
    """CheckpointError for more tensors than any model has, or for names that are none."""
    if len(names) > MOST_TENSORS:
        raise CheckpointError(
            f"it has {len(names):,} tensors; at most {MOST_TENSORS:,} are read. Save the state_dict() of the model "
            "alone."
        )
    for name in names:
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise CheckpointError(
                f"the name of a tensor must have at most {LONGEST_NAME} printable characters; got {len(name):,}, "
                f"{shorten(ascii(name), 40)}. Save the state_dict() of the model alone."
            )


def check_tensors_within_limit(tensors: Mapping[str, Tensor]) -> None:
    """A tensor may claim far more values than its file has, by repeating them; a copy would have them all.

    Counted as float32, before anything is copied. CheckpointError for more than the limit or than the file can have,
    ResourceError for more than the memory budget. Tensors without memory (meta, sparse) are refused elsewhere.
    """
    claimed = sum(each.numel() * max(each.element_size(), _WIDE) for each in tensors.values())
    stored = sum(_stored(tensors).values())
    if claimed > max(_SHARED * stored, _FREE):
        raise CheckpointError(
            f"its tensors claim {claimed:,} bytes as float32, and the values that are stored for them make {stored:,}: "
            "the same few are repeated. It is damaged, or made to exhaust memory; of your own, save them .contiguous()."
        )
    check_within_limit(claimed, "its tensors have")
    check_within_memory(claimed, "its tensors have")


def _stored(tensors: Mapping[str, Tensor]) -> dict[int, int]:
    """Bytes of each storage, by its address, with its values as float32."""
    found: dict[int, int] = {}
    for tensor in tensors.values():
        storage = tensor.untyped_storage()
        widened = math.ceil(storage.nbytes() * max(1, _WIDE / tensor.element_size()))
        found[storage.data_ptr()] = max(widened, found.get(storage.data_ptr(), 0))
    return found
