"""Reading weight files: safetensors, or PyTorch files by weights-only unpickling. Nothing else, ever."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from vit_engine.errors import CheckpointError


def read_checkpoint(path: Path) -> tuple[Any, str, str]:
    """(content, format, sha256) of a weight file; the content of a PyTorch file may be nested."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    if not data:
        raise CheckpointError(f"{path} is empty (0 bytes); expected safetensors or a PyTorch file. Copy it again.")
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix == ".safetensors":
        try:
            return load_safetensors(data), "safetensors", sha256
        except SafetensorError as error:
            raise CheckpointError(f"{path} is not a whole safetensors file: {error}. Copy it again.") from error
    del data
    return _read_torch(path), "torch", sha256


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        first_line = str(error).splitlines()[0] if str(error) else "not a pickle"
        raise CheckpointError(
            f"{path} is not a PyTorch weight file, or holds more than weights, and was not run: {first_line}. "
            "Save its state_dict() alone, or as safetensors."
        ) from error
    except (RuntimeError, EOFError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or not a PyTorch file: {error}. Copy it again.") from error
