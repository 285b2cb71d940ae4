"""From what a file holds to its tensors: the state dict among epochs, optimizers and arguments."""

import argparse
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from vit_engine.errors import CheckpointError

PARTS = ("teacher", "student", "state_dict", "model")  # asked in this order
WRAPPERS = ("module.", "backbone.")  # what training wraps names in, from the outside


class StateDict(NamedTuple):
    """Tensors by name, and the arguments of the run that they are from, where the file has them."""

    tensors: Mapping[str, Tensor]
    arguments: Mapping[str, Any]


def find_state_dict(content: Any) -> StateDict:
    """The tensors in a file: the file itself, or a part of what a training run saved. CheckpointError without any."""
    if isinstance(content, Mapping):
        for key in PARTS:
            if _is_state_dict(content.get(key)):
                return StateDict(content[key], _arguments(content))
        if _is_state_dict(content):
            return StateDict(content, {})
    found = sorted(map(str, content))[:8] if isinstance(content, Mapping) else type(content).__name__
    raise CheckpointError(f"expected a state dict (names to tensors), or one under 'teacher'; got {found}.")


def _arguments(content: Mapping[str, Any]) -> Mapping[str, Any]:
    arguments = content.get("args")
    return vars(arguments) if isinstance(arguments, argparse.Namespace) else {}


def _is_state_dict(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    )
