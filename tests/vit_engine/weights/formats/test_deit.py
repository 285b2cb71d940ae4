"""DeiT's own files: the same tokens, attention and logits as timm's models of the same weights, DeiT's resampling."""

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
    small,
)
from tests.vit_engine.weights.formats.timm_peers import saved as with_config
from vit_engine.weights import load_model
from vit_engine.weights.formats.deit import ASSUMED_PLAIN, ASSUMED_RESAMPLING

SQUARE = (20, 20)
GRID, OTHER_GRID = (5, 5), (OTHER[0] // PATCH, OTHER[1] // PATCH)
# timm's architecture, options, and how many tokens before the patches have a position.
MODELS: dict[str, tuple[str, dict[str, Any], int]] = {
    "DeiT": ("deit_tiny_patch16_224", {"embed_dim": 192, "depth": 1}, 1),
    "distilled": ("deit_small_distilled_patch16_224", {}, 2),
    "DeiT-III": ("deit3_small_patch16_224", {}, 0),
}


def deits_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """models_v2.py has LayerScale as gamma_1 and gamma_2 of the block; all else is called as in timm."""
    return {name.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): each for name, each in state.items()}


def saved(peer: nn.Module, path: Path, **arguments: Any) -> dict[str, Tensor]:
    """As published, under "model"; with arguments as DeiT's main.py saves it. Returns the file's tensors."""
    state = deits_names(peer.state_dict())
    training = {"optimizer": {"state": {}}, "epoch": 3, "args": argparse.Namespace(data_path="/data", **arguments)}
    torch.save({"model": state, **(training if arguments else {})}, path)
    return state


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def arguments_of(kind: str) -> dict[str, Any]:
    """Nothing but its arguments tells DeiT's names from timm's."""
    return {"model": "deit_tiny_patch16_224", "batch_size": 64} if kind == "DeiT" else {}


def test_parity_at_the_native_size(kind: str, tmp_path: Path) -> None:
    architecture, options, _ = MODELS[kind]
    model = small(architecture, img_size=SQUARE, **options)
    state = saved(model, tmp_path / "deit.pth", **arguments_of(kind))
    loaded = load_model(tmp_path / "deit.pth", heads=None if kind == "DeiT" else HEADS, device="cpu")
    assert_parity(loaded, pictures(*SQUARE), peer_of(model, pictures(*SQUARE)))
    assert_accounts_for(loaded, state)
    assert (loaded.report.format, loaded.report.native_grid) == ("DeiT", GRID)
    said_nowhere = {"distilled": (ASSUMED_RESAMPLING,), "DeiT-III": (ASSUMED_PLAIN,)}
    assert loaded.report.assumed == said_nowhere.get(kind, ())


def test_parity_at_another_size_with_deits_resampling(kind: str, tmp_path: Path) -> None:
    architecture, options, prefix = MODELS[kind]
    model = small(architecture, img_size=SQUARE, **options)
    saved(model, tmp_path / "deit.pth", **arguments_of(kind))
    loaded = load_model(tmp_path / "deit.pth", heads=HEADS, device="cpu")
    positions = resampled_by_hand(model.pos_embed, prefix=prefix, native=GRID, target=OTHER_GRID)
    peer = peer_of(at_size(model, architecture, OTHER, positions, **options), pictures(*OTHER))
    assert_parity(loaded, pictures(*OTHER), peer)
    for wrong in ({"resampling": "antialias"}, {"resampling": "dino"}, {"norm_eps": 1e-5}):
        with pytest.raises(AssertionError):
            assert_parity(rebuilt(loaded, **wrong), pictures(*OTHER), peer)


def test_the_arguments_of_a_run_say_the_heads(tmp_path: Path) -> None:
    model = small("deit_tiny_patch16_224", img_size=SQUARE, embed_dim=192, depth=1)
    saved(model, tmp_path / "deit.pth", model="deit_tiny_patch16_224")
    loaded = load_model(tmp_path / "deit.pth", device="cpu")
    assert loaded.spec.heads == HEADS
    assert loaded.report.heads_from == "model=deit_tiny_patch16_224 of the training run"


def test_arguments_tell_deit_iii_from_what_has_its_names(tmp_path: Path) -> None:
    saved(small("deit3_small_patch16_224", img_size=SQUARE), tmp_path / "deit.pth", model="deit_small_patch16_LS")
    report = load_model(tmp_path / "deit.pth", heads=HEADS, device="cpu").report
    assert (report.format, report.assumed) == ("DeiT", ())


def test_as_a_known_model_an_oblong_distilled_one_keeps_its_rows(tmp_path: Path) -> None:
    """2×7 patches and two tokens more have 16 positions: no square grid of patches alone."""
    model = small("deit_small_distilled_patch16_224", img_size=(8, 28))
    spec = load_model(with_config(model, tmp_path / "timm"), device="cpu").spec
    saved(model, tmp_path / "deit.pth")
    loaded = load_model(spec, weights=tmp_path / "deit.pth", device="cpu")
    assert_parity(loaded, pictures(8, 28), peer_of(model, pictures(8, 28)))
    assert loaded.report.format == "DeiT"


def test_a_distilled_model_without_classifiers(tmp_path: Path) -> None:
    model = small("deit_small_distilled_patch16_224", img_size=SQUARE, num_classes=0)
    state = saved(model, tmp_path / "deit.pth")
    loaded = load_model(tmp_path / "deit.pth", heads=HEADS, device="cpu")
    peer = peer_of(model, pictures(*SQUARE))
    assert_parity(loaded, pictures(*SQUARE), peer._replace(output=None))
    assert_accounts_for(loaded, state)
    assert (loaded.spec.distilled, loaded.spec.pooling) == (True, "cls")
