"""torchvision's ViT: the same tokens and attention as torchvision's own model."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import ConvStemConfig, VisionTransformer, interpolate_embeddings

import vit_engine as ve
from tests.vit_engine.weights.formats.by_hand import resampled_by_hand
from tests.vit_engine.weights.formats.support import Peer, assert_parity, captured, pictures, randomise
from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model
from vit_engine.weights.formats.torchvision import WHY_HIDDEN


def forward(model: VisionTransformer, images: Tensor) -> Tensor:
    """torchvision's, for pictures of any shape: its own forward takes squares alone."""
    patches = model.conv_proj(images).flatten(2).mT
    return model.heads(model.encoder(torch.cat([model.class_token, patches], dim=1))[:, 0])


def peer_of(
    model: VisionTransformer, images: Tensor, run: Callable[[VisionTransformer, Tensor], Tensor] | None = None
) -> Peer:
    """What the model says itself, by its own forward or another."""
    layers = list(model.encoder.layers)
    output: list[Tensor] = []
    answer = (lambda: model(images)) if run is None else (lambda: run(model, images))
    tokens = captured(layers, lambda: output.append(answer()))
    normed = captured([layer.ln_1 for layer in layers], answer)
    attention = [
        layer.self_attention(x[None], x[None], x[None], need_weights=True, average_attn_weights=False)[1][0]
        for layer, x in zip(layers, normed, strict=True)
    ]
    return Peer(tokens, attention, output[0])


def small(image_size: int, **options: Any) -> VisionTransformer:
    return VisionTransformer(
        image_size=image_size,
        patch_size=4,
        num_layers=2,
        num_heads=3,
        hidden_dim=24,
        mlp_dim=40,
        num_classes=5,
        **options,
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
    assert loaded.spec.preprocessing == Preprocessing(interpolation="bilinear")
    assert loaded.report.dropped == loaded.report.missing == loaded.report.matched == ()
    assert {key for key, _ in loaded.report.converted} == set(model.state_dict())


def test_parity_at_another_size_with_torchvisions_own_resampling(model: VisionTransformer, path: Path) -> None:
    larger = small(28)
    larger.load_state_dict(interpolate_embeddings(28, 4, model.state_dict()))
    loaded = load_model(path, heads=3, device="cpu")
    assert_parity(loaded, pictures(28, 28), peer_of(larger.eval().requires_grad_(False), pictures(28, 28)))


def test_parity_at_a_size_that_is_no_square(model: VisionTransformer, path: Path) -> None:
    """As its helper resamples squares: bicubically, corners on corners."""
    oblong = small(20)
    oblong.load_state_dict(model.state_dict())
    positions = resampled_by_hand(model.encoder.pos_embedding, prefix=1, native=(5, 5), target=(9, 3), corners=True)
    oblong.encoder.pos_embedding = nn.Parameter(positions)
    peer = peer_of(oblong.eval().requires_grad_(False), pictures(36, 12), forward)
    assert_parity(load_model(path, heads=3, device="cpu"), pictures(36, 12), peer)


def test_another_resampling_or_eps_would_not_be_torchvisions(model: VisionTransformer, path: Path) -> None:
    larger = small(28)
    larger.load_state_dict(interpolate_embeddings(28, 4, model.state_dict()))
    peer = peer_of(larger.eval().requires_grad_(False), pictures(28, 28))
    right = load_model(path, heads=3, device="cpu")
    for change in ({"resampling": "bicubic"}, {"norm_eps": 1e-2}):
        spec = replace(right.spec, **change)
        other = ve.VisionTransformer(spec).eval().requires_grad_(False)
        other.load_state_dict(right.model.state_dict())
        with pytest.raises(AssertionError):
            assert_parity(replace(right, spec=spec, model=other), pictures(28, 28), peer)


def older_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the MLP was called before torchvision 0.12 (MLPBlock._load_from_state_dict renames them still)."""
    changed = {re.sub(r"mlp\.0\.", "mlp.linear_1.", name): tensor for name, tensor in state.items()}
    return {re.sub(r"mlp\.3\.", "mlp.linear_2.", name): tensor for name, tensor in changed.items()}


def test_parity_of_a_file_with_older_names(model: VisionTransformer, tmp_path: Path) -> None:
    state = older_names(model.state_dict())
    assert any("linear_2" in name for name in state)
    torch.save(state, tmp_path / "older.pth")
    loaded = load_model(tmp_path / "older.pth", heads=3, device="cpu")
    assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))
    assert {key for key, _ in loaded.report.converted} == set(state)


def test_parity_with_one_linear_layer_in_place_of_all_heads(tmp_path: Path) -> None:
    """As fine-tuning replaces them: model.heads = nn.Linear(…)."""
    model = small(20)
    model.heads = nn.Linear(24, 7)
    randomise(model)
    torch.save(model.state_dict(), tmp_path / "tuned.pth")
    loaded = load_model(tmp_path / "tuned.pth", heads=3, device="cpu")
    assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))
    assert len(loaded.spec.class_names) == 7


def test_a_classifier_with_a_hidden_layer_is_dropped_by_name(tmp_path: Path) -> None:
    model = randomise(small(20, representation_size=7))
    torch.save(model.state_dict(), tmp_path / "hidden.pth")
    loaded = load_model(tmp_path / "hidden.pth", heads=3, device="cpu")
    assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20))._replace(output=None))
    assert loaded.report.dropped == tuple(
        (f"heads.{part}", WHY_HIDDEN) for part in ("pre_logits.weight", "pre_logits.bias", "head.weight", "head.bias")
    )
    assert loaded.spec.class_names == ()


def test_a_stem_of_convolutions_is_refused_with_the_reason(tmp_path: Path) -> None:
    stem = [ConvStemConfig(out_channels=8, kernel_size=3, stride=2)] * 2
    torch.save(small(20, conv_stem_configs=stem).state_dict(), tmp_path / "stem.pth")
    with pytest.raises(CheckpointError, match=r"stem\.pth: it has no conv_proj\.weight: .* stem of several"):
        load_model(tmp_path / "stem.pth", heads=3, device="cpu")
