"""Which files belong to a checkpoint: one alone, or those of a folder as the Hugging Face hub lays them out.

Shards have an index that says which tensor is in which of them; config.json and preprocessor_config.json lie beside.
A file that is passed has the configuration beside it only where it has one of the hub's names itself: a config.json
that happens to lie beside my_run.pth is of something else.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import listed, shorten

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
OPEN_CLIP_CONFIG = "open_clip_config.json"
NAMES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# As optimum and transformers.js name them, on the hub in a folder "onnx" beside what belongs to them.
_EXPORTED = re.compile(r"(vision_|encoder_)?model(_\w+)?\.onnx")
_EXPORT = ".onnx"
_ONNX = ("model.onnx", "onnx/model.onnx")
OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_SHARD = re.compile(r"(?P<stem>model|pytorch_model)-\d+-of-\d+\.(?P<suffix>safetensors|bin)")
SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt", ".tar", ".onnx")  # of weight files
_IN_FOLDERS = {*SUFFIXES, ".pkl"}  # where a file that is alone may have one that is usually no weights'
# What training leaves beside the weights.
_BESIDE = re.compile(r"(optimizer|scheduler|scaler|rng_state.*|training_args|random_states.*)\.(pt|pth|bin|pkl)")
_DISTRIBUTED = (
    "a distributed checkpoint (torch.distributed.checkpoint), in pieces for many processes. Make it one file: "
    "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE."
)
LARGEST_JSON = 8_000_000  # bytes; as objects they take thirty times as many
_MOST_SHARDS = 1000


@dataclass(frozen=True)
class CheckpointFiles:
    files: tuple[Path, ...]  # those that hold tensors, by name
    keys: Mapping[Path, frozenset[str]] = field(default_factory=dict)  # of each, as the index says, where there is one
    config: Mapping[str, Any] = field(default_factory=dict)
    preprocessor: Mapping[str, Any] = field(default_factory=dict)


def find_files(path: Path) -> CheckpointFiles:
    """The files of the checkpoint at a path. CheckpointError where there is none, or more than one."""
    if path.suffix == ".distcp":
        raise CheckpointError(f"{path} is a part of {_DISTRIBUTED}")
    main = path
    if path.is_dir():
        _refuse_other_folders(path)
        main = _main_file(path)
    folder, index = main.parent, _index_of(main)
    keys = _shards(index) if index is not None else {}
    if main.name in OPEN_CLIP:
        return CheckpointFiles((main,), config={"model_type": "open_clip", **_json_of(folder, OPEN_CLIP_CONFIG)})
    if _EXPORTED.fullmatch(main.name):
        folder = folder.parent if folder.name == "onnx" and not (folder / CONFIG).exists() else folder
    elif main == path and index is None and main.name not in NAMES:
        return CheckpointFiles((main,))
    return CheckpointFiles(tuple(sorted(keys)) or (main,), keys, _json_of(folder, CONFIG), _preprocessor(folder))


def _preprocessor(folder: Path) -> Mapping[str, Any]:
    """How pictures are wanted; transformers 5 keeps it among what else a processor of several kinds does."""
    alone = _json_of(folder, PREPROCESSOR)
    among = _json_of(folder, PROCESSOR).get("image_processor")
    return alone or (among if isinstance(among, Mapping) else {})


def _json_of(folder: Path, name: str) -> Mapping[str, Any]:
    """Empty where there is no such file."""
    return read_json(folder / name) if (folder / name).exists() else {}


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object in a file. CheckpointError where it holds anything else."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > LARGEST_JSON:
            raise CheckpointError(f"{path} has {size:,} bytes; a configuration is a file of at most {LARGEST_JSON:,}.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no JSON that can be read ({error}). Copy it again, or take it away."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must hold a JSON object; got {type(content).__name__}. Copy it again.")
    return content


def _main_file(folder: Path) -> Path:
    """The file, or the index, that stands for a folder's checkpoint."""
    for name in (*NAMES, *OPEN_CLIP):
        if (folder / name).exists():
            return folder / name
    candidates = sorted(path for path in folder.iterdir() if path.is_file() and may_be_weights(path.name))
    files = [path for path in candidates if path.suffix != _EXPORT] or _exports(folder)
    if len(files) == 1:
        return files[0]
    if files:
        raise CheckpointError(
            f"{folder} holds {len(files)} files that may be weights, and none has one of the names {', '.join(NAMES)}: "
            f"{listed(path.name for path in files)}. Pass one of them."
        )
    raise CheckpointError(
        f"{folder} holds no weights: looked for {', '.join(NAMES)}, or a single file whose name ends in "
        f"{', '.join(sorted(_IN_FOLDERS))}; got {listed(sorted(path.name for path in folder.iterdir()))}. "
        f"{_deeper(folder)}"
    )


def _exports(folder: Path) -> list[Path]:
    """ONNX files, which are asked for where there is nothing else: the one with the usual name, or all."""
    usual = [folder / name for name in _ONNX if (folder / name).exists()]
    return usual[:1] or sorted(folder.glob(f"*{_EXPORT}"))


def may_be_weights(name: str) -> bool:
    """Whether a file of this name in a folder may hold a model, and is not what training leaves beside it."""
    return Path(name).suffix in _IN_FOLDERS and not _BESIDE.fullmatch(name)


def _deeper(folder: Path) -> str:
    """Folders in a folder that do hold weights: runs have one a step, the hub's cache one a version."""
    found = [path.parent for depth in ("*", "*/*") for name in NAMES for path in folder.glob(f"{depth}/{name}")]
    inner = sorted({str(path.relative_to(folder)) for path in found})
    return (
        f"Pass a folder in it that does: {listed(inner)}." if inner else "Pass the file, or the folder that holds it."
    )


def _refuse_other_folders(folder: Path) -> None:
    """CheckpointError for a folder that other programs would read, and no state dict is in."""
    if (folder / ".metadata").exists() or any(folder.glob("*.distcp")):
        raise CheckpointError(f"{folder} is {_DISTRIBUTED}")
    if (folder / "adapter_config.json").exists() and not any((folder / name).exists() for name in NAMES):
        raise CheckpointError(
            f"{folder} holds an adapter (adapter_config.json; LoRA, say) and not the model that it changes. Merge the "
            "two (PEFT: merge_and_unload()), save the model with save_pretrained(), and pass that folder."
        )
    if (folder / "saved_model.pb").exists():
        raise CheckpointError(f"{folder} is a TensorFlow SavedModel. Save the model from PyTorch.")


def _index_of(main: Path) -> Path | None:
    """The index that a file is, or that a shard belongs to; a shard alone is never a whole model."""
    if main.name in NAMES and main.suffix == ".json":
        return main
    shard = _SHARD.fullmatch(main.name)
    if shard is None:
        return None
    index = main.with_name(f"{shard['stem']}.{shard['suffix']}.index.json")
    if not index.exists():
        raise CheckpointError(
            f"{main} is a part of a model, and {index.name}, which says the others, is not beside it."
        )
    return index


def read_index(index: Path) -> dict[str, frozenset[str]]:
    """The names of files in an index, which may be anything, sorted, and the tensors of each."""
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping or not all(isinstance(name, str) for name in mapping.values()):
        raise CheckpointError(f"{index} must have a weight_map from tensors to files. Copy it again.")
    shards: dict[str, set[str]] = {}
    for key, name in mapping.items():
        shards.setdefault(name, set()).add(key)
    if len(shards) > _MOST_SHARDS:
        raise CheckpointError(f"{index} names {len(shards):,} files; at most {_MOST_SHARDS:,} are read. Copy it again.")
    return {name: frozenset(shards[name]) for name in sorted(shards)}


def _shards(index: Path) -> dict[Path, frozenset[str]]:
    """The files that an index names, and the tensors of each. CheckpointError unless all are there, in its folder."""
    names = read_index(index)
    for name in names:
        _check_inside(index, name)
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{index.parent} lacks {len(missing)} of the {len(names)} files that {index.name} names: "
            f"{listed(missing)}. Copy them, too."
        )
    return {index.parent / name: keys for name, keys in names.items()}


def _check_inside(index: Path, name: str) -> None:
    """CheckpointError for a file elsewhere: an index comes from strangers, and may name anything."""
    folder = index.parent.resolve()
    # A link may lead to the blobs beside the snapshots of the hub's cache, which holds every file that way.
    cached = folder.parent.name == "snapshots"
    try:
        target = (folder / name).resolve()
    except ValueError as error:  # a name that no file can have
        raise CheckpointError(
            f"{index} names {shorten(name)!r}, which no file can be called. Copy it again."
        ) from error
    allowed = target.parent == folder or (cached and target.parent == folder.parent.parent / "blobs")
    if Path(name).name != name or not allowed:
        raise CheckpointError(f"{index} names {shorten(name)!r}, which is outside of its folder. Do not trust it.")
