"""State dicts as they stand in files, and ways to save them."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from vit_engine.spec import ModelSpec
from vit_engine.weights import load_model

State = dict[str, Tensor]

SPEC = ModelSpec(
    name="square",
    title="",
    family="",
    patch_size=4,
    dim=12,
    depth=2,
    heads=3,
    native_size=(20, 20),
    mlp_ratio=2.0,
)


def vit_state(seed: int = 0, **changes: Any) -> State:
    """A small ViT's weights under DINO's names: 5×5 patches of 4 px, 12 dimensions, two layers."""
    spec = dataclasses.replace(SPEC, **changes)
    return load_model(spec, weights="random", device="cpu", seed=seed).model.state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def saved(path: Path, content: Any) -> Path:
    """In the container that the name tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def sharded(folder: Path, shards: Mapping[str, State], *, index: str = "model.safetensors.index.json") -> Path:
    """A folder with an index, as save_pretrained() leaves it."""
    weight_map = {key: name for name, state in shards.items() for key in state}
    for name, state in shards.items():
        saved(folder / name, state)
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), encoding="utf-8")
    return folder


def assert_same(loaded: Mapping[str, Tensor], state: State) -> None:
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name
