"""Hugging Face's DeiT: the same tokens and attention as transformers' own model, two tokens before the patches."""

from pathlib import Path

import pytest
from torch import Tensor
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    DeiTForMaskedImageModeling,
    DeiTModel,
    PreTrainedModel,
)

from tests.vit_engine.weights.formats.hugging_face import (
    CLASSES,
    NAMES,
    OTHER_SIZE,
    SMALL,
    WAYS,
    Save,
    as_safetensors,
    assert_notices,
    assert_notices_resampling,
    assert_same_as,
    change_config,
    hf_peer,
)
from tests.vit_engine.weights.formats.support import Peer, randomise
from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model

DEIT = {**SMALL, "intermediate_size": 40}


def with_teacher() -> DeiTForImageClassificationWithTeacher:
    return randomise(DeiTForImageClassificationWithTeacher(DeiTConfig(**DEIT, **CLASSES)))


def peer_of(model: PreTrainedModel, images: Tensor) -> Peer:
    body = model if isinstance(model, DeiTModel) else model.deit
    classes = hasattr(model, "classifier") or hasattr(model, "cls_classifier")
    asked = model if classes else body
    return hf_peer(
        asked,
        body.layers,
        images,
        lambda output: output.logits if classes else output.last_hidden_state[:, 0],
        interpolate_pos_encoding=True,
    )


MODELS = {
    "cls_dist": with_teacher,
    "cls": lambda: randomise(DeiTForImageClassification(DeiTConfig(**DEIT, **CLASSES, layer_norm_eps=0.02))),
    "no classifier": lambda: randomise(DeiTModel(DeiTConfig(**DEIT, qkv_bias=False, hidden_act="quick_gelu"))),
    "masked image modelling": lambda: randomise(
        DeiTForMaskedImageModeling(DeiTConfig(**DEIT, encoder_stride=4, hidden_act="gelu_new"))
    ),
}


@WAYS
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(kind: str, size: tuple[int, int], save: Save, tmp_path: Path) -> None:
    loaded = assert_same_as(MODELS[kind](), save, tmp_path, size, peer_of)
    assert (loaded.report.format, loaded.report.native_grid) == ("Hugging Face DeiT", (5, 5))
    assert (loaded.spec.prefix, loaded.spec.distilled) == (2, True)


def test_two_classifiers_and_their_names(tmp_path: Path) -> None:
    loaded = load_model(as_safetensors(with_teacher(), tmp_path), device="cpu")
    assert (loaded.spec.pooling, loaded.spec.class_names) == ("cls_dist", NAMES)
    assert loaded.spec.preprocessing == Preprocessing((0.5,) * 3, (0.5,) * 3, "bicubic")
    assert "there is no preprocessor_config.json" in loaded.report.assumed[-1]
    assert loaded.report.dropped == ()


@pytest.mark.parametrize("change", [{"layer_norm_eps": 0.01}, {"hidden_act": "quick_gelu"}, {"num_attention_heads": 6}])
def test_parity_notices_a_wrong_detail(change: dict[str, object], tmp_path: Path) -> None:
    model = with_teacher()
    assert_notices(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), change)


@pytest.mark.parametrize("other", ["dino", "antialias", "corners"])
def test_parity_notices_other_positions(other: str, tmp_path: Path) -> None:
    model = with_teacher()
    assert_notices_resampling(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), other)


def test_a_vits_configuration_is_refused(tmp_path: Path) -> None:
    as_safetensors(with_teacher(), tmp_path)
    change_config(tmp_path, model_type="vit")
    with pytest.raises(CheckpointError, match="model type 'vit', and its tensors have the names of deit"):
        load_model(tmp_path, device="cpu")


def test_half_of_its_classifiers_is_refused(tmp_path: Path) -> None:
    model = with_teacher()
    del model.distillation_classifier.bias
    with pytest.raises(CheckpointError, match=r"Missing: \['head_dist.bias'\]"):
        load_model(as_safetensors(model, tmp_path), device="cpu")
