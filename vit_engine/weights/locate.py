"""Where weight files are: packaged with the engine, or in the cache folder."""

import os
from pathlib import Path

import platformdirs

from vit_engine.errors import CheckpointError
from vit_engine.spec import ModelSpec

PACKAGED = Path(__file__).parent.parent / "demo" / "weights"


def cache_folder() -> Path:
    """Where downloads are kept: VIT_ENGINE_HOME, else a folder in the user's cache directory."""
    home = os.environ.get("VIT_ENGINE_HOME")
    return Path(home).expanduser() if home else Path(platformdirs.user_cache_dir("vit-engine"))


def weights_path(spec: ModelSpec) -> Path:
    """Where the trained weights of a model are, or would be once downloaded."""
    if spec.weights is None:
        raise CheckpointError(f"{spec.name!r} has no trained weights; load it with weights='random' or give a path.")
    folder = PACKAGED if spec.weights.packaged else cache_folder()
    return folder / spec.weights.filename


def works_offline(spec: ModelSpec) -> bool:
    """Whether a model can be loaded now without a download."""
    return spec.weights is None or weights_path(spec).exists()
