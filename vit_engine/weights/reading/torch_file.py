"""Reading PyTorch files, safely: their pickles as data, and tensors from the bytes that the file has for them."""

import re
from pathlib import Path
from typing import Any

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError, ResourceError
from vit_engine.weights.reading.pickles import UnknownName, Unreadable
from vit_engine.weights.reading.torch_legacy import read_legacy
from vit_engine.weights.reading.torch_zip import read_zip

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
    """What a file holds, each storage in memory of its own; nothing in it is run. CheckpointError otherwise.

    container: "torch zip" or "torch pickle", as container_of() says.
    """
    try:
        return read_zip(path) if container == "torch zip" else read_legacy(path)
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
