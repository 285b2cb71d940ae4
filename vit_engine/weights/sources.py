"""What load_model() can be asked for, and the checkpoint that it is read from."""

import os
from dataclasses import replace
from pathlib import Path

from torch import nn

from vit_engine.errors import SpecError
from vit_engine.progress import Progress
from vit_engine.registry import list_models
from vit_engine.spec import ModelSpec
from vit_engine.weights.fetching.hub import HubModel, HubName, describe_hub_model, fetch_hub_model, hub_name
from vit_engine.weights.live.module import read_module
from vit_engine.weights.reading.read import CheckpointFile, read_checkpoint, split_part

Source = str | Path | ModelSpec | nn.Module


def open_source(source: Source, *, progress: Progress | None = None) -> CheckpointFile | None:
    """The checkpoint that a source is; None for a model of the registry or a ModelSpec.

    A model on the Hugging Face hub is fetched; what progress raises cancels that. Raises CheckpointError where it
    cannot be read, DownloadError where it cannot be fetched, SpecError for what is no source at all.
    """
    if isinstance(source, nn.Module):
        return read_module(source)
    if not isinstance(source, Source):
        raise SpecError(
            "a model must be a name, the path of a checkpoint, a ModelSpec or a torch.nn.Module; got "
            f"{type(source).__name__}."
        )
    if (name := hub_source(source)) is not None:
        return read_hub_model(describe_hub_model(name), progress=progress)
    path = checkpoint_path(source)
    return None if path is None else read_checkpoint(path)


def read_hub_model(model: HubModel, *, progress: Progress | None = None) -> CheckpointFile:
    """The checkpoint that a model on the hub is, under its name there; what is missing of it is fetched."""
    path = fetch_hub_model(model, progress=progress)
    part = model.name.part
    file = read_checkpoint(path.with_name(f"{path.name}#{part}") if part else path)
    return replace(file, source=model.source, name=model.name.repo)


def is_checkpoint(source: Source) -> bool:
    """Whether a source is a file, a folder or a model on the hub, and no model of the registry."""
    return hub_source(source) is not None or checkpoint_path(source) is not None


def hub_source(source: Source) -> HubName | None:
    """The name on the hub that a source is; None where it is none.

    "hf:org/name" always is one; "org/name" where no model of the registry, no file and no folder is called that.
    """
    return hub_name(source) if isinstance(source, str) and not _is_known(source) else None


def checkpoint_path(source: Source) -> Path | None:
    """A path where a path is meant: it exists, or looks like one and is no model's name, here or on the hub."""
    if isinstance(source, ModelSpec | nn.Module) or hub_source(source) is not None:
        return None
    if source == "":  # Path's word for the present folder
        return None
    path = Path(os.path.expanduser(source))  # which, unlike Path's, leaves unknown users as they are
    looks_like_one = isinstance(source, Path) or "/" in str(source) or path.suffix != ""
    return path if not _is_known(source) and (looks_like_one or os.path.exists(split_part(path)[0])) else None


def _is_known(source: str | Path) -> bool:
    return any(spec.name == str(source) for spec in list_models())
