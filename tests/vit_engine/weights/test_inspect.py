"""A checkpoint is inspected as it would be loaded, without making the model, and without a word on heads if need be."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import SPEC, State, prefixed, saved, vit_state
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.model import VisionTransformer
from vit_engine.spec import Weights
from vit_engine.weights import Inspection, inspect_checkpoint, load_model


@pytest.fixture
def state() -> State:
    return vit_state(class_names=("ant", "bee", "cat"), registers=2)


@pytest.fixture
def bare(tmp_path: Path, state: State) -> Path:
    return saved(tmp_path / "run.pth", state)


def training_file(folder: Path, state: State) -> Path:
    content = {
        "teacher": prefixed(state, "backbone."),
        "student": prefixed(state, "module.backbone."),
        "args": argparse.Namespace(arch="vit_small"),
    }
    return saved(folder / "checkpoint.pth", content)


def test_without_a_word_on_heads_there_is_all_but_the_model(bare: Path, state: State) -> None:
    found = inspect_checkpoint(bare)
    assert found.spec is None
    assert found.report.heads_from == ""
    assert found.heads_choices == (1, 2, 3)
    assert found.advice == "With 12 dimensions it can be 1, 2, 3."
    shown = found.architecture
    assert (shown.dim, shown.depth, shown.patch_size, shown.registers, shown.native_size) == (12, 2, 4, 2, (20, 20))
    assert found.parameter_count == sum(tensor.numel() for tensor in state.values())


@pytest.mark.parametrize("form", [str, Path])
def test_with_heads_it_is_what_loading_makes_of_it(bare: Path, form: Any) -> None:
    found, loaded = inspect_checkpoint(form(bare), heads=3), load_model(form(bare), heads=3, device="cpu")
    assert (found.spec, found.architecture, found.report) == (loaded.spec, loaded.spec, loaded.report)
    assert found.parameter_count == loaded.parameter_count
    assert found.report.heads_from == "heads=, as asked for"
    assert found.heads_choices == (1, 2, 3), "the owner may think again"


def test_the_parts_that_a_file_has_are_named_as_a_path_names_them(tmp_path: Path, bare: Path) -> None:
    path = training_file(tmp_path, vit_state(dim=384, depth=1, mlp_ratio=1.0))
    for asked in (path, f"{path}#student"):
        assert inspect_checkpoint(asked).parts == ("teacher", "student")
    assert inspect_checkpoint(bare).parts == ("",)


@pytest.mark.parametrize("part", ["", "#student"])
def test_what_says_its_heads_leaves_no_choice(tmp_path: Path, part: str) -> None:
    state = vit_state(dim=384, depth=1, mlp_ratio=1.0)
    path = f"{training_file(tmp_path, state)}{part}"
    found = inspect_checkpoint(path)
    assert found.spec is not None
    assert (found.spec.heads, found.heads_choices, found.advice) == (6, (), "")
    assert found.report == load_model(path, device="cpu").report
    assert found.report.part == (part or "#teacher")[1:]
    with pytest.raises(CheckpointError, match=r"has 6 heads \(from arch=vit_small .*\); got heads=4"):
        inspect_checkpoint(path, heads=4)


def test_published_numbers_of_heads_come_first(tmp_path: Path) -> None:
    state = vit_state(dim=192, depth=12, mlp_ratio=0.5)
    path = saved(tmp_path / "w.pth", {"teacher": prefixed(state, "backbone.")})
    found = inspect_checkpoint(path)
    assert found.heads_choices[0] == 3
    assert len(found.heads_choices) == len(set(found.heads_choices)) > 3
    assert "Published DINO models of 192 dimensions and 12 layers have 3" in found.advice


def test_nothing_is_made_of_it(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was made")

    monkeypatch.setattr(VisionTransformer, "load_state_dict", refuse)
    assert isinstance(inspect_checkpoint(bare, heads=3), Inspection)


@pytest.mark.parametrize("heads", [None, 3])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra.weight": torch.ones(2)}, r"Unexpected: \['extra\.weight'\]"),
        ({"blocks.1.norm1.bias": torch.ones(5)}, r"Wrong shape: \['blocks\.1\.norm1\.bias"),
        ({"norm.bias": torch.full((12,), torch.nan)}, r"NaN or infinite"),
    ],
)
def test_the_fit_is_proven_with_and_without_heads(
    tmp_path: Path, state: State, change: State, message: str, heads: int | None
) -> None:
    with pytest.raises(CheckpointError, match=message):
        inspect_checkpoint(saved(tmp_path / "w.pth", state | change), heads=heads)


def test_a_model_that_is_known_by_name_is_inspected_where_its_weights_are() -> None:
    found = inspect_checkpoint("demo_vit_p16")
    assert found.spec is not None
    assert (found.spec.name, found.spec.heads, found.heads_choices) == ("demo_vit_p16", 4, ())
    assert found.report == load_model("demo_vit_p16", device="cpu").report
    assert inspect_checkpoint("demo_vit_p16", heads=4) == found
    with pytest.raises(CheckpointError, match=r"'demo_vit_p16' has 4 heads; got heads=8\. Leave heads= out"):
        inspect_checkpoint("demo_vit_p16", heads=8)


def test_a_known_model_whose_weights_are_not_here_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"'dino_vits16' are not here: .*python -m vit_engine download dino_vits16"
    ):
        inspect_checkpoint("dino_vits16")
    assert not list(tmp_path.iterdir())


def test_known_weights_of_another_sha256_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit_engine.weights.locate.PACKAGED", tmp_path)
    saved(tmp_path / "demo_vit_p16.safetensors", vit_state())
    with pytest.raises(CheckpointError, match=r"demo_vit_p16\.safetensors has sha256"):
        inspect_checkpoint("demo_vit_p16")


@pytest.mark.parametrize(
    ("heads", "change", "message"),
    [
        (4, {}, r"x\.pth has 6 heads \(from arch=vit_small .*\); got 4 heads, of 'square'"),
        (6, {"norm.bias": torch.full((384,), torch.nan)}, r"x\.pth: .* NaN or infinite"),
        (6, {"extra": torch.ones(1)}, r"x\.pth does not fit 'square'"),
    ],
)
def test_known_weights_are_held_to_their_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heads: int, change: State, message: str
) -> None:
    sizes = {"dim": 384, "depth": 1, "mlp_ratio": 1.0}
    spec = dataclasses.replace(SPEC, heads=heads, weights=Weights(url="https://localhost/x.pth"), **sizes)
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    monkeypatch.setattr("vit_engine.weights.load.find_model", lambda _: spec)
    training_file(tmp_path, vit_state(**sizes) | change).rename(tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=message):
        inspect_checkpoint("square")


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match="did you mean 'dino_vits16'"):
        inspect_checkpoint("dino_vits6")
    with pytest.raises(CheckpointError, match=r"'random_vit_tiny_p16' has no trained weights"):
        inspect_checkpoint("random_vit_tiny_p16")
    with pytest.raises(CheckpointError, match=r"cannot be read"):
        inspect_checkpoint(f"~no-such-user/{SPEC.name}.pth")


def test_an_inspection_is_frozen(bare: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        inspect_checkpoint(bare).spec = None  # type: ignore[misc]
