"""Similarities as targets: to another picture."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import vit_engine as ve
from vit_engine.errors import NumericalError, ResourceError, SpecError
from vit_engine.image import PreparedImage, prepare_image
from vit_engine.resources.budget import BUDGET_VARIABLE
from vit_engine.spec import ModelSpec
from vit_engine.trace.differentiate import differentiate
from vit_engine.weights import LoadedModel, load_model


@pytest.fixture
def cup() -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (24, 40, 3), dtype=np.uint8))


@pytest.mark.parametrize("pooling", ["cls", "mean", "cls_mean"])
def test_a_pictures_score_is_the_cosine_of_both_embeddings(
    small_spec: ModelSpec, prepared: PreparedImage, cup: Image.Image, pooling: str
) -> None:
    loaded = load_model(
        dataclasses.replace(small_spec, class_names=(), pooling=pooling), weights="random", device="cpu"
    )
    target = ve.picture_target(loaded, cup, size=(12, 20), name="cup")
    other = prepare_image(cup, loaded.spec, size=(12, 20))
    with torch.no_grad():
        first, second = loaded.model(prepared.tensor[None]), loaded.model(other.tensor[None])
    _, gradients = differentiate(loaded, prepared, target=target)
    assert gradients.score == pytest.approx(float(functional.cosine_similarity(first, second)), abs=1e-6)
    np.testing.assert_allclose(target.vector, second[0].numpy(), atol=1e-6)


def test_a_picture_resembles_itself(small: LoadedModel, prepared: PreparedImage) -> None:
    """Of a model with classes, the embedding is what they are read from."""
    target = ve.picture_target(small, prepared, name="itself")
    _, gradients = differentiate(small, prepared, target=target, backward=False)
    assert gradients.score == pytest.approx(1, abs=1e-6)
    with pytest.raises(SpecError, match="the similarity to itself is 1, its maximum, where it has no gradient"):
        differentiate(small, prepared, target=target)


def test_its_name_is_the_files_the_one_given_or_the_sha256(
    small: LoadedModel, prepared: PreparedImage, cup: Image.Image, tmp_path: Path
) -> None:
    cup.save(tmp_path / "cup; of tea.png")
    target = ve.picture_target(small, tmp_path / "cup; of tea.png")
    assert (target.name, target.label) == ("picture:cup; of tea.png", "similarity to cup; of tea.png")
    assert ve.picture_target(small, str(tmp_path / "cup; of tea.png"), name="tea").name == "picture:tea"
    unnamed = ve.picture_target(small, prepared)
    assert unnamed.name == f"picture:sha256:{prepared.sha256}"
    assert unnamed.label == f"similarity to picture sha256:{prepared.sha256[:12]}…"


def test_two_pictures_of_one_name_are_two_targets(
    small: LoadedModel, prepared: PreparedImage, cup: Image.Image
) -> None:
    first = ve.picture_target(small, cup, name="cup")
    assert first == ve.picture_target(small, cup, name="cup")
    assert first != ve.picture_target(small, prepared, name="cup")


def test_a_vector_of_another_model_is_refused(
    small: LoadedModel, small_spec: ModelSpec, prepared: PreparedImage
) -> None:
    wider = load_model(dataclasses.replace(small_spec, dim=24), weights="random", device="cpu")
    with pytest.raises(SpecError, match="needs a vector of 24 numbers; got 12"):
        differentiate(wider, prepared, target=ve.picture_target(small, prepared))


def test_bad_input_is_refused(
    small: LoadedModel, small_spec: ModelSpec, prepared: PreparedImage, cup: Image.Image
) -> None:
    with pytest.raises(SpecError, match="name of a picture must not be empty"):
        ve.picture_target(small, cup, name=" ")
    with pytest.raises(SpecError, match="size= goes with a picture that is not prepared"):
        ve.picture_target(small, prepared, size=12)
    with pytest.raises(SpecError, match="prepared for patches of 4 px and 3 prefix tokens"):
        ve.picture_target(
            load_model(dataclasses.replace(small_spec, registers=0), weights="random", device="cpu"), prepared
        )
    with pytest.raises(SpecError, match=r"'picture:cup' is a vector: make it with picture_target\(\)"):
        ve.find_target("picture:cup", small_spec)


def test_activations_that_overflow_are_no_target(small_spec: ModelSpec, cup: Image.Image) -> None:
    loaded = load_model(small_spec, weights="random", device="cpu")
    loaded.model.blocks[1].mlp.fc2.bias.fill_(1e30)
    with pytest.raises(NumericalError, match="overflow in layer 1"):
        ve.picture_target(loaded, cup)


def test_memory_is_asked_for_first(small: LoadedModel, cup: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "1000000")
    with pytest.raises(ResourceError, match="must fit the memory budget"):
        ve.picture_target(small, cup, size=400)
