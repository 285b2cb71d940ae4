"""The names of a state dict: what training wraps them in is taken off, and what formats really have is left."""

from pathlib import Path

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import SPEC, assert_same, prefixed, saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.reading.unwrap import strip_wrappers

KERNEL = torch.zeros(2, 3, 4, 4)


def stripped(*names: str) -> set[str]:
    conversion = Conversion({name: KERNEL if "patch" in name or "proj" in name else torch.ones(2) for name in names})
    strip_wrappers(conversion)
    assert {key for key, _ in conversion.converted} | set(conversion.matched) == set(names)
    return set(conversion.tensors)


@pytest.mark.parametrize(
    "wrapper",
    [
        *("module.", "_orig_mod.", "backbone.", "model.", "net.", "network.", "encoder."),
        *("_orig_mod.module.", "module._orig_mod.", "model.backbone.", "module.model.", "model._orig_mod.net.module."),
        *("_fsdp_wrapped_module.", "backbone._fsdp_wrapped_module."),
    ],
)
def test_wrappers_are_taken_from_the_beginning_of_names(wrapper: str) -> None:
    names = ("cls_token", "patch_embed.proj.weight", "blocks.0.norm1.weight")
    assert stripped(*(f"{wrapper}{name}" for name in names)) == set(names)
    assert stripped(*(f"{wrapper}{name}" for name in names), "head.weight") == {*names, "head.weight"}


@pytest.mark.parametrize("tool", ["_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"])
def test_what_tools_leave_in_the_middle_of_names_is_taken_out(tool: str) -> None:
    assert stripped(f"blocks.0.{tool}.norm1.weight", f"blocks.1.{tool}.attn.{tool}.qkv.bias", "cls_token") == {
        "blocks.0.norm1.weight",
        "blocks.1.attn.qkv.bias",
        "cls_token",
    }


@pytest.mark.parametrize(
    "names",
    [
        ("embeddings.cls_token", "embeddings.patch_embeddings.weight", "model.layer.0.norm1.weight", "norm.weight"),
        ("embeddings.patch_embeddings.projection.weight", "encoder.layer.0.attention.output.dense.weight"),
        ("class_token", "conv_proj.weight", "encoder.layers.encoder_layer_0.ln_1.weight", "encoder.pos_embedding"),
        ("blocks.0.module.weight", "patch_embed.proj.weight", "neck.backbone.bias", "modules.x", "backbones.y"),
        ("patch_embed.proj.weight", "model.weight", "encoder", "net"),
        ("model.weight", "encoder.weight", "net.weight"),
    ],
)
def test_names_that_formats_really_have_are_left(names: tuple[str, ...]) -> None:
    assert stripped(*names) == set(names)


@pytest.mark.parametrize(
    "wrapper", ["feature_extractor.", "model.trunk.", "lit.module.image_encoder.model.", "a.b.c.d."]
)
def test_a_wrapper_that_nobody_knows_is_taken_off_until_a_format_is_found(tmp_path: Path, wrapper: str) -> None:
    state = vit_state(3)
    loaded = load_model(saved(tmp_path / "w.pth", prefixed(state, wrapper)), heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), state)
    assert loaded.report.converted == tuple((f"{wrapper}{name}", name) for name in state)
    beside = prefixed(state, wrapper) | {"classifier.weight": torch.ones(5, 12)}
    with pytest.raises(CheckpointError, match=r"Missing: none\. Unexpected: \['classifier\.weight'\]"):
        load_model(saved(tmp_path / "w.pth", beside), heads=3, device="cpu")


def test_two_networks_under_wrappers_that_nobody_knows_are_not_chosen_from(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", prefixed(vit_state(1), "left.") | prefixed(vit_state(2), "right."))
    with pytest.raises(CheckpointError, match=r"not a Vision Transformer in a format .*; got left\.blocks.*PATH#NAME"):
        load_model(path, heads=3, device="cpu")
    loaded = load_model(f"{path}#right", heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), vit_state(2))
    assert loaded.report.dropped == (("left: 30 tensors", "another part of the file; right was taken"),)


def test_a_name_that_tells_two_tensors_apart_is_no_wrapper(tmp_path: Path) -> None:
    """As in SegFormer, which is then said to be what it is."""
    state = {
        "stages.0.embeddings.proj.weight": torch.ones(8, 3, 7, 7),
        "stages.0.embeddings.norm.weight": torch.ones(8),
        "stages.0.norm.weight": torch.ones(8),
        "stages.0.attention.sr.weight": torch.ones(8, 8, 2, 2),
        "stages.1.embeddings.proj.weight": torch.ones(8, 8, 3, 3),
    }
    with pytest.raises(CheckpointError, match="it is a mixture of convolutions and attention and no plain ViT"):
        load_model(saved(tmp_path / "w.pth", state), heads=2, device="cpu")


def test_an_averaged_model_of_torch_has_a_counter_that_is_left_out(tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(load_model(SPEC, weights="random", device="cpu", seed=3).model)
    loaded = load_model(saved(tmp_path / "w.pth", averaged.state_dict()), heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), vit_state(3))
    assert loaded.report.dropped == (("n_averaged", "counter of torch.optim.swa_utils.AveragedModel"),)
