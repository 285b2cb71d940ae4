"""Heads are said by somebody: the file, what it was published as, or its owner. Never guessed."""

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ViTConfig, ViTModel

from vit_engine import registry
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.spec import ModelSpec, Weights
from vit_engine.weights import inspect_checkpoint, load_model
from vit_engine.weights.architecture import possible_heads

PUBLISHED = ModelSpec(
    name="published",
    title="",
    family="dino",
    patch_size=4,
    dim=24,
    depth=2,
    heads=3,
    native_size=(20, 20),
    mlp_ratio=2.0,
    resampling="dino",
    weights=Weights(url="https://example.org/published_pretrain.pth"),
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file under the name, and of the architecture, of a published model."""
    monkeypatch.setattr(registry, "MODELS", (PUBLISHED,))
    path = tmp_path / "published_pretrain.pth"
    torch.save(load_model(PUBLISHED, weights="random", device="cpu").model.state_dict(), path)
    return path


def test_a_published_file_is_known_by_its_name_and_says_so(path: Path) -> None:
    loaded = load_model(path, device="cpu")
    assert loaded.spec == PUBLISHED
    assert loaded.report.heads_from == "the name of the file, under which published was published"


def test_under_another_name_its_heads_are_asked_for(path: Path) -> None:
    renamed = path.rename(path.with_name("mine.pth"))
    with pytest.raises(CheckpointError, match=r"mine\.pth does not say how many heads .*: pass heads=\. With 24 dim"):
        load_model(renamed, device="cpu")
    loaded = load_model(renamed, heads=6, device="cpu")
    assert (loaded.spec.heads, loaded.spec.name) == (6, "mine")
    assert loaded.report.heads_from == "heads=, as asked for"


def test_other_heads_than_the_published_ones_are_refused(path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"has 3 heads \(from the name of the file, .*\); got heads=6\. Leave heads="
    ):
        load_model(path, heads=6, device="cpu")
    assert load_model(path, heads=3, device="cpu").spec == PUBLISHED


@pytest.mark.parametrize("change", [{"depth": 3}, {"patch_size": 5}, {"dim": 48}, {"mlp_ratio": 4.0}, {"registers": 2}])
def test_another_architecture_under_that_name_is_not_taken_for_it(path: Path, change: dict[str, int]) -> None:
    torch.save(load_model(replace(PUBLISHED, **change), weights="random", device="cpu").model.state_dict(), path)
    with pytest.raises(CheckpointError, match="does not say how many heads"):
        load_model(path, device="cpu")


def test_other_contents_than_a_known_sha256_are_not_taken_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sha256, known in ((hashlib.sha256(path.read_bytes()).hexdigest(), True), ("0" * 64, False)):
        weights = replace(PUBLISHED.weights, sha256=sha256)
        monkeypatch.setattr(registry, "MODELS", (replace(PUBLISHED, weights=weights),))
        if known:
            assert load_model(path, device="cpu").spec.name == "published"
        else:
            with pytest.raises(CheckpointError, match="does not say how many heads"):
                load_model(path, device="cpu")


def test_the_advice_is_what_published_models_of_this_size_have(tmp_path: Path) -> None:
    spec = replace(PUBLISHED, dim=192, depth=12, heads=3)
    path = tmp_path / "tiny.pth"
    torch.save(load_model(spec, weights="random", device="cpu").model.state_dict(), path)
    with pytest.raises(CheckpointError, match=r"Published DINO models of 192 dimensions and 12 layers have 3\."):
        load_model(path, device="cpu")


@pytest.mark.parametrize("heads", [5, 0, -3])
def test_heads_that_cannot_be_are_refused(path: Path, heads: int) -> None:
    renamed = path.rename(path.with_name("mine.pth"))
    with pytest.raises(
        CheckpointError, match=rf"mine\.pth: heads must divide its 24 dimensions; got heads={heads}\. .*it can be"
    ):
        load_model(renamed, heads=heads, device="cpu")


@pytest.mark.parametrize("heads", [3.7, True, "3"])
def test_heads_that_are_no_whole_number_are_not_rounded_to_one(path: Path, heads: Any) -> None:
    renamed = path.rename(path.with_name("mine.pth"))
    for load in (load_model, inspect_checkpoint):
        with pytest.raises(SpecError, match=f"heads must be a whole number; got {heads!r}"):
            load(renamed, heads=heads)


def test_a_file_that_says_other_heads_than_the_model_it_is_loaded_as_is_refused(tmp_path: Path) -> None:
    spec = replace(PUBLISHED, dim=192, depth=2, heads=3)
    state = load_model(spec, weights="random", device="cpu").model.state_dict()
    path = tmp_path / "checkpoint.pth"
    torch.save({"teacher": state, "args": argparse.Namespace(arch="vit_tiny")}, path)
    assert load_model(spec, weights=path, device="cpu").spec == spec
    message = r"has 3 heads \(from arch=vit_tiny of the training run\); got 6 heads, of 'published'\. Load the file by"
    with pytest.raises(CheckpointError, match=message):
        load_model(spec, weights=path, heads=6, device="cpu")


def test_possible_heads_leave_four_dimensions_to_each_and_the_likeliest_come_first() -> None:
    assert possible_heads(192) == (3, 4, 2, 6, 8, 1, 12, 16, 24, 32, 48)
    assert len(possible_heads(10**12)) == 169 - 2  # without those of one and two dimensions


def test_of_very_few_dimensions_there_is_one_head(tmp_path: Path) -> None:
    path = tmp_path / "tiny.pth"
    spec = replace(PUBLISHED, dim=2, heads=1)
    torch.save(load_model(spec, weights="random", device="cpu").model.state_dict(), path)
    assert inspect_checkpoint(path).heads_choices == (1,)


def test_where_a_file_comes_with_one_that_says_it_the_advice_is_to_pass_both(tmp_path: Path) -> None:
    config = ViTConfig(hidden_size=24, num_attention_heads=3, num_hidden_layers=1, intermediate_size=40, image_size=32)
    ViTModel(config).save_pretrained(tmp_path / "folder")
    alone = (tmp_path / "folder" / "model.safetensors").rename(tmp_path / "mine.safetensors")
    with pytest.raises(
        CheckpointError, match=r"it can be .*\. A folder with the config\.json that came with it says so"
    ):
        load_model(alone, device="cpu")
