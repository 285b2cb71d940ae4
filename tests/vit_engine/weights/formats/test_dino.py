"""DINO's own files: the same tokens and attention as timm's model of the same weights, DINO's resampling."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.vit_engine.weights.formats.by_hand import resampled_by_hand
from tests.vit_engine.weights.formats.support import assert_parity, pictures
from tests.vit_engine.weights.formats.timm_peers import (
    HEADS,
    OTHER,
    PATCH,
    assert_accounts_for,
    at_size,
    peer_of,
    rebuilt,
    small,
)
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.formats.dino import ASSUMED_DINO, WHY_HEAD

SQUARE, GRID, OTHER_GRID = (20, 20), (5, 5), (OTHER[0] // PATCH, OTHER[1] // PATCH)
HEAD = ("head.mlp.0.weight", "head.mlp.0.bias", "head.last_layer.weight_g", "head.last_layer.weight_v")
TINY = {"num_classes": 0, "embed_dim": 192, "depth": 1}


def backbone(**options: Any) -> nn.Module:
    return small("vit_tiny_patch16_224", img_size=SQUARE, **{"num_classes": 0, **options})


def wrapped(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """A backbone with the projection head that training puts on it."""
    heads = {f"{prefix}{name}": torch.ones(2) for name in HEAD}
    return {**{f"{prefix}backbone.{name}": tensor for name, tensor in state.items()}, **heads}


def training_file(path: Path, teacher: nn.Module, student: nn.Module, *, arch: str, without: str = "") -> Path:
    """As main_dino.py saves it: the student is wrapped for several GPUs, the teacher is not."""
    content = {
        "student": wrapped(student.state_dict(), "module."),
        "teacher": wrapped(teacher.state_dict(), ""),
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": np.float64(1e-3), "params": [0]}]},
        "epoch": 7,
        "args": argparse.Namespace(arch=arch, patch_size=16, momentum_teacher=0.996),
    }
    torch.save({key: value for key, value in content.items() if key != without}, path)
    return path


def test_parity_of_a_pretrained_backbone_at_the_native_size(tmp_path: Path) -> None:
    model = backbone()
    torch.save(model.state_dict(), tmp_path / "dino.pth")
    loaded = load_model(tmp_path / "dino.pth", heads=HEADS, device="cpu")
    assert_parity(loaded, pictures(*SQUARE), peer_of(model, pictures(*SQUARE)))
    assert_accounts_for(loaded, model.state_dict())
    assert loaded.report.converted == loaded.report.dropped == ()
    assert loaded.report.assumed == (ASSUMED_DINO,)
    assert "resampled as DINO" in ASSUMED_DINO
    assert "normalised with ImageNet's" in ASSUMED_DINO
    assert (loaded.report.format, loaded.report.resampling) == ("DINO", "dino")


def test_parity_at_another_size_with_dinos_offset(tmp_path: Path) -> None:
    """Bicubic by scale factors, of a target 0.1 patch larger (vision_transformer.py, interpolate_pos_encoding)."""
    model = backbone()
    torch.save(model.state_dict(), tmp_path / "dino.pth")
    loaded = load_model(tmp_path / "dino.pth", heads=HEADS, device="cpu")
    positions = resampled_by_hand(model.pos_embed, prefix=1, native=GRID, target=OTHER_GRID, offset=0.1)
    peer = peer_of(at_size(model, "vit_tiny_patch16_224", OTHER, positions, num_classes=0), pictures(*OTHER))
    assert_parity(loaded, pictures(*OTHER), peer)
    for wrong in ({"resampling": "bicubic"}, {"resampling": "antialias"}, {"norm_eps": 1e-5}):
        with pytest.raises(AssertionError):
            assert_parity(rebuilt(loaded, **wrong), pictures(*OTHER), peer)


@pytest.mark.parametrize("arch", ["vit_tiny", "deit_tiny"])
def test_parity_of_a_training_files_teacher(arch: str, tmp_path: Path) -> None:
    teacher, student = backbone(**TINY), backbone(**TINY)
    student.cls_token.mul_(3)
    path = training_file(tmp_path / "checkpoint.pth", teacher, student, arch=arch)
    loaded = load_model(path, device="cpu")
    assert_parity(loaded, pictures(*SQUARE), peer_of(teacher, pictures(*SQUARE)))
    assert_accounts_for(loaded, wrapped(teacher.state_dict(), ""), dropped=set(HEAD))
    assert {why for key, why in loaded.report.dropped if key in HEAD} == {WHY_HEAD}
    assert loaded.report.assumed == ()
    assert (loaded.spec.heads, loaded.report.heads_from) == (3, "arch=vit_tiny of the training run")


@pytest.mark.parametrize(("suffix", "without"), [("#student", ""), ("", "teacher")])
def test_parity_of_a_training_files_student(suffix: str, without: str, tmp_path: Path) -> None:
    """When it is asked for by name, and when there is no teacher."""
    teacher, student = backbone(**TINY), backbone(**TINY)
    student.cls_token.mul_(3)
    path = training_file(tmp_path / "checkpoint.pth", teacher, student, arch="vit_tiny", without=without)
    loaded = load_model(f"{path}{suffix}", device="cpu")
    assert_parity(loaded, pictures(*SQUARE), peer_of(student, pictures(*SQUARE)))
    state = wrapped(student.state_dict(), "module.")
    assert_accounts_for(loaded, state, dropped={f"module.{name}" for name in HEAD})


def test_an_architecture_of_other_dimensions_says_no_heads(tmp_path: Path) -> None:
    path = training_file(tmp_path / "checkpoint.pth", backbone(), backbone(), arch="vit_tiny")  # which has 192
    loaded = load_model(path, heads=HEADS, device="cpu")
    assert loaded.report.heads_from == "heads=, as asked for"


def test_a_projection_head_or_the_arguments_tell_dino(tmp_path: Path) -> None:
    path = training_file(tmp_path / "checkpoint.pth", backbone(), backbone(), arch="vit_of_mine")
    assert load_model(path, heads=HEADS, device="cpu").report.assumed == ()
    content = {"teacher": backbone().state_dict(), "args": argparse.Namespace(arch="vit_tiny")}
    torch.save(content, tmp_path / "headless.pth")
    assert load_model(tmp_path / "headless.pth", heads=HEADS, device="cpu").report.assumed == ()


def test_what_is_no_plain_vit_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({**backbone().state_dict(), "blocks.0.attn.q_norm.weight": torch.ones(8)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"normalised queries and keys \(qk_norm\): blocks\.0\.attn\.q_norm"):
        load_model(tmp_path / "other.pth", heads=HEADS, device="cpu")
