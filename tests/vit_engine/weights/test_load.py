"""Loading is strict, whatever the file."""

import dataclasses
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import State, saved, vit_state
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.model import VisionTransformer
from vit_engine.registry import list_models
from vit_engine.spec import ModelSpec, Weights
from vit_engine.weights import LoadedModel, cache_folder, load_model, weights_path, works_offline

PIXELS = torch.randn(1, 3, 20, 28, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def state(small: LoadedModel) -> State:
    return {name: tensor.clone() for name, tensor in small.model.state_dict().items()}


@pytest.fixture
def square_state() -> State:
    """A model as bare checkpoints hold it: square native grid, no registers, no classes."""
    return vit_state()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_gives_back_the_same_model(small: LoadedModel, state: State, tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, state)
    loaded = load_model(small.spec, weights=path, device="cpu")
    torch.testing.assert_close(loaded.model(PIXELS), small.model(PIXELS), rtol=0, atol=0)
    report = loaded.report
    assert (report.source, report.container) == (str(path), "safetensors" if name.endswith("safetensors") else "torch")
    assert (report.native_grid, report.resampling, report.heads_from) == ((3, 5), "bicubic", "the model small")
    assert report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(report.matched) == set(state)
    assert report.converted == report.dropped == report.missing == ()
    assert not report.random
    assert str(report).endswith(f"{len(state)} tensors matched, 0 converted, 0 dropped")


def test_a_loaded_model_is_frozen_in_eval_mode_and_float32(small: LoadedModel, state: State, tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in state.items()}
    loaded = load_model(small.spec, weights=saved(tmp_path / "w.pth", half), device="cpu")
    for each in (loaded, small):
        assert not any(module.training for module in each.model.modules())
        assert {(p.requires_grad, p.dtype, p.device.type) for p in each.model.parameters()} == {
            (False, torch.float32, "cpu")
        }
    assert (loaded.device.type, loaded.dtype) == ("cpu", torch.float32)
    assert loaded.nbytes == 4 * loaded.parameter_count == 4 * sum(tensor.numel() for tensor in state.values())


def test_every_mismatch_is_listed_and_nothing_loaded(small: LoadedModel, state: State, tmp_path: Path) -> None:
    del state["norm.weight"], state["blocks.1.attn.proj.bias"]
    state["extra.weight"] = torch.ones(1)
    state["pos_embed"] = state["pos_embed"][:, 1:].clone()
    message = (
        r"does not fit 'small', and nothing was loaded\. "
        r"Missing: \['blocks\.1\.attn\.proj\.bias', 'norm\.weight'\]\. "
        r"Unexpected: \['extra\.weight'\]\. "
        r"Wrong shape: \['pos_embed: \(1, 16, 12\) expected, \(1, 15, 12\) got'\]"
    )
    with pytest.raises(CheckpointError, match=message):
        load_model(small.spec, weights=saved(tmp_path / "w.pth", state), device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("norm.bias"), r"Missing: \['norm\.bias'\]\. Unexpected: none\. Wrong shape: none"),
        (lambda state: state.update(x=torch.ones(1)), r"Missing: none\. Unexpected: \['x'\]\. Wrong shape: none"),
        (
            lambda state: state.update(cls_token=torch.ones(12)),
            r"Missing: none\. Unexpected: none\. Wrong shape: \['cls",
        ),
    ],
)
def test_one_mismatch_is_enough_to_refuse(
    small: LoadedModel, state: State, tmp_path: Path, change: Callable[[State], object], message: str
) -> None:
    change(state)
    with pytest.raises(CheckpointError, match=message):
        load_model(small.spec, weights=saved(tmp_path / "w.pth", state), device="cpu")


def test_a_bare_checkpoint_shows_its_architecture_but_not_its_heads(square_state: State, tmp_path: Path) -> None:
    path = saved(tmp_path / "bare.pth", square_state)
    with pytest.raises(CheckpointError, match=r"does not say how many heads .* pass heads="):
        load_model(path, device="cpu")
    spec = load_model(str(path), heads=3, device="cpu").spec
    assert (spec.patch_size, spec.dim, spec.depth, spec.heads) == (4, 12, 2, 3)
    assert (spec.native_size, spec.mlp_ratio, spec.class_names) == ((20, 20), 2.0, ())
    for heads in (5, 0):
        with pytest.raises(CheckpointError, match=r"bare\.pth: .*heads"):
            load_model(path, heads=heads, device="cpu")


def test_a_bare_checkpoint_with_a_classifier_has_numbered_classes(square_state: State, tmp_path: Path) -> None:
    head = {"head.weight": torch.ones(3, 12), "head.bias": torch.ones(3)}
    path = saved(tmp_path / "bare.pth", {**square_state, **head})
    assert load_model(path, heads=3, device="cpu").spec.class_names == ("class 0", "class 1", "class 2")


def test_what_is_no_vit_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    path = saved(tmp_path / "other.pth", {"layer1.conv.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"is not a Vision Transformer in a format .*; got layer1\.conv\.weight"):
        load_model(path, heads=3)


@pytest.mark.parametrize("name", ["missing.pth", "folder/missing"])
def test_a_path_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read: .* Check the path"):
        load_model(tmp_path / name, heads=3)


@pytest.fixture
def packaged(
    small_spec: ModelSpec, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str | None], ModelSpec]:
    """A packaged model whose row names this sha256; None names the right one."""
    monkeypatch.setattr("vit_engine.weights.locate.PACKAGED", tmp_path)
    path = saved(tmp_path / "small.safetensors", state)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    return lambda sha256: dataclasses.replace(
        small_spec, weights=Weights(packaged="small.safetensors", sha256=sha256 or right)
    )


def test_a_packaged_file_is_found_and_verified(packaged: Callable[[str | None], ModelSpec]) -> None:
    told: list[tuple[float, str]] = []
    spec = packaged(None)
    assert works_offline(spec)
    assert not load_model(spec, device="cpu", progress=lambda *step: told.append(step)).report.random
    assert told == [(1.0, "loading Small")]


def test_a_packaged_file_of_another_sha256_is_refused(packaged: Callable[[str | None], ModelSpec]) -> None:
    wrong = "0" * 64
    with pytest.raises(CheckpointError, match=rf"small\.safetensors has sha256 [0-9a-f]{{64}}; expected {wrong}"):
        load_model(packaged(wrong), device="cpu")


def test_a_packaged_file_that_is_not_there_is_missed_by_path(packaged: Callable[[str | None], ModelSpec]) -> None:
    spec = packaged(None)
    weights_path(spec).unlink()
    assert not works_offline(spec)
    with pytest.raises(CheckpointError, match=r"the weights of 'small' should be at .*small\.safetensors"):
        load_model(spec, device="cpu")


def test_ones_own_file_of_the_same_name_is_not_held_to_the_checksum(
    packaged: Callable[[str | None], ModelSpec], state: State, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    own = saved(tmp_path / "mine" / "small.safetensors", state)
    assert load_model(packaged("0" * 64), weights=own, device="cpu").report.source == str(own)


def test_the_cache_folder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dino = next(spec for spec in list_models() if spec.name == "dino_vits16")
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    assert weights_path(dino) == cache_folder() / "dino_deitsmall16_pretrain.pth" == tmp_path / weights_path(dino).name
    monkeypatch.setenv("VIT_ENGINE_HOME", "~/weights")
    assert cache_folder() == Path.home() / "weights"
    monkeypatch.delenv("VIT_ENGINE_HOME")
    assert cache_folder().name == "vit-engine"


def test_a_model_without_trained_weights_has_no_path_and_works_offline(small_spec: ModelSpec) -> None:
    assert works_offline(small_spec)
    with pytest.raises(CheckpointError, match="'small' has no trained weights; load it with weights='random'"):
        weights_path(small_spec)


@pytest.mark.parametrize("device", ["gpu", "cpu:x", ""])
def test_a_device_that_does_not_exist_is_refused(small_spec: ModelSpec, device: str) -> None:
    with pytest.raises(SpecError, match=rf"device must be .* got '{device}'"):
        load_model(small_spec, weights="random", device=device)


def test_a_gpu_that_is_not_there_is_refused(small_spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="cannot use device 'cuda:99'"):
        load_model(small_spec, weights="random", device="cuda:99")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert load_model(small_spec, weights="random", device="auto").device.type == "cpu"


def test_a_file_that_is_called_like_a_model_does_not_stand_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "random_vit_tiny_p16").touch()
    assert load_model("random_vit_tiny_p16", device="cpu").report.random


def test_an_unknown_name_is_no_path() -> None:
    with pytest.raises(SpecError, match="did you mean 'dino_vits16'"):
        load_model("dino_vits6")


def test_build_passes_every_dimension_of_the_specification(small_spec: ModelSpec) -> None:
    model = VisionTransformer(small_spec)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes["pos_embed"] == (1, 16, 12)
    assert shapes["register_tokens"] == (1, 2, 12)
    assert shapes["patch_embed.proj.weight"] == (12, 3, 4, 4)
    assert shapes["blocks.1.mlp.fc1.weight"] == (24, 12)
    assert shapes["head.weight"] == (5, 12)
    assert (model.native_grid, model.resampling, model.blocks[0].attn.heads) == ((3, 5), "bicubic", 3)
    assert VisionTransformer(dataclasses.replace(small_spec, resampling="dino")).resampling == "dino"


@pytest.mark.parametrize("weights", ["auto", "random"])
def test_trained_weights_have_the_heads_of_their_spec(weights: str) -> None:
    assert load_model("demo_vit_p16", weights=weights, heads=4, device="cpu").spec.heads == 4
    if weights == "random":
        assert load_model("demo_vit_p16", weights=weights, heads=8, device="cpu").spec.heads == 8
        return
    with pytest.raises(SpecError, match=r"heads must be 4 for .* 'demo_vit_p16'; got 8\. Leave heads= out, or use"):
        load_model("demo_vit_p16", heads=8, device="cpu")


def test_ones_own_file_may_have_other_heads(
    packaged: Callable[[str | None], ModelSpec], state: State, tmp_path: Path
) -> None:
    own = saved(tmp_path / "own.pth", state)
    assert load_model(packaged(None), weights=own, heads=4, device="cpu").spec.heads == 4


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embed.proj.weight", (12, 48)),
        ("patch_embed.proj.weight", (12, 3, 1, 4, 4)),
        ("patch_embed.proj.weight", (12, 3, 4, 5)),
        ("patch_embed.proj.weight", (0, 3, 4, 4)),
        ("pos_embed", (26,)),
        ("pos_embed", (26, 12)),
        ("pos_embed", ()),
        ("pos_embed", (1, 0, 12)),
        ("blocks.0.mlp.fc1.weight", (24,)),
        ("head.weight", ()),
        ("head.weight", (12,)),
        ("head.weight", (0, 12)),
    ],
)
@pytest.mark.parametrize("heads", [None, 3])
def test_shapes_that_no_vit_has_are_refused_as_found(
    square_state: State, tmp_path: Path, name: str, shape: tuple[int, ...], heads: int | None
) -> None:
    path = saved(tmp_path / "odd.pth", {**square_state, name: torch.zeros(shape)})
    with pytest.raises(CheckpointError, match=rf"odd\.pth.*expected {name} \(.*; got {re.escape(f'{name} {shape}')}\."):
        load_model(path, heads=heads, device="cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"pos_embed": torch.zeros(1, 1, 12)},
        {"pos_embed": torch.zeros(1, 24, 12)},
        {"pos_embed": torch.zeros(2, 26, 12)},
        {"patch_embed.proj.weight": torch.zeros(12, 1, 4, 4)},
        {"cls_token": torch.zeros(())},
        {f"blocks.{10**12}.norm1.weight": torch.zeros(12)},
        {"blocks.2.norm1.weight": torch.zeros(12)},
        {"head.bias": torch.zeros(3)},
    ],
)
def test_odd_files_are_checkpoint_errors(square_state: State, tmp_path: Path, change: State) -> None:
    path = saved(tmp_path / "odd.pth", {**square_state, **change})
    with pytest.raises(CheckpointError, match=r"odd\.pth"):
        load_model(path, heads=3, device="cpu")


def test_every_hidden_width_is_read_back() -> None:
    """112 · (488 / 112) is 487.99…: cut off instead of rounded, the file would not fit itself."""
    options = {"name": "m", "title": "", "family": "", "patch_size": 4, "depth": 1, "heads": 1, "native_size": (4, 4)}
    spec = ModelSpec(dim=112, mlp_ratio=488 / 112, **options)
    assert spec.hidden == 488
    with torch.device("meta"):
        model = VisionTransformer(spec)
    assert model.blocks[0].mlp.fc1.out_features == 488
    assert spec.parameter_count == sum(parameter.numel() for parameter in model.parameters())
