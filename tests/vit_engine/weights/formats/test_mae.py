"""MAE's own files: the same tokens and attention as timm's model of the same weights, MAE's resampling."""

import argparse
from pathlib import Path
from typing import Any

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
    saved,
    small,
)
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.formats.mae import ASSUMED_MEAN, WHY_DECODER, WHY_MASK, WHY_PROBE

SQUARE, DIM, WIDTH = (20, 20), 24, 12  # WIDTH: of the decoder
GRID, OTHER_GRID = (5, 5), (OTHER[0] // PATCH, OTHER[1] // PATCH)
VIT = "vit_small_patch16_224"


def sines_and_cosines(rows: int, cols: int, dim: int) -> Tensor:
    """Positions (1, 1 + rows * cols, dim) as in MAE's util/pos_embed.py: of the column, then of the row."""
    frequencies = 1 / 10000 ** (torch.arange(dim // 4) / (dim // 4))
    row, col = torch.meshgrid(torch.arange(rows), torch.arange(cols), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (col, row)]
    patches = torch.cat([part for each in angles for part in (each.sin(), each.cos())], dim=1)
    return torch.cat([torch.zeros(1, dim), patches])[None]


def encoder() -> nn.Module:
    model = small(VIT, img_size=SQUARE, num_classes=0)
    model.pos_embed.copy_(sines_and_cosines(*GRID, DIM))
    return model


def decoder() -> dict[str, Tensor]:
    """Some of what models_mae.py has after the encoder."""
    shapes = {
        "mask_token": (1, 1, WIDTH),
        "decoder_pos_embed": (1, 26, WIDTH),
        "decoder_embed.weight": (WIDTH, DIM),
        "decoder_embed.bias": (WIDTH,),
        "decoder_blocks.0.norm1.weight": (WIDTH,),
        "decoder_blocks.0.attn.qkv.weight": (3 * WIDTH, WIDTH),
        "decoder_norm.weight": (WIDTH,),
        "decoder_pred.weight": (48, WIDTH),
    }
    return {name: torch.ones(shape) for name, shape in shapes.items()}


def arguments(**given: Any) -> dict[str, Any]:
    return {"args": argparse.Namespace(data_path="/data", blr=1.5e-4, **given), "epoch": 3}


def test_a_published_encoder_is_known_by_its_positions(tmp_path: Path) -> None:
    """It has the names of DINO, and DINO's resampling would be another."""
    model = encoder()
    torch.save({"model": model.state_dict()}, tmp_path / "encoder.pth")
    loaded = load_model(tmp_path / "encoder.pth", heads=HEADS, device="cpu")
    assert_parity(loaded, pictures(*SQUARE), peer_of(model, pictures(*SQUARE)))
    assert_accounts_for(loaded, model.state_dict())
    assert (loaded.report.format, loaded.report.resampling, loaded.report.native_grid) == ("MAE", "bicubic", GRID)


@pytest.mark.parametrize(("row", "dimension", "value"), [(0, 0, 0.01), (1, 0, 0.01), (1, 6, 0.99)])
def test_trained_positions_are_not_maes(row: int, dimension: int, value: float, tmp_path: Path) -> None:
    """Of the CLS token, a sine and a cosine of the first patch."""
    model = encoder()
    model.pos_embed[0, row, dimension] = value
    torch.save({"model": model.state_dict()}, tmp_path / "trained.pth")
    assert load_model(tmp_path / "trained.pth", heads=HEADS, device="cpu").report.format == "DINO"


def test_other_evidence_goes_before_positions_of_sines_and_cosines(tmp_path: Path) -> None:
    model = small("vit_small_patch14_dinov2", img_size=SQUARE, num_classes=0)
    model.pos_embed.copy_(sines_and_cosines(*GRID, DIM))
    torch.save(model.state_dict(), tmp_path / "scaled.pth")
    assert load_model(tmp_path / "scaled.pth", heads=HEADS, device="cpu").report.format == "timm"
    loaded = load_model(saved(encoder(), tmp_path / "timm"), device="cpu")
    assert (loaded.report.format, loaded.report.resampling) == ("timm", "antialias")


@pytest.mark.parametrize("name", ["vit_small_patch16_224", "mine"])
def test_a_vit_of_somebody_elses_training_is_not_maes(name: str, tmp_path: Path) -> None:
    model = small(VIT, img_size=SQUARE)
    content = {"model": model.state_dict(), "args": argparse.Namespace(model=name, lr=0.1)}
    torch.save(content, tmp_path / "other.pth")
    assert load_model(tmp_path / "other.pth", heads=HEADS, device="cpu").report.format == "timm"


@pytest.mark.parametrize("shape", [(0, 26, DIM), (26, DIM), (1, 1, DIM), (1, 26, 0), (1, 26, 6), (2, 26, DIM), (1, 26)])
def test_positions_of_another_shape_are_refused_and_not_stumbled_over(shape: tuple[int, ...], tmp_path: Path) -> None:
    torch.save({**encoder().state_dict(), "pos_embed": torch.zeros(shape)}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd\.pth.*pos_embed|odd\.pth.* patch positions"):
        load_model(tmp_path / "odd.pth", heads=HEADS, device="cpu")


def test_parity_of_a_pretrained_model_with_its_decoder_at_another_size(tmp_path: Path) -> None:
    model = encoder()
    state = {**model.state_dict(), **decoder()}
    torch.save({"model": state}, tmp_path / "full.pth")
    loaded = load_model(tmp_path / "full.pth", heads=HEADS, device="cpu")
    positions = resampled_by_hand(model.pos_embed, prefix=1, native=GRID, target=OTHER_GRID)
    peer = peer_of(at_size(model, VIT, OTHER, positions, num_classes=0), pictures(*OTHER))
    assert_parity(loaded, pictures(*OTHER), peer)
    assert_accounts_for(loaded, state, dropped=set(decoder()))
    reasons = dict(loaded.report.dropped)
    assert (reasons["decoder_pred.weight"], reasons["mask_token"]) == (WHY_DECODER, WHY_MASK)
    for wrong in ({"resampling": "antialias"}, {"resampling": "dino"}, {"norm_eps": 1e-5}):
        with pytest.raises(AssertionError):
            assert_parity(rebuilt(loaded, **wrong), pictures(*OTHER), peer)


@pytest.mark.parametrize(("name", "why"), [("mask_token", WHY_MASK), ("decoder_embed.weight", WHY_DECODER)])
def test_a_mask_token_or_a_decoder_alone_tells_mae(name: str, why: str, tmp_path: Path) -> None:
    model = small(VIT, img_size=SQUARE, num_classes=0)
    torch.save({"model": {**model.state_dict(), name: torch.ones(1, 1, WIDTH)}}, tmp_path / "mae.pth")
    loaded = load_model(tmp_path / "mae.pth", heads=HEADS, device="cpu")
    assert (loaded.report.format, loaded.report.dropped) == ("MAE", ((name, why),))


@pytest.mark.parametrize("averaged", [True, False])
def test_parity_of_a_fine_tuned_classifier_at_another_size(averaged: bool, tmp_path: Path) -> None:
    options = {"global_pool": "avg" if averaged else "token", "embed_dim": 192, "depth": 1}
    model = small("vit_tiny_patch16_224", img_size=SQUARE, **options)
    path = tmp_path / "finetuned.pth"
    said = {} if averaged else arguments(model="vit_tiny_patch16", nb_classes=5)
    torch.save({"model": model.state_dict(), **said}, path)
    loaded = load_model(path, heads=HEADS, device="cpu")
    positions = resampled_by_hand(model.pos_embed, prefix=1, native=GRID, target=OTHER_GRID)
    peer = peer_of(at_size(model, "vit_tiny_patch16_224", OTHER, positions, **options), pictures(*OTHER))
    assert_parity(loaded, pictures(*OTHER), peer)
    assert_accounts_for(loaded, model.state_dict())
    assert (loaded.report.format, len(loaded.spec.class_names)) == ("MAE", 5)
    assert loaded.report.assumed == ((ASSUMED_MEAN,) if averaged else ())
    wrong = rebuilt(loaded, pooling="cls" if averaged else "mean")
    with pytest.raises(AssertionError):
        assert_parity(wrong, pictures(*OTHER), peer)


def test_arguments_say_the_heads_and_a_linear_probe_is_dropped(tmp_path: Path) -> None:
    model = small("vit_base_patch16_224", img_size=SQUARE, embed_dim=768, num_heads=12, depth=1, num_classes=0)
    probe = {
        "head.0.running_mean": torch.zeros(768),
        "head.0.running_var": torch.ones(768),
        "head.0.num_batches_tracked": torch.tensor(3),
        "head.1.weight": torch.ones(5, 768),
        "head.1.bias": torch.ones(5),
    }
    state = {**model.state_dict(), **probe}
    torch.save({"model": state, **arguments(model="vit_base_patch16")}, tmp_path / "probe.pth")
    loaded = load_model(tmp_path / "probe.pth", device="cpu")
    assert (loaded.spec.heads, loaded.report.heads_from) == (12, "model=vit_base_patch16 of the training run")
    assert_accounts_for(loaded, state, dropped=set(probe))
    assert dict(loaded.report.dropped)["head.1.weight"] == WHY_PROBE
    torch.save({"model": model.state_dict(), **arguments(model="mae_vit_base_patch16")}, tmp_path / "pretrain.pth")
    assert load_model(tmp_path / "pretrain.pth", device="cpu").report.heads_from.startswith("model=mae_vit_base")


def test_a_size_that_mae_has_not_published_says_no_heads(tmp_path: Path) -> None:
    """MAE-Lite's tiny one has 12, and timm's of this name 3."""
    model = small("vit_tiny_patch16_224", img_size=SQUARE, embed_dim=192, num_heads=12, depth=1, num_classes=0)
    path = tmp_path / "pretrain.pth"
    torch.save({"model": model.state_dict(), **arguments(model="mae_vit_tiny_patch16")}, path)
    with pytest.raises(CheckpointError, match=r"does not say how many heads"):
        load_model(path, device="cpu")
    assert load_model(path, heads=12, device="cpu").spec.heads == 12
