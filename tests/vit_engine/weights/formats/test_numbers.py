"""Numbers in JSON files: true is none, and neither are NaN, Infinity, 12.0 layers or 10 to the 300th."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import saved, vit_state
from tests.vit_engine.weights.formats.hugging_face import assert_refuses
from tests.vit_engine.weights.formats.test_hf_vit import classifier
from vit_engine.errors import CheckpointError, ResourceError
from vit_engine.resources.budget import BUDGET_VARIABLE
from vit_engine.spec import Preprocessing
from vit_engine.weights import load_model
from vit_engine.weights.formats.clip import in_hugging_faces_words
from vit_engine.weights.formats.common.format import Sidecar
from vit_engine.weights.formats.common.hf_config import Config, read_preprocessing
from vit_engine.weights.formats.common.timm_config import describe, preprocessing

NAN, INFINITE = float("nan"), float("inf")
NO_COUNTS = (True, False, 3.0, 1e300, NAN, INFINITE, -3, 0, "3", 1 << 70, 10**400, None, [3], {})
NO_NUMBERS = (True, False, NAN, INFINITE, -INFINITE, 1e300, 10**400, "1e-6", None, [1e-6])


def shown(values: tuple[Any, ...]) -> list[str]:
    return [repr(value)[:12] for value in values]


@pytest.mark.parametrize("value", NO_COUNTS, ids=shown(NO_COUNTS))
def test_what_counts_nothing_is_refused(value: Any) -> None:
    config = Config({"num_attention_heads": value, "image_size": value}, {"num_attention_heads": value})
    with pytest.raises(CheckpointError, match="num_attention_heads must be a whole number above 0; got") as refusal:
        assert config.heads
    assert len(str(refusal.value)) < 250
    if value != [3]:
        with pytest.raises(CheckpointError, match="image_size must be a whole number above 0, or two; got"):
            config.pair("image_size")
    with pytest.raises(CheckpointError, match="image_size must be a whole number above 0, or two; got"):
        Config({"image_size": [224, value]}, {}).pair("image_size")


@pytest.mark.parametrize("value", [*NO_NUMBERS, 0, -1e-6], ids=shown((*NO_NUMBERS, 0, -1e-6)))
def test_an_eps_or_a_base_that_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(CheckpointError, match="layer_norm_eps must be a number above 0; got"):
        assert Config({"layer_norm_eps": value}, {}).norm_eps


@pytest.mark.parametrize(
    "change",
    [{"num_attention_heads": True}, {"num_hidden_layers": 2.0}, {"qkv_bias": 1}, {"hidden_size": "24"}],
    ids=str,
)
def test_a_model_with_such_a_configuration_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    assert_refuses(classifier(), tmp_path, change, next(iter(change)))


@pytest.mark.parametrize("value", NO_NUMBERS[:-2], ids=shown(NO_NUMBERS[:-2]))
@pytest.mark.parametrize("key", ["image_mean", "image_std", "rescale_factor", "resample"])
def test_a_preprocessing_of_such_numbers_is_refused(key: str, value: Any) -> None:
    for given in ({key: value}, {key: [0.5, value, 0.5]}):
        with pytest.raises(CheckpointError, match=r"preprocessor_config\.json asks for what is not known here"):
            read_preprocessing(Sidecar({}, given), Preprocessing())


@pytest.mark.parametrize(
    "given", [{"resample": -1}, {"resample": 2.9}, {"do_normalize": "false"}, {"do_rescale": 0}, {"rescale_factor": -1}]
)
def test_a_preprocessing_that_is_nearly_right_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json asks for what is not known here"):
        read_preprocessing(Sidecar({}, given), Preprocessing())


@pytest.mark.parametrize("value", NO_COUNTS[:-3], ids=shown(NO_COUNTS[:-3]))
def test_timms_sizes_and_means_are_numbers(value: Any) -> None:
    def said(**fields: Any) -> Any:
        return describe(Sidecar({"architecture": "vit_small_patch16_224", **fields}))

    for size in (value, [224, value]):
        with pytest.raises(CheckpointError, match="native size must be a number or"):
            said(model_args={"img_size": size}).sizes()
    with pytest.raises(CheckpointError, match="native size must be a number or"):
        said(pretrained_cfg={"input_size": [3, 224, value]}).sizes()
    if type(value) not in {int, float} or value in {INFINITE, 1e300, 10**400} or value != value:
        with pytest.raises(CheckpointError, match="mean and std of pictures must be three numbers"):
            preprocessing(said(pretrained_cfg={"mean": [0.5, 0.5, value], "std": [0.5] * 3}))


@pytest.mark.parametrize("value", NO_COUNTS, ids=shown(NO_COUNTS))
@pytest.mark.parametrize("key", ["width", "head_width", "layers"])
def test_open_clips_counts_are_whole(key: str, value: Any) -> None:
    config = {"model_type": "open_clip", "model_cfg": {"vision_cfg": {"layers": 12, "width": 768, key: value}}}
    with pytest.raises(CheckpointError, match=r"must be of a Vision Transformer whose width is a multiple") as refusal:
        in_hugging_faces_words(Sidecar(config))
    assert len(str(refusal.value)) < 300


def test_positions_that_a_configuration_asks_for_are_held_to_the_memory_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm's models without positions get zeros, as many as the size of the picture says."""
    state = {name: tensor for name, tensor in vit_state(dim=192, heads=3).items() if name != "pos_embed"}
    saved(tmp_path / "model.safetensors", {name: torch.zeros_like(tensor) for name, tensor in state.items()})
    config = {
        "architecture": "vit_tiny_patch16_224",
        "model_args": {"pos_embed": "none", "img_size": 1_000_000},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv(BUDGET_VARIABLE, "8GB")
    with pytest.raises(ResourceError, match=r"the positions of 1000000×1000000 px, as config.json says, have 48\.0 TB"):
        load_model(tmp_path, device="cpu")


@pytest.mark.parametrize("text", ["[1]", "1" * 5000, "{", '{"a": NaN', "[" * 100_000, '"x"', ""])
def test_a_file_that_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    saved(tmp_path / "model.safetensors", vit_state())
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json (is no JSON that can be read|must hold a JSON object)"):
        load_model(tmp_path, device="cpu")
