"""What load_model() can be asked for, and the checkpoint that it is read from."""

import os
from pathlib import Path

from torch import nn

from vit_engine.errors import SpecError
from vit_engine.progress import Progress
from vit_engine.registry import list_models
from vit_engine.spec import ModelSpec
from vit_engine.weights.live.module import read_module
from vit_engine.weights.reading.read import CheckpointFile, read_checkpoint, split_part

Source = str | Path | ModelSpec | nn.Module


def open_source(source: Source, *, progress: Progress | None = None) -> CheckpointFile | None:  # noqa: ARG001
    """The checkpoint that a source is; None for a model of the registry or a ModelSpec.

    Raises CheckpointError where it cannot be read, SpecError for what is no source at all.
    """
    if isinstance(source, nn.Module):
        return read_module(source)
    if not isinstance(source, Source):
        raise SpecError(
            "a model must be a name, the path of a checkpoint, a ModelSpec or a torch.nn.Module; got "
            f"{type(source).__name__}."
        )
    path = checkpoint_path(source)
    return None if path is None else read_checkpoint(path)


def checkpoint_path(source: Source) -> Path | None:
    """A path where a path is meant: it exists, or looks like one and is no model's name."""
    if isinstance(source, ModelSpec | nn.Module):
        return None
    path = Path(os.path.expanduser(source))  # which, unlike Path's, leaves unknown users as they are
    looks_like_one = isinstance(source, Path) or "/" in str(source) or path.suffix != ""
    known = any(spec.name == str(source) for spec in list_models())
    return path if not known and (looks_like_one or os.path.exists(split_part(path)[0])) else None
