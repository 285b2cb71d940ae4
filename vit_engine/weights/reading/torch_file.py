"""Reading PyTorch files: by weights-only unpickling, after a look at what they would unpack to."""

import argparse
import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.limits import demand_within_limit

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


def read_torch(path: Path) -> Any:
    """What a file holds, each tensor in memory of its own; nothing in it is run. CheckpointError otherwise."""
    # Not the context manager safe_globals: the set is the process's, and the first thread to leave would take
    # the names away from others that are still reading, and from whoever had added them before.
    torch.serialization.add_safe_globals(_harmless())
    try:
        # An open file, because of a path PyTorch looks at the suffix. Not mapped: a file that is written anew in
        # place would end the process (SIGBUS).
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} {_refusal(str(error))}") from error
    except Exception as error:  # damaged bytes lead the unpickler to whatever it stumbles over
        raise CheckpointError(
            f"{path} is damaged or not a PyTorch file ({type(error).__name__} while reading it). Copy it again."
        ) from error


def _refusal(complaint: str) -> str:
    """Of what the unpickler complains about."""
    found = re.search(r"GLOBAL ([\w.]+)", complaint)
    if found is None:
        return f"is not a PyTorch weight file, or holds more than weights, and nothing of it was run. {_SAVE}"
    for pattern, what, todo in _ASKED:
        if re.match(pattern, found[1]):
            return f"is {what}, and nothing of it was run (it asks for {found[1]}). {todo}"
    return f"holds more than weights, and nothing of it was run (it asks for {found[1]}). {_SAVE}"


def demand_torch_zip(path: Path) -> None:
    """CheckpointError unless a zip archive is one of torch.save(), whole, and no larger unpacked than the limit."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # damaged bytes lead zipfile, too, to whatever it stumbles over
        raise CheckpointError(
            f"{path} is a PyTorch file or another zip archive without its end: truncated, or damaged. Copy it again."
        ) from error
    names = [entry.filename for entry in entries]
    if other := _other_archive(names):
        raise CheckpointError(f"{path} {other}")
    demand_within_limit(sum(entry.file_size for entry in entries), f"{path} unpacks to")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(
            f"{path} is a compressed zip archive, and PyTorch's are not: it was packed again. Unpack it, "
            "and save the state dict with torch.save()."
        )


def _other_archive(names: Sequence[str]) -> str:
    """What an archive is that torch.save() has not written, and what to do; else empty."""
    if any(name.endswith(("constants.pkl", "archive_format")) for name in names):
        return (
            "is a compiled program (TorchScript or torch.export), which is code as well as weights, and nothing of it "
            "was run. Save its weights alone where you trust it: torch.save(torch.jit.load(path).state_dict(), …)."
        )
    if names and all(name.endswith(".npy") for name in names):
        return "is an archive of NumPy arrays (.npz), as JAX models are published. Save the model from PyTorch."
    if any(name.endswith("model.weights.h5") for name in names):
        return "is a Keras model. Save the model from PyTorch."
    if not any(name.count("/") <= 1 and name.endswith("data.pkl") for name in names):
        some = f"{', '.join(names[:4])}{'…' if len(names) > 4 else ''}"
        return (
            f"is a zip archive of {len(names)} files ({some}), and no PyTorch file. Unpack it, and pass what is in it."
        )
    return ""


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
