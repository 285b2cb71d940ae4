"""Hugging Face's CLIP: the vision tower's tokens and attention are those of transformers' own model."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPForImageClassification,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    PreTrainedModel,
)

from tests.vit_engine.weights.formats.hugging_face import (
    OTHER_SIZE,
    SMALL,
    TEXT,
    WAYS,
    Save,
    as_safetensors,
    assert_notices,
    assert_notices_resampling,
    assert_same_as,
    change_config,
    hf_peer,
)
from tests.vit_engine.weights.formats.support import Peer, assert_parity, pictures, randomise
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model

VISION = {**SMALL, "intermediate_size": 40}


def whole_config(**vision: object) -> CLIPConfig:
    sizes = {key: value for key, value in VISION.items() if key != "attn_implementation"}
    return CLIPConfig(
        vision_config={**sizes, **vision}, text_config=TEXT, projection_dim=9, attn_implementation="eager"
    )


def vision_config(**options: object) -> CLIPVisionConfig:
    return CLIPVisionConfig(**VISION, projection_dim=9, **options)


def tower_of(model: PreTrainedModel) -> CLIPVisionModel:
    return model if isinstance(model, CLIPVisionModel) else model.vision_model


def peer_of(model: PreTrainedModel, images: Tensor) -> Peer:
    tower = tower_of(model)
    return hf_peer(
        tower, tower.encoder.layers, images, lambda output: output.pooler_output, interpolate_pos_encoding=True
    )


MODELS = {
    "tower": lambda: randomise(CLIPVisionModel(vision_config())),
    "another activation and eps": lambda: randomise(
        CLIPVisionModel(vision_config(hidden_act="gelu", layer_norm_eps=0.02))
    ),
    "with projection": lambda: randomise(CLIPVisionModelWithProjection(vision_config())),
    "whole": lambda: randomise(CLIPModel(whole_config(hidden_act="gelu"))),
    "classifier": lambda: randomise(CLIPForImageClassification(whole_config())),
}


@WAYS
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("size", [(20, 20), OTHER_SIZE])
def test_parity(kind: str, size: tuple[int, int], save: Save, tmp_path: Path) -> None:
    loaded = assert_same_as(MODELS[kind](), save, tmp_path, size, peer_of)
    assert (loaded.report.format, loaded.report.heads_from) == ("Hugging Face CLIP", "config.json")
    assert (loaded.report.native_grid, loaded.report.assumed) == ((5, 5), ())
    assert (loaded.spec.pre_norm, loaded.spec.patch_bias) == (True, False)


def test_the_text_tower_is_dropped_and_the_reason_said(tmp_path: Path) -> None:
    loaded = load_model(as_safetensors(MODELS["whole"](), tmp_path), device="cpu")
    why = dict(loaded.report.dropped)
    assert "text tower" in why["text_model.encoder.layers.0.mlp.fc1.bias"]
    assert "text tower" in why["text_projection.weight"]
    assert "shares with texts" in why["visual_projection.weight"]
    assert "similarity" in why["logit_scale"]
    assert not any(key.startswith("vision_model") for key in why)


def test_its_classifier_is_dropped_and_the_reason_said(tmp_path: Path) -> None:
    loaded = load_model(as_safetensors(MODELS["classifier"](), tmp_path), device="cpu")
    assert "not normalised" in dict(loaded.report.dropped)["classifier.weight"]
    assert loaded.spec.class_names == ()


def test_older_files_with_numbers_of_positions_and_a_prefix(tmp_path: Path) -> None:
    """transformers 4 wrote `vision_model.` for a lone tower too, and a buffer of position numbers."""
    model = MODELS["tower"]()
    model.config.save_pretrained(tmp_path)
    state = {f"vision_model.{name}": tensor for name, tensor in model.state_dict().items()}
    state["vision_model.embeddings.position_ids"] = torch.arange(26)[None]
    torch.save(state, tmp_path / "pytorch_model.bin")
    loaded = load_model(tmp_path, device="cpu")
    assert_parity(loaded, pictures(*OTHER_SIZE), peer_of(model, pictures(*OTHER_SIZE)))
    assert [key for key, _ in loaded.report.dropped] == ["vision_model.embeddings.position_ids"]


def test_it_has_a_mean_and_deviation_of_its_own(tmp_path: Path) -> None:
    preprocessing = load_model(as_safetensors(MODELS["tower"](), tmp_path), device="cpu").spec.preprocessing
    assert preprocessing.mean == (0.48145466, 0.4578275, 0.40821073)
    assert preprocessing.std == (0.26862954, 0.26130258, 0.27577711)


def test_what_its_configuration_leaves_out_is_transformers_default(tmp_path: Path) -> None:
    """Published configurations of whole CLIPs do so: the activation of clip-vit-large-patch14-336, say."""
    model = randomise(CLIPModel(whole_config()))
    as_safetensors(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["vision_config"]["hidden_act"], config["vision_config"]["layer_norm_eps"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = load_model(tmp_path, device="cpu")
    assert_parity(loaded, pictures(20, 20), peer_of(model, pictures(20, 20)))
    assert (loaded.spec.mlp, loaded.spec.norm_eps) == ("quick_gelu", 1e-5)


@pytest.mark.parametrize("change", [{"layer_norm_eps": 0.01}, {"hidden_act": "gelu"}, {"num_attention_heads": 6}])
def test_parity_notices_a_wrong_detail(change: dict[str, object], tmp_path: Path) -> None:
    model = MODELS["tower"]()
    assert_notices(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), change)


@pytest.mark.parametrize("other", ["dino", "antialias", "corners"])
def test_parity_notices_other_positions(other: str, tmp_path: Path) -> None:
    model = MODELS["tower"]()
    assert_notices_resampling(as_safetensors(model, tmp_path), lambda images: peer_of(model, images), other)


def test_without_a_configuration_it_is_refused_for_its_activation(tmp_path: Path) -> None:
    alone = (as_safetensors(MODELS["tower"](), tmp_path) / "model.safetensors").rename(tmp_path / "mine.safetensors")
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"does not show its activation.*Put its config\.json beside it"):
        load_model(alone, heads=3, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": 14}, "has patch_size 14, its tensors"),
        ({"image_size": 24}, r"has image_size 24 \(6×6 patches\), its tensors positions for 25"),
        ({"hidden_act": "selu"}, r"activation \(hidden_act\) 'selu'"),
        ({"model_type": "siglip_vision_model"}, "model type 'siglip_vision_model'"),
    ],
)
def test_a_configuration_that_contradicts_the_tensors_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    as_safetensors(MODELS["whole"](), tmp_path)
    change_config(tmp_path, within="vision_config", **change)
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path, device="cpu")
