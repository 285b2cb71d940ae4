"""The similarity of a picture to a text is that of OpenAI's, open_clip's and Hugging Face's own models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPModel

import vit_engine as ve
from tests.vit_engine.weights.formats.hugging_face import as_bin, as_in_memory, as_safetensors
from tests.vit_engine.weights.formats.support import pictures, prepared
from tests.vit_engine.weights.formats.test_clip import original_state
from tests.vit_engine.weights.hub_server import Repo, folder_files, hub_in_use
from tests.vit_engine.weights.text.clips import (
    CAT,
    SIDE,
    hugging_face_clip,
    hugging_face_similarity,
    open_clip_folder,
    open_clip_model,
    open_clip_similarity,
    openai_file,
)
from vit_engine.trace.differentiate import differentiate
from vit_engine.weights import LoadedModel

WITHIN = 1e-5


@pytest.fixture(scope="module")
def whole() -> CLIPModel:
    """Its towers differ in their activation."""
    return hugging_face_clip({"hidden_act": "gelu", "layer_norm_eps": 1e-2})


def images() -> Tensor:
    return pictures(SIDE, SIDE)


def similarity(loaded: LoadedModel, text: str = CAT) -> float:
    """As maps are of it."""
    target = ve.text_target(loaded, text)
    _, gradients = differentiate(loaded, prepared(loaded, images()), target=target)
    return gradients.score


def in_memory(model: CLIPModel, folder: Path) -> CLIPModel:  # noqa: ARG001
    return model


def wrapped(model: CLIPModel, folder: Path) -> nn.Module:  # noqa: ARG001
    """As a run keeps it."""
    return nn.DataParallel(nn.ModuleDict({"clip": model}))


@pytest.mark.parametrize("save", [as_safetensors, as_bin, as_in_memory, in_memory, wrapped])
def test_of_hugging_faces_clip(whole: CLIPModel, save: Callable[[CLIPModel, Path], Any], tmp_path: Path) -> None:
    source = save(whole, tmp_path)
    assert similarity(ve.load_model(source, device="cpu")) == pytest.approx(
        hugging_face_similarity(whole, images()), abs=WITHIN
    )


def test_of_a_name_on_the_hub(whole: CLIPModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = folder_files(as_safetensors(whole, tmp_path))
    with hub_in_use(monkeypatch, tmp_path / "huggingface") as hub:
        hub.repos["somebody/clip"] = Repo(files)
        loaded = ve.load_model("somebody/clip", device="cpu")
    # The hub is gone: the text tower came along.
    assert similarity(loaded) == pytest.approx(hugging_face_similarity(whole, images()), abs=WITHIN)


def test_of_openais_files(tmp_path: Path) -> None:
    """Their text towers have heads of 64 dimensions, and both have QuickGELU: nothing has to be said."""
    model = hugging_face_clip({"hidden_size": 128, "num_attention_heads": 2})
    loaded = ve.load_model(openai_file(model, tmp_path), heads=3, device="cpu")
    assert similarity(loaded) == pytest.approx(hugging_face_similarity(model, images()), abs=WITHIN)


def test_of_the_part_of_a_run_that_was_asked_for(tmp_path: Path) -> None:
    both = {
        part: hugging_face_clip({"hidden_size": 64, "num_attention_heads": 1}, seed=seed)
        for part, seed in (("state_dict", 1), ("ema", 2))
    }
    states = {part: original_state(model) for part, model in both.items()}
    states = {part: {f"module.{name}": each for name, each in state.items()} for part, state in states.items()}
    torch.save({"epoch": 3, **states}, tmp_path / "run.pt")
    for part, model in both.items():
        loaded = ve.load_model(f"{tmp_path / 'run.pt'}#{part}", heads=3, device="cpu")
        assert similarity(loaded) == pytest.approx(hugging_face_similarity(model, images()), abs=WITHIN)


def test_of_openais_file_with_hugging_faces_configuration(whole: CLIPModel, tmp_path: Path) -> None:
    openai_file(whole, tmp_path).rename(tmp_path / "pytorch_model.bin")
    whole.config.save_pretrained(tmp_path)
    assert similarity(ve.load_model(tmp_path, device="cpu")) == pytest.approx(
        hugging_face_similarity(whole, images()), abs=WITHIN
    )


@pytest.mark.parametrize("kind", ["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"quick_gelu": True}, {"norm_kwargs": {"eps": 1e-2}, "act_kwargs": {"approximate": "tanh"}}],
    ids=str,
)
def test_of_open_clips_folders(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model = open_clip_model(kind, **changes)
    loaded = ve.load_model(open_clip_folder(model, tmp_path, **changes), device="cpu")
    assert similarity(loaded) == pytest.approx(open_clip_similarity(model, images()), abs=WITHIN)


@pytest.mark.parametrize("kind", ["CLIP", "CustomTextCLIP"])
@pytest.mark.parametrize("quick_gelu", [False, True])
def test_of_open_clips_modules(kind: str, quick_gelu: bool) -> None:
    model = open_clip_model(kind, quick_gelu=quick_gelu)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert similarity(ve.load_model(model, device="cpu")) == pytest.approx(
        open_clip_similarity(model, images()), abs=WITHIN
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_half_precision_is_run_in_float32(tmp_path: Path) -> None:
    folder = as_safetensors(hugging_face_clip().half(), tmp_path)
    rounded = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    assert similarity(ve.load_model(folder, device="cpu")) == pytest.approx(
        hugging_face_similarity(rounded, images()), abs=WITHIN
    )


def test_a_targets_name_says_the_text_again(whole: CLIPModel) -> None:
    loaded = ve.load_model(whole, device="cpu")
    target = ve.text_target(loaded, CAT)
    assert (target.name, target.label) == (f"text:{CAT}", f'similarity to "{CAT}"')
    again = ve.text_target(loaded, target.name.removeprefix("text:"))
    assert again == target
    assert ve.text_target(loaded, "a photo of a dog") != target
    np.testing.assert_array_equal(ve.text_target(loaded, " A photo\n of a CAT").vector, target.vector)
