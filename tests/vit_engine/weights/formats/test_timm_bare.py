"""timm's models without a config.json: what their tensors and training arguments say, and what has to be asked."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import SwiGLU
from torch import Tensor

from tests.vit_engine.weights.formats.support import assert_parity, pictures
from tests.vit_engine.weights.formats.timm_peers import HEADS, OTHER, assert_accounts_for, peer_of, saved, small
from vit_engine.errors import CheckpointError
from vit_engine.spec import Weights
from vit_engine.weights import load_model
from vit_engine.weights.formats.timm import ASSUMED_RESAMPLING, ASSUMED_SQUARE

SQUARE = (20, 20)
BARE: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("vit_small_patch16_224", {}),
    "registers without positions": ("vit_small_patch14_reg4_dinov2", {"num_classes": 0}),
    "registers with positions": ("vit_small_patch16_224", {"reg_tokens": 4, "num_classes": 0}),
    "registers, mean of patches": ("vit_small_patch14_reg4_dinov2", {"global_pool": "avg"}),
    "DeiT-III": ("deit3_small_patch16_224", {}),
    "DINOv2": ("vit_small_patch14_dinov2", {"num_classes": 0}),
    "DINOv2 giant": ("vit_giant_patch14_dinov2", {"mlp_ratio": 3, "num_classes": 0}),
    "SwiGLU of two layers": ("vit_small_patch16_224", {"mlp_layer": SwiGLU, "act_layer": torch.nn.SiLU}),
}


@pytest.mark.parametrize("variant", BARE)
def test_parity_of_bare_files(variant: str, tmp_path: Path) -> None:
    architecture, options = BARE[variant]
    model = small(architecture, img_size=SQUARE, **options)
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    loaded = load_model(tmp_path / "bare.pth", heads=HEADS, device="cpu")
    assert_parity(loaded, pictures(*OTHER), peer_of(model, pictures(*OTHER)))
    assert_accounts_for(loaded, model.state_dict())
    assert (loaded.report.format, loaded.report.native_grid) == ("timm", (5, 5))
    assert "normalised with ImageNet's mean and std" in loaded.report.assumed[0]
    assert loaded.report.assumed[1] == ASSUMED_RESAMPLING
    pooled = "mean of the patches" if "mean" in variant else "CLS token"
    seen = (f"Its classifier sees the {pooled}.",) if loaded.spec.class_names else ()
    alone = (ASSUMED_SQUARE,) if model.no_embed_class else ()
    assert loaded.report.assumed[2:] == seen + alone


def test_bare_files_have_to_be_asked_for_heads_and_get_advice(tmp_path: Path) -> None:
    torch.save(small("vit_small_patch16_224", img_size=SQUARE).state_dict(), tmp_path / "bare.pth")
    with pytest.raises(CheckpointError, match=r"does not say how many heads .*: pass heads="):
        load_model(tmp_path / "bare.pth", device="cpu")


def test_a_patch_projection_kept_as_a_linear_layer(tmp_path: Path) -> None:
    """As timm's first own models had it; timm's checkpoint_filter_fn reshapes them, too."""
    model = small("vit_small_patch16_224", img_size=SQUARE)
    state = model.state_dict()
    flat = {**state, "patch_embed.proj.weight": state["patch_embed.proj.weight"].flatten(1)}
    torch.save(flat, tmp_path / "flat.pth")
    loaded = load_model(tmp_path / "flat.pth", heads=HEADS, device="cpu")
    assert_parity(loaded, pictures(*SQUARE), peer_of(model, pictures(*SQUARE)))
    assert_accounts_for(loaded, flat)
    assert ("patch_embed.proj.weight", "patch_embed.proj.weight") in loaded.report.converted


def test_as_a_known_model_an_oblong_one_keeps_its_row(tmp_path: Path) -> None:
    """3×11 patches and CLS are 34 rows, no square with CLS or without."""
    model = small("vit_small_patch16_224", img_size=(12, 44))
    spec = load_model(saved(model, tmp_path / "timm"), device="cpu").spec
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    loaded = load_model(spec, weights=tmp_path / "bare.pth", device="cpu")
    assert_parity(loaded, pictures(12, 44), peer_of(model, pictures(12, 44)))
    with pytest.raises(CheckpointError, match="no square grid"):
        load_model(tmp_path / "bare.pth", heads=HEADS, device="cpu")


def trained(path: Path, state: dict[str, Tensor], **arguments: Any) -> Path:
    """As timm's train.py saves it (timm/utils/checkpoint_saver.py)."""
    given = {"data_dir": "/data", "img_size": None, "gp": None, "mean": None, "model_kwargs": {}, **arguments}
    content = {"epoch": 3, "arch": "vit", "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}
    torch.save({**content, "args": argparse.Namespace(**given), "version": 2}, path)
    return path


def test_a_training_files_arguments_say_what_a_config_would(tmp_path: Path) -> None:
    options = {"embed_dim": 192, "num_heads": 3, "depth": 1, "img_size": (12, 28), "global_pool": "avg"}
    model = small("vit_tiny_patch16_224", fc_norm=False, **options)
    path = trained(
        tmp_path / "last.pth", model.state_dict(), model="vit_tiny_patch16_224.in1k", img_size=[12, 28], gp="avg"
    )
    loaded = load_model(path, device="cpu")
    assert_parity(loaded, pictures(*OTHER), peer_of(model, pictures(*OTHER)))
    said = "the architecture vit_tiny_patch16_224.in1k in the arguments of the training run"
    assert (loaded.report.format, loaded.report.heads_from) == ("timm", said)
    path = trained(
        tmp_path / "other.pth",
        model.state_dict(),
        model="vit_tiny_patch16_224",
        img_size=[12, 28],
        model_kwargs={"num_heads": 6},
    )
    assert load_model(path, device="cpu").spec.heads == 6


def test_positions_that_can_be_read_two_ways_are_refused(tmp_path: Path) -> None:
    """Nine rows: 3×3 patches, or 2×2 and a row for CLS and each of four registers."""
    model = small("vit_small_patch16_224", img_size=(8, 8), reg_tokens=4)
    torch.save(model.state_dict(), tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match=r"its 9 positions may be those of the patches or of 5 tokens more"):
        load_model(tmp_path / "two.pth", heads=HEADS, device="cpu")


def test_an_oblong_grid_that_looks_like_a_square_without_cls_is_refused(tmp_path: Path) -> None:
    """3×5 patches and a row for CLS are 16 rows, as 4×4 patches are without one."""
    model = small("vit_small_patch16_224", img_size=(12, 20))
    torch.save(model.state_dict(), tmp_path / "oblong.pth")
    with pytest.raises(CheckpointError, match=r"its 16 positions may be those of the patches or of 1 token more"):
        load_model(tmp_path / "oblong.pth", heads=HEADS, device="cpu")


def test_positions_with_registers_that_are_no_square_are_refused(tmp_path: Path) -> None:
    model = small("vit_small_patch16_224", img_size=(20, 28), reg_tokens=4)
    torch.save(model.state_dict(), tmp_path / "oblong.pth")
    with pytest.raises(CheckpointError, match=r"its 40 positions may be .* config\.json that timm saved"):
        load_model(tmp_path / "oblong.pth", heads=HEADS, device="cpu")


def test_of_models_that_are_known_by_name_nothing_is_assumed(tmp_path: Path) -> None:
    """Their row says what a bare file leaves open."""
    path = tmp_path / "bare.pth"
    torch.save(small("vit_small_patch16_224", img_size=SQUARE).state_dict(), path)
    bare = load_model(path, heads=HEADS, device="cpu")
    known = replace(bare.spec, resampling="bicubic", weights=Weights(url="https://example.org/known.pth"))
    report = load_model(known, weights=path, device="cpu").report
    assert bare.report.assumed
    assert (report.format, report.assumed, report.resampling) == ("timm", (), "bicubic")
