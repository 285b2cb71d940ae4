"""Hugging Face's Dinov2, with and without registers: the same tokens and attention as transformers' own models."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    Dinov2Backbone,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2Model,
    Dinov2WithRegistersBackbone,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersForImageClassification,
    Dinov2WithRegistersModel,
    PreTrainedModel,
)

from tests.vit_engine.weights.formats.hugging_face import (
    CLASSES,
    NAMES,
    OTHER_SIZE,
    SMALL,
    WAYS,
    Save,
    as_in_memory,
    as_safetensors,
    assert_all_keys_accounted,
    assert_notices,
    assert_notices_resampling,
    assert_refuses,
    hf_peer,
    keys_of,
)
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model

REGISTERS = {**SMALL, "num_register_tokens": 3}


def peer_of(model: PreTrainedModel, images: Tensor) -> Peer:
    body = getattr(model, "dinov2", getattr(model, "dinov2_with_registers", model))
    if isinstance(model, Dinov2Backbone | Dinov2WithRegistersBackbone):
        return hf_peer(model, body.encoder.layer, images, lambda output: _normed_cls(model, images))
    classes = hasattr(model, "classifier")
    return hf_peer(model, body.encoder.layer, images, lambda output: output.logits if classes else output.pooler_output)


def _normed_cls(model: PreTrainedModel, images: Tensor) -> Tensor:
    """A backbone returns maps of patches; its last tokens, normalised, are what the others have."""
    tokens = model(images, output_hidden_states=True).hidden_states[-1]
    return model.layernorm(tokens)[:, 0]


MODELS = {
    "plain": lambda: randomise(Dinov2Model(Dinov2Config(**SMALL, hidden_act="gelu", use_mask_token=False))),
    "gated": lambda: randomise(Dinov2Model(Dinov2Config(**SMALL, use_swiglu_ffn=True, qkv_bias=False))),
    "classifier": lambda: randomise(
        Dinov2ForImageClassification(Dinov2Config(**SMALL, **CLASSES, hidden_act="quick_gelu", layer_norm_eps=0.02))
    ),
    "backbone": lambda: randomise(Dinov2Backbone(Dinov2Config(**SMALL, out_indices=[1, 2]))),
}
WITH_REGISTERS = {
    "plain": lambda: randomise(Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**REGISTERS))),
    "gated": lambda: randomise(
        Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**REGISTERS, use_swiglu_ffn=True, layer_norm_eps=0.02))
    ),
    "classifier": lambda: randomise(
        Dinov2WithRegistersForImageClassification(Dinov2WithRegistersConfig(**REGISTERS, **CLASSES, qkv_bias=False))
    ),
    "backbone": lambda: randomise(Dinov2WithRegistersBackbone(Dinov2WithRegistersConfig(**REGISTERS))),
    "none": lambda: randomise(
        Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, num_register_tokens=0, hidden_act="gelu_new"))
    ),
}


def check(model: PreTrainedModel, size: tuple[int, int], save: Save, folder: Path) -> tuple[int, str]:
    loaded = load_model(save(model, folder), device="cpu")
    assert_parity(loaded, pictures(*size), peer_of(model, pictures(*size)))
    assert_all_keys_accounted(loaded, keys_of(folder))
    assert (loaded.report.format, loaded.report.native_grid) == ("Hugging Face Dinov2", (5, 5))
    return loaded.spec.registers, loaded.report.resampling


@WAYS
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(kind: str, size: tuple[int, int], save: Save, tmp_path: Path) -> None:
    assert check(MODELS[kind](), size, save, tmp_path) == (0, "bicubic")


@WAYS
@pytest.mark.parametrize("kind", WITH_REGISTERS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity_with_registers(kind: str, size: tuple[int, int], save: Save, tmp_path: Path) -> None:
    assert check(WITH_REGISTERS[kind](), size, save, tmp_path) == (0 if kind == "none" else 3, "antialias")


def test_its_classifier_sees_the_cls_token_and_the_mean_of_the_patches(tmp_path: Path) -> None:
    loaded = load_model(as_safetensors(WITH_REGISTERS["classifier"](), tmp_path), device="cpu")
    assert (loaded.spec.pooling, loaded.spec.class_names) == ("cls_mean", NAMES)
    assert loaded.spec.preprocessing == Preprocessing()
    assert [key for key, _ in loaded.report.dropped] == ["dinov2_with_registers.embeddings.mask_token"]


@pytest.mark.parametrize("change", [{"layer_norm_eps": 0.1}, {"hidden_act": "gelu"}, {"num_attention_heads": 6}])
def test_parity_notices_a_wrong_detail(change: dict[str, object], tmp_path: Path) -> None:
    model = MODELS["classifier"]()
    assert_notices(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), change)


@pytest.mark.parametrize(
    ("models", "other"),
    [(MODELS, "dino"), (MODELS, "antialias"), (WITH_REGISTERS, "bicubic"), (WITH_REGISTERS, "dino")],
)
def test_parity_notices_other_positions(models: dict, other: str, tmp_path: Path) -> None:
    model = models["plain"]()
    assert_notices_resampling(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), other)


@pytest.mark.parametrize("save", [as_safetensors, as_in_memory])
def test_parity_notices_gates_and_values_exchanged(save: Save, tmp_path: Path) -> None:
    model = MODELS["gated"]()
    loaded = load_model(save(model, tmp_path), device="cpu")
    for block in loaded.model.blocks:
        for tensor in block.mlp.w12.parameters():
            tensor.copy_(torch.cat(tensor.chunk(2)[::-1]))
    with pytest.raises(AssertionError):
        assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_swiglu_ffn": True}, "has use_swiglu_ffn True, its tensors False"),
        ({"num_register_tokens": 4}, "has num_register_tokens 4, its tensors 3"),
        ({"model_type": "dinov2"}, "model type 'dinov2', and its tensors have the names of dinov2_with_registers"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    assert_refuses(WITH_REGISTERS["plain"](), tmp_path, change, message)


def test_without_a_configuration_heads_are_asked_for_and_the_rest_is_said(tmp_path: Path) -> None:
    model = WITH_REGISTERS["plain"]()
    alone = (as_safetensors(model, tmp_path / "folder") / "model.safetensors").rename(tmp_path / "mine.safetensors")
    loaded = load_model(alone, heads=3, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert "eps 1e-6" in loaded.report.assumed[0]
