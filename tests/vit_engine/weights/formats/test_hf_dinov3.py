"""Hugging Face's DINOv3 ViT: the same tokens and attention as transformers' own model, positions rotary."""

from pathlib import Path

import pytest
from torch import Tensor
from transformers import DINOv3ViTBackbone, DINOv3ViTConfig, DINOv3ViTModel, PreTrainedModel

from tests.vit_engine.weights.formats.hugging_face import (
    OTHER_SIZE,
    SMALL,
    WAYS,
    Save,
    as_safetensors,
    assert_notices,
    assert_refuses,
    assert_same_as,
    hf_peer,
)
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model

DINOV3 = {**SMALL, "intermediate_size": 40, "num_register_tokens": 3}
GATED = {**DINOV3, "use_gated_mlp": True, "hidden_act": "silu"}


def dinov3(**options: object) -> DINOv3ViTModel:
    return randomise(DINOv3ViTModel(DINOv3ViTConfig(**{**DINOV3, **options})))


def peer_of(model: PreTrainedModel, images: Tensor) -> Peer:
    if isinstance(model, DINOv3ViTBackbone):
        return hf_peer(model, model.model.layer, images, lambda output: _normed_cls(model, images))
    return hf_peer(model, model.model.layer, images, lambda output: output.pooler_output)


def _normed_cls(model: PreTrainedModel, images: Tensor) -> Tensor:
    """A backbone returns maps of patches; its last tokens, normalised, are what the others have."""
    tokens = model(images, output_hidden_states=True).hidden_states[-1]
    return model.norm(tokens)[:, 0]


MODELS = {
    "plain": dinov3,
    "gated": lambda: dinov3(**GATED, layer_norm_eps=0.02),
    "gated by transformers' default, GELU": lambda: dinov3(use_gated_mlp=True),
    "every bias, another base": lambda: dinov3(key_bias=True, rope_theta=30.0, hidden_act="quick_gelu"),
    "no bias at all": lambda: dinov3(query_bias=False, value_bias=False, proj_bias=False, mlp_bias=False),
    "no bias at all, gated": lambda: dinov3(
        **GATED, query_bias=False, value_bias=False, proj_bias=False, mlp_bias=False
    ),
    "values alone have a bias, no registers": lambda: dinov3(query_bias=False, num_register_tokens=0),
    "backbone": lambda: randomise(DINOv3ViTBackbone(DINOv3ViTConfig(**DINOV3, hidden_act="gelu_new"))),
}


@WAYS
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(kind: str, size: tuple[int, int], save: Save, tmp_path: Path) -> None:
    loaded = assert_same_as(MODELS[kind](), save, tmp_path, size, peer_of)
    assert (loaded.report.format, loaded.report.heads_from) == ("Hugging Face DINOv3", "config.json")
    assert (loaded.report.native_grid, loaded.report.resampling, loaded.spec.native_size) == (None, "", (20, 20))


def test_only_queries_and_values_have_a_bias(tmp_path: Path) -> None:
    loaded = load_model(as_safetensors(dinov3(), tmp_path), device="cpu")
    queries, keys, values = loaded.model.blocks[1].attn.qkv.bias.chunk(3)
    assert not keys.any()
    assert queries.all()
    assert values.all()
    assert loaded.spec.preprocessing == Preprocessing(interpolation="bilinear")


@pytest.mark.parametrize(
    "change",
    [{"layer_norm_eps": 0.02}, {"hidden_act": "quick_gelu"}, {"num_attention_heads": 6}, {"rope_theta": 99.0}],
)
def test_parity_notices_a_wrong_detail(change: dict[str, object], tmp_path: Path) -> None:
    model = dinov3()
    assert_notices(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_gated_mlp": True}, "has use_gated_mlp True, its tensors False"),
        ({"num_register_tokens": 4}, "has num_register_tokens 4, its tensors 3"),
        ({"query_bias": False}, "has query_bias False, its tensors True"),
        ({"key_bias": True}, "has key_bias True, its tensors False"),
        ({"mlp_bias": False}, "has mlp_bias False, its tensors True"),
        ({"patch_size": 14}, r"has patch_size 14, its tensors kernels of \(4, 4\)"),
        ({"model_type": "eomt_dinov3"}, "model type 'eomt_dinov3'"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    assert_refuses(dinov3(), tmp_path, change, message)


def test_an_mlp_gated_by_another_activation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"gated by the activation \(hidden_act\) 'relu'; known here are silu, swish"
    ):
        load_model(as_safetensors(dinov3(**{**GATED, "hidden_act": "relu"}), tmp_path), device="cpu")


def test_one_lost_bias_is_refused(tmp_path: Path) -> None:
    model = dinov3()
    del model.model.layer[1].attention.q_proj.bias
    with pytest.raises(CheckpointError, match=r"'blocks\.1\.attn\.q\.bias' is missing"):
        load_model(as_safetensors(model, tmp_path), device="cpu")


@pytest.mark.parametrize("options", [{}, {"use_gated_mlp": True, "hidden_act": "silu"}])
def test_without_a_configuration_heads_are_asked_for_and_the_rest_is_said(
    options: dict[str, object], tmp_path: Path
) -> None:
    model = dinov3(**options)
    alone = (as_safetensors(model, tmp_path / "folder") / "model.safetensors").rename(tmp_path / "mine.safetensors")
    with pytest.raises(CheckpointError, match=r"pass heads=\."):
        load_model(alone, device="cpu")
    loaded = load_model(alone, heads=3, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert "base 100" in loaded.report.assumed[0]
    assert loaded.spec.native_size == (224, 224)


def test_heads_that_cannot_be_rotated_are_refused(tmp_path: Path) -> None:
    alone = (as_safetensors(dinov3(), tmp_path / "folder") / "model.safetensors").rename(tmp_path / "mine.safetensors")
    with pytest.raises((CheckpointError, SpecError), match="multiple of 4"):
        load_model(alone, heads=4, device="cpu")
