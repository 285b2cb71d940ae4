"""The models that can be asked for by name."""

import re

import pytest
import torch

from vit_engine.errors import SpecError
from vit_engine.registry import MODELS, find_model, list_models
from vit_engine.spec import ModelSpec
from vit_engine.weights import build

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
SIZES = {"tiny": (192, 3), "small": (384, 6), "s": (384, 6), "base": (768, 12), "b": (768, 12)}


def test_the_known_names_are_there_once_each() -> None:
    names = [spec.name for spec in list_models()]
    assert set(names) >= NAMES
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_every_row_is_a_model_that_can_be_built(spec: ModelSpec) -> None:
    with torch.device("meta"):
        model = build(spec)
    assert model.pos_embed.shape == (1, spec.grid(*spec.native_size).patches + 1, spec.dim)
    assert model.prefix == spec.prefix
    assert (len(model.blocks), model.blocks[0].attn.heads) == (spec.depth, spec.heads)
    assert spec.title
    assert spec.description.endswith(".")


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_names_say_the_patch_size_and_the_published_dimensions(spec: ModelSpec) -> None:
    assert int(re.findall(r"\d+", spec.name)[-1]) == spec.patch_size
    if match := re.match(r"(?:dino_vit([sb])|random_vit_([a-z]+))", spec.name):
        assert (spec.dim, spec.heads) == SIZES[match[1] or match[2]]
        assert (spec.depth, spec.native_size, spec.resampling) == (12, (224, 224), "dino")


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: spec.name)
def test_where_the_weights_are_follows_from_the_family(spec: ModelSpec) -> None:
    if spec.family == "random":
        assert spec.weights is None
    elif spec.family == "demo":
        assert spec.weights.packaged == f"{spec.name}.safetensors"
        assert spec.weights.url is None
    else:
        assert spec.weights.url.startswith("https://dl.fbaipublicfiles.com/dino/")
        assert spec.weights.filename.endswith(f"{spec.patch_size}_pretrain.pth")


def test_models_stand_in_the_order_that_is_promised() -> None:
    families = [spec.family for spec in list_models()]
    assert list(dict.fromkeys(families)) == ["demo", "dino", "random"]
    assert families == sorted(families), "each family together"
    assert find_model("demo_vit_p16").class_names == find_model("demo_vit_p8").class_names != ()


def test_a_name_finds_its_model() -> None:
    assert [find_model(name).name for name in sorted(NAMES)] == sorted(NAMES)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("dino_vits6", "dino_vits16"), ("DEMO_vit_p8", "demo_vit_p8"), ("random_vit_tiny", "random_vit_tiny_p8")],
)
def test_an_unknown_name_is_answered_with_the_nearest_and_with_all(name: str, nearest: str) -> None:
    with pytest.raises(SpecError, match=rf"no model is called '{name}'; did you mean '{nearest}.*demo_vit_p16, "):
        find_model(name)


def test_even_an_empty_name_is_answered() -> None:
    with pytest.raises(SpecError, match="no model is called ''"):
        find_model("")
