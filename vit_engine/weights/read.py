"""Reading weight files: safetensors, or PyTorch files by weights-only unpickling. Nothing else, ever."""

import argparse
import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from vit_engine.errors import CheckpointError


@dataclass(frozen=True)
class CheckpointFile:
    """A weight file as it was read. content: what it holds, perhaps nested.

    config, preprocessor: of the config.json and the preprocessor_config.json beside it, else empty.
    """

    path: Path
    content: Any = field(repr=False)
    container: str
    sha256: str
    config: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> CheckpointFile:
    """A weight file; CheckpointError where it cannot be read whole and safely."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    if not data:
        raise CheckpointError(f"{path} is empty (0 bytes); expected safetensors or a PyTorch file. Copy it again.")
    sha256 = hashlib.sha256(data).hexdigest()
    if path.suffix == ".safetensors":
        try:
            return CheckpointFile(path, load_safetensors(data), "safetensors", sha256)
        except SafetensorError as error:
            raise CheckpointError(f"{path} is not a whole safetensors file: {error}. Copy it again.") from error
    del data
    return CheckpointFile(path, _read_torch(path), "torch", sha256)


def _read_torch(path: Path) -> Any:
    # Not the context manager safe_globals: the set is the process's, and the first thread to leave would take
    # the names away from others that are still reading, and from whoever had added them before.
    torch.serialization.add_safe_globals(_harmless())
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise CheckpointError(
            f"{path} is not a PyTorch weight file, or holds more than weights, and nothing of it was run"
            f"{f' (it asks for {found[1]})' if found else ''}. Save its state_dict() alone, or as safetensors."
        ) from error
    except Exception as error:  # damaged bytes lead the unpickler to whatever it stumbles over
        raise CheckpointError(
            f"{path} is damaged or not a PyTorch file ({type(error).__name__} while reading it). Copy it again."
        ) from error


def _harmless() -> list[Any]:
    """What DINO's own training files hold beside tensors: plain arguments, and learning rates as NumPy scalars."""
    scalar = np.float64(0).__reduce__()[0]
    return [
        argparse.Namespace,
        np.dtype,
        type(np.dtype(np.float64)),
        scalar,
        (scalar, "numpy.core.multiarray.scalar"),  # its name before NumPy 2
    ]
