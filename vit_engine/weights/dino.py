"""DINO v1 checkpoints: pretrained backbones, and training files with a teacher and a student."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vit_engine.errors import CheckpointError

PREFIXES = ("module.", "backbone.")


def find_state_dict(content: Any) -> Mapping[str, Tensor]:
    """The state dict in a DINO file: the file itself, or the teacher of a training run.

    Raises CheckpointError where there is none.
    """
    if isinstance(content, Mapping):
        for key in ("teacher", "student", "state_dict", "model"):
            if _is_state_dict(content.get(key)):
                return content[key]
        if _is_state_dict(content):
            return content
    found = sorted(map(str, content))[:8] if isinstance(content, Mapping) else type(content).__name__
    raise CheckpointError(f"expected a state dict (names to tensors), or one under 'teacher'; got {found}.")


def _is_state_dict(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    )


def convert_key(key: str) -> str | None:
    """A parameter's name here, or None for the projection head of self-supervised training."""
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return None if key.startswith(("head.mlp.", "head.last_layer.")) else key
