"""torchvision's ViT: the same tokens and attention as torchvision's own model."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from tests.vit_engine.weights.formats.support import Peer, assert_parity, captured, pictures, randomise
from vit_engine.weights import load_model


def peer_of(model: VisionTransformer, images: Tensor) -> Peer:
    layers = list(model.encoder.layers)
    output: list[Tensor] = []
    tokens = captured(layers, lambda: output.append(model(images)))
    normed = captured([layer.ln_1 for layer in layers], lambda: model(images))
    attention = [
        layer.self_attention(x[None], x[None], x[None], need_weights=True, average_attn_weights=False)[1][0]
        for layer, x in zip(layers, normed, strict=True)
    ]
    return Peer(tokens, attention, output[0])


def small(image_size: int) -> VisionTransformer:
    return VisionTransformer(
        image_size=image_size, patch_size=4, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=40, num_classes=5
    )


@pytest.fixture(scope="module")
def model() -> VisionTransformer:
    return randomise(small(20))


@pytest.fixture(scope="module")
def path(model: VisionTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("torchvision") / "vit.pth"
    torch.save(model.state_dict(), path)
    return path


def test_parity_at_the_native_size(model: VisionTransformer, path: Path) -> None:
    loaded = load_model(path, heads=3, device="cpu")
    assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))
    assert loaded.report.format == "torchvision"
    assert loaded.report.dropped == loaded.report.missing == loaded.report.matched == ()
    assert {key for key, _ in loaded.report.converted} == set(model.state_dict())


def test_parity_at_another_size_with_torchvisions_own_resampling(model: VisionTransformer, path: Path) -> None:
    larger = small(28)
    larger.load_state_dict(interpolate_embeddings(28, 4, model.state_dict()))
    loaded = load_model(path, heads=3, device="cpu")
    assert_parity(loaded, pictures(28, 28), peer_of(larger.eval().requires_grad_(False), pictures(28, 28)))
