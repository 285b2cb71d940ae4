"""Hugging Face's ViT: the same tokens and attention as transformers' own model."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    PreTrainedModel,
    ViTConfig,
    ViTForImageClassification,
    ViTForMaskedImageModeling,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTModel,
    ViTMSNConfig,
    ViTMSNForImageClassification,
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
    assert_same_as,
    change_config,
    hf_peer,
    keys_of,
)
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model

VIT = {**SMALL, "intermediate_size": 40}


def classifier(**options: object) -> ViTForImageClassification:
    return randomise(ViTForImageClassification(ViTConfig(**VIT, **CLASSES, **options)))


def peer_of(model: PreTrainedModel, images: Tensor) -> Peer:
    body = model if isinstance(model, ViTModel) else model.vit
    classes = isinstance(model, ViTForImageClassification | ViTMSNForImageClassification)
    asked = model if classes else body
    return hf_peer(
        asked,
        body.layers,
        images,
        lambda output: output.logits if classes else output.last_hidden_state[:, 0],
        interpolate_pos_encoding=True,
    )


MODELS = {
    "classifier": lambda: classifier(hidden_act="gelu"),
    "no biases, another activation and eps": lambda: randomise(
        ViTModel(ViTConfig(**VIT, qkv_bias=False, hidden_act="quick_gelu", layer_norm_eps=0.02))
    ),
    "masked image modelling": lambda: randomise(
        ViTForMaskedImageModeling(ViTConfig(**VIT, encoder_stride=4, hidden_act="gelu_pytorch_tanh"))
    ),
    "MSN": lambda: randomise(ViTMSNForImageClassification(ViTMSNConfig(**VIT, **CLASSES))),
}


HALF_ASSUMED = "Pictures are normalised with mean 0.5 0.5 0.5 and std 0.5 0.5 0.5"  # of DINO, MAE and MSN it is another


@WAYS
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(kind: str, size: tuple[int, int], save: Save, tmp_path: Path) -> None:
    loaded = assert_same_as(MODELS[kind](), save, tmp_path, size, peer_of)
    assert (loaded.report.format, loaded.report.heads_from) == ("Hugging Face ViT", "config.json")
    assert loaded.report.native_grid == (5, 5)
    assert [sentence.split(",")[0] for sentence in loaded.report.assumed] == [HALF_ASSUMED]


@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_an_mae_is_its_encoder_that_sees_every_patch(size: tuple[int, int], tmp_path: Path) -> None:
    model = randomise(ViTMAEForPreTraining(ViTMAEConfig(**VIT, mask_ratio=0.0)))
    loaded = load_model(as_safetensors(model, tmp_path), device="cpu")
    patches = size[0] * size[1] // 16
    in_order = torch.arange(patches)[None] / patches  # it shuffles patches by this noise
    peer = hf_peer(
        model.vit,
        model.vit.layers,
        pictures(*size),
        lambda output: output.last_hidden_state[:, 0],
        noise=in_order,
        interpolate_pos_encoding=True,
    )
    assert_parity(loaded, pictures(*size), peer)
    assert_all_keys_accounted(loaded, keys_of(tmp_path))


def test_parity_at_a_native_size_that_is_no_square(tmp_path: Path) -> None:
    model = randomise(ViTModel(ViTConfig(**{**VIT, "image_size": [12, 20]})))
    loaded = load_model(as_safetensors(model, tmp_path), device="cpu")
    # Its own interpolation knows squares only, and at the native size there is nothing to interpolate.
    peer = hf_peer(model, model.layers, pictures(12, 20), lambda output: output.last_hidden_state[:, 0])
    assert_parity(loaded, pictures(12, 20), peer)
    assert loaded.spec.native_size == (12, 20)


def test_the_pooler_is_dropped_by_name(tmp_path: Path) -> None:
    loaded = load_model(as_safetensors(MODELS["no biases, another activation and eps"](), tmp_path), device="cpu")
    assert [key for key, _ in loaded.report.dropped] == ["pooler.dense.bias", "pooler.dense.weight"]
    assert not loaded.spec.qkv_bias


def test_classes_have_their_names_in_order(tmp_path: Path) -> None:
    assert load_model(as_safetensors(classifier(), tmp_path), device="cpu").spec.class_names == NAMES


@pytest.mark.parametrize(
    "labels",
    [
        {},
        ["owl"] * 5,
        {"0": "owl"},
        {str(number): "owl" for number in range(6)},
        {"0": "a", "1": "b", "2": "c", "3": "d", "9": "e"},
    ],
)
def test_names_that_are_not_those_of_the_classifier_are_left(labels: dict[str, str], tmp_path: Path) -> None:
    as_safetensors(classifier(), tmp_path)
    change_config(tmp_path, id2label=labels)
    assert load_model(tmp_path, device="cpu").spec.class_names[:2] == ("class 0", "class 1")


@pytest.mark.parametrize(
    "change",
    [{"layer_norm_eps": 0.01}, {"hidden_act": "gelu"}, {"hidden_act": "gelu_new"}, {"num_attention_heads": 6}],
)
def test_parity_notices_a_wrong_detail(change: dict[str, object], tmp_path: Path) -> None:
    model = randomise(ViTModel(ViTConfig(**VIT, hidden_act="quick_gelu"), add_pooling_layer=False))
    assert_notices(as_in_memory(model, tmp_path), lambda images: peer_of(model, images), change)


@pytest.mark.parametrize("other", ["dino", "antialias", "corners"])
def test_parity_notices_other_positions(other: str, tmp_path: Path) -> None:
    model = classifier()
    assert_notices_resampling(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 5}, r"has patch_size 5, its tensors kernels of \(4, 4\)\. Put the config\.json"),
        ({"hidden_size": 32}, "has hidden_size 32, its tensors 24"),
        ({"num_hidden_layers": 3}, "has num_hidden_layers 3, its tensors 2"),
        ({"qkv_bias": False}, "has qkv_bias False, its tensors True"),
        ({"image_size": 24}, r"has image_size 24 \(6×6 patches\), its tensors positions for 25"),
        ({"hidden_act": "relu"}, "activation .* 'relu'; known here are gelu, "),
        ({"model_type": "beit"}, "model type 'beit', and its tensors have the names of vit or vit_mae"),
        ({"num_attention_heads": 5}, "dim must be a multiple of heads"),
        ({"num_attention_heads": "3"}, "num_attention_heads must be a whole number above 0; got '3'"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps must be a number above 0; got 'small'"),
        ({"layer_norm_eps": 0}, "layer_norm_eps must be a number above 0; got 0"),
        ({"image_size": [20, 20, 3]}, r"image_size must be a whole number above 0, or two; got \[20, 20, 3\]"),
        ({"patch_size": None}, "patch_size must be a whole number above 0, or two; got None"),
        ({"vision_config": 5}, "vision_config must have names and values; got 5"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    assert_refuses(classifier(), tmp_path, change, message)


def test_msns_default_is_another_eps(tmp_path: Path) -> None:
    as_safetensors(MODELS["MSN"](), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["layer_norm_eps"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_model(tmp_path, device="cpu").spec.norm_eps == ViTMSNConfig().layer_norm_eps == 1e-6


def test_keys_without_their_biases_are_refused(tmp_path: Path) -> None:
    model = classifier()
    for layer in model.vit.layers:
        del layer.attention.k_proj.bias
    with pytest.raises(CheckpointError, match=r"'blocks\.0\.attn\.k\.bias' is missing"):
        load_model(as_safetensors(model, tmp_path), device="cpu")


def test_what_a_configuration_leaves_out_is_named_as_transformers_default(tmp_path: Path) -> None:
    as_safetensors(classifier(), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "patch_size": 4, "image_size": 20}))
    with pytest.raises(CheckpointError, match=r"hidden_size 768 \(transformers' default\), its tensors 24"):
        load_model(tmp_path, device="cpu")


def test_without_a_configuration_heads_are_asked_for_and_the_rest_is_said(tmp_path: Path) -> None:
    model = classifier()
    file = as_safetensors(model, tmp_path / "folder") / "model.safetensors"
    alone = file.rename(tmp_path / "mine.safetensors")
    with pytest.raises(CheckpointError, match=r"pass heads=\."):
        load_model(alone, device="cpu")
    loaded = load_model(alone, heads=3, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert "eps 1e-12" in loaded.report.assumed[0]
    assert loaded.spec.class_names[4] == "class 4"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Preprocessing((0.5,) * 3, (0.5,) * 3, "bilinear")),
        (
            {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "resample": 3},
            ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        ),
        ({"image_mean": 0.25, "resample": 3}, ((0.25,) * 3, (0.5,) * 3)),
        ({"do_normalize": False, "resample": 3}, ((0.0,) * 3, (1.0,) * 3)),
        (
            {"do_rescale": False, "image_mean": [51.0] * 3, "image_std": [102.0] * 3, "resample": 3},
            ((0.2,) * 3, (0.4,) * 3),
        ),
        ({"rescale_factor": 2 / 255, "image_mean": [1.0] * 3, "resample": 3}, ((0.5,) * 3, (0.25,) * 3)),
    ],
)
def test_pictures_are_prepared_as_its_processor_says(given: dict | None, expected: object, tmp_path: Path) -> None:
    as_safetensors(classifier(), tmp_path)
    if given is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(given))
        expected = Preprocessing(*expected, "bicubic")
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.spec.preprocessing == expected
    assert bool(loaded.report.assumed) == (given is None)


@pytest.mark.parametrize(
    "given",
    [
        {"resample": 4},
        {"resample": 9},
        {"image_std": [0.0, 0.5, 0.5]},
        {"image_mean": [0.5]},
        {"rescale_factor": 0},
        {"image_mean": None},
    ],
)
def test_a_processor_that_cannot_be_followed_is_refused(given: dict[str, object], tmp_path: Path) -> None:
    as_safetensors(classifier(), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(given))
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json asks for what is not known here"):
        load_model(tmp_path, device="cpu")
