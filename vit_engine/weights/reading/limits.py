"""How large a checkpoint may be, so that a strange file cannot take the machine's memory."""

import os
from collections.abc import Mapping

from torch import Tensor

from vit_engine.errors import CheckpointError, SpecError

LIMIT_VARIABLE = "VIT_ENGINE_MAX_CHECKPOINT_BYTES"
_DEFAULT = 16 * 1024**3


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


def demand_within_limit(size: int, what: str) -> None:
    """CheckpointError for more bytes than the limit. what: with a verb, "w.pth has"."""
    limit = size_limit()
    if size > limit:
        raise CheckpointError(
            f"{what} {size:,} bytes; at most {limit:,} are read. Set {LIMIT_VARIABLE} to read larger checkpoints."
        )


def demand_tensors_within_limit(tensors: Mapping[str, Tensor]) -> None:
    """A tensor may claim far more values than its file has bytes, by repeating one; a copy would have them all."""
    demand_within_limit(sum(each.numel() * each.element_size() for each in tensors.values()), "its tensors have")
