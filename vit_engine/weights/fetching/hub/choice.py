"""Which files of a model on the hub are fetched: its configurations, and its weights once."""

from collections.abc import Collection
from pathlib import PurePosixPath

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.folder import (
    CONFIG,
    OPEN_CLIP_CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    SUFFIXES,
    may_be_weights,
)
from vit_engine.weights.reading.listing import listed

CONFIGURATIONS = (CONFIG, PREPROCESSOR, PROCESSOR, OPEN_CLIP_CONFIG)
# Nothing in a repository comes before one of these.
FIRST_CHOICE = ("model.safetensors", "model.safetensors.index.json")
# Kinds of weights, the preferred one first: the names that libraries give them, best first, and how else a single file
# of this kind may end.
_TORCH = tuple(suffix for suffix in (*SUFFIXES, ".pkl") if suffix not in {".safetensors", ".onnx"})
_KINDS = (
    ((*FIRST_CHOICE, "open_clip_model.safetensors"), ".safetensors"),
    (("pytorch_model.bin", "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"), _TORCH),
    (("model.onnx", "onnx/model.onnx"), ".onnx"),
)
_ADAPTER = "adapter_"  # of adapter_config.json and adapter_model.safetensors, as PEFT writes them
# What else repositories hold, of which nothing is read here.
_OTHERS = {
    ".h5": "TensorFlow",
    ".msgpack": "Flax",
    ".gguf": "GGUF (quantised)",
    ".tflite": "TensorFlow Lite",
    ".mlpackage": "Core ML",
    ".keras": "Keras",
    ".npz": "NumPy",
    ".ot": "Rust",
}


class IncompleteError(CheckpointError):
    """There are no weights, or not all of them: of a copy in the cache, that it is none."""


def main_file(repo: str, names: Collection[str]) -> str:
    """The file, or the index, that stands for a repository's weights: never a pickle where there are safetensors.

    IncompleteError, naming what is there, where there is none; CheckpointError where more than one may be meant.
    """
    for preferred, suffix in _KINDS:
        for name in preferred:
            if name in names:
                return name
        others = sorted(name for name in names if _is_other(name) and name.endswith(suffix))
        if len(others) == 1:
            return others[0]
        if others:
            raise CheckpointError(
                f"{repo} has {len(others)} files that may be weights, and none has one of the names "
                f"{', '.join(preferred)}: {listed(others)}. Download the one that is meant, and pass its path."
            )
    raise IncompleteError(_without_weights(repo, names))


def beside(main: str, names: Collection[str]) -> list[str]:
    """Files that hold values of an ONNX file, as its exporters name them: "model.onnx_data", "model.onnx.data"."""
    return (
        sorted(name for name in names if name.startswith((f"{main}_data", f"{main}.data")))
        if main.endswith(".onnx")
        else []
    )


def _is_other(name: str) -> bool:
    return "/" not in name and may_be_weights(name) and not name.startswith(_ADAPTER)


def _without_weights(repo: str, names: Collection[str]) -> str:
    kinds = {_OTHERS.get(PurePosixPath(name).suffix.lower(), "") for name in names} - {""}
    if any(name.startswith(_ADAPTER) for name in names):
        return (
            f"{repo} holds an adapter (adapter_config.json; LoRA, say) and not the model that it changes. Merge the "
            "two (PEFT: merge_and_unload()), save the model with save_pretrained(), and pass that folder."
        )
    what = f"only weights of {', '.join(sorted(kinds))}" if kinds else "no weights"
    known = ", ".join(name for preferred, _ in _KINDS for name in preferred)
    return (
        f"{repo} has {what}: looked for {known}; got {listed(sorted(names))}. "
        "Ask its owner for safetensors, or convert it with the library that it was made with."
    )
