"""The demo models' own files: known by their shapes, under any name."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vit_engine.errors import CheckpointError
from vit_engine.registry import find_model
from vit_engine.weights import load_model, weights_path

MODELS = ("demo_vit_p16", "demo_vit_p8")


@pytest.mark.parametrize("name", MODELS)
def test_a_demo_model_is_known_by_name_and_under_any_other(name: str, tmp_path: Path) -> None:
    named = load_model(name, device="cpu")
    bare = load_model(shutil.copy(weights_path(named.spec), tmp_path / "mine.safetensors"), device="cpu")
    assert named.report.format == bare.report.format == "demo"
    assert bare.report.heads_from == f"the shapes of its tensors, all of them those of {name}"
    assert bare.report.assumed == bare.report.converted == bare.report.dropped == ()
    for field in ("family", "heads", "resampling", "preprocessing", "class_names", "native_size", "hidden"):
        assert getattr(bare.spec, field) == getattr(named.spec, field)
    assert all(torch.equal(*pair) for pair in zip(bare.model.parameters(), named.model.parameters(), strict=True))


def test_one_class_more_is_another_model_whose_heads_nobody_says(tmp_path: Path) -> None:
    state = load_file(weights_path(find_model("demo_vit_p16")))
    for name in ("head.weight", "head.bias"):
        state[name] = torch.cat([state[name], state[name][:1]])
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="does not say how many heads it has"):
        load_model(tmp_path / "other.safetensors", device="cpu")
    assert load_model(tmp_path / "other.safetensors", heads=4, device="cpu").report.format == "timm"


def test_timms_config_beside_it_is_believed_instead(tmp_path: Path) -> None:
    shutil.copy(weights_path(find_model("demo_vit_p16")), tmp_path / "model.safetensors")
    config = {"architecture": "vit_tiny_patch16_224", "model_args": {"num_heads": 8, "img_size": 128}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    loaded = load_model(tmp_path, device="cpu")
    assert (loaded.report.format, loaded.spec.heads) == ("timm", 8)
