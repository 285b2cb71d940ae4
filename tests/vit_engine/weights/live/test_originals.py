"""Modules of the original repositories, in memory: known by their structure, the same tokens and attention."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.vit_engine.weights.formats.support import assert_parity, pictures, randomise
from tests.vit_engine.weights.live import lookalikes
from tests.vit_engine.weights.live.lookalike_peers import peer_of
from tests.vit_engine.weights.live.lookalikes import SIDE, Clip, ClipVisual, Dino, DinoV2, DinoV3, Mae
from vit_engine.weights import load_model

OTHER = (12, 28)
KINDS: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "DINO": (Dino, "DINO", "dino"),
    "DINOv2": (DinoV2, "DINOv2", "dino"),
    "DINOv2 with registers": (lambda: DinoV2(registers=3, offset=0.0, antialias=True), "DINOv2", "antialias"),
    "DINOv2 with other settings": (lambda: DinoV2(registers=3, offset=0.1), "DINOv2", "dino"),
    "DINOv3": (DinoV3, "DINOv3", ""),
    "CLIP": (ClipVisual, "OpenAI CLIP", "bicubic"),
    "whole CLIP": (Clip, "OpenAI CLIP", "bicubic"),
    "open_clip": (lambda: ClipVisual(batch_first=True, act=nn.GELU()), "OpenAI CLIP", "bicubic"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parity_at_the_native_size(kind: str) -> None:
    make, name, resampling = KINDS[kind]
    model = randomise(make())
    loaded = load_model(model, device="cpu")
    assert_parity(loaded, pictures(SIDE, SIDE), peer_of(model, pictures(SIDE, SIDE)))
    assert (loaded.report.format, loaded.report.resampling, loaded.spec.heads) == (name, resampling, lookalikes.HEADS)
    assert loaded.report.verified.startswith("attention and tokens of all layers agree")
    assert loaded.report.heads_from == "the module's attention layers"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("DINO")])
def test_parity_at_another_size(kind: str) -> None:
    model = randomise(KINDS[kind][0]())
    assert_parity(load_model(model, device="cpu"), pictures(*OTHER), peer_of(model, pictures(*OTHER)))


def test_an_activation_that_no_tensor_shows_is_read() -> None:
    assert load_model(randomise(ClipVisual()), device="cpu").spec.mlp == "quick_gelu"
    assert load_model(randomise(ClipVisual(act=nn.GELU())), device="cpu").spec.mlp == "gelu"


def test_what_the_comparison_proves_is_no_longer_assumed() -> None:
    for model in (ClipVisual(), DinoV3()):
        assert load_model(randomise(model), device="cpu").report.assumed == ()


def test_a_masked_autoencoder_is_compared_with_all_patches_in_whatever_order() -> None:
    report = load_model(randomise(Mae()), device="cpu").report
    assert report.format == "MAE"
    assert report.verified.startswith("attention and tokens of all layers agree")


class HubClassifier(nn.Module):
    """hub/classifiers.py of facebookresearch/dinov2, of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.linear_head = DinoV2(), nn.Linear(2 * lookalikes.DIM, 5)

    def forward(self, x: Tensor) -> Tensor:
        left: list[Tensor] = []
        handle = self.backbone.norm.register_forward_hook(lambda _, __, output: left.append(output))
        self.backbone(x)
        handle.remove()
        return self.linear_head(torch.cat([left[0][:, 0], left[0][:, 1:].mean(dim=1)], dim=1))


def test_the_linear_classifier_of_dinov2s_hub_is_taken_too() -> None:
    model = randomise(HubClassifier())
    loaded = load_model(model, device="cpu")
    assert loaded.report.verified.startswith("attention and tokens of all layers, and the values of its classes, agree")
    assert_parity(
        loaded,
        pictures(SIDE, SIDE),
        peer_of(model.backbone, pictures(SIDE, SIDE))._replace(output=model(pictures(SIDE, SIDE))[0]),
    )


def test_open_clips_own_way_to_resample_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClipVisual, "__module__", "open_clip.transformer")
    visual = randomise(ClipVisual(batch_first=True, act=nn.GELU()))
    visual.image_mean, visual.image_std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    loaded = load_model(visual, device="cpu")
    assert loaded.spec.resampling == "antialias"
    assert (loaded.spec.preprocessing.mean, loaded.spec.preprocessing.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert loaded.report.source == "open_clip ClipVisual in memory"
