"""Texts that cannot be asked for: no text tower, one that is not read whole, none any more, and texts that are none."""

import copy
import dataclasses
import gc
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPModel

import vit_engine as ve
from tests.vit_engine.weights.formats.hugging_face import as_safetensors, change_config
from tests.vit_engine.weights.formats.support import randomise
from tests.vit_engine.weights.text.clips import (
    CAT,
    CONTEXT,
    hugging_face_clip,
    open_clip_folder,
    open_clip_model,
    openai_file,
)
from vit_engine.errors import CheckpointError, SpecError, VitEngineError
from vit_engine.weights import LoadedModel
from vit_engine.weights.text.read import may_have_text

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def whole() -> CLIPModel:
    return hugging_face_clip()


@pytest.fixture
def folder(whole: CLIPModel, tmp_path: Path) -> Path:
    return as_safetensors(whole, tmp_path / "clip")


def load(source: Any) -> LoadedModel:
    return ve.load_model(source, device="cpu")


def visual_alone(folder: Path) -> LoadedModel:
    state = torch.load(openai_file(hugging_face_clip(), folder))
    torch.save({name: each for name, each in state.items() if name.startswith("visual.")}, folder / "visual.pt")
    return ve.load_model(folder / "visual.pt", heads=3, device="cpu")


def vision_model(folder: Path) -> LoadedModel:
    return load(as_safetensors(hugging_face_clip().vision_model, folder))


def timms_clip(_: Path) -> LoadedModel:
    return load(timm.create_model("vit_base_patch32_clip_224", depth=1, embed_dim=24, num_heads=3).eval())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (lambda _: load("demo_vit_p8"), "its format, demo, is of pictures alone"),
        (lambda _: load("random_vit_tiny_p16"), "its weights are random"),
        (timms_clip, "its format, timm, is of pictures alone"),
        (visual_alone, "it holds the visual tower alone"),
        (vision_model, "it holds the visual tower alone"),
    ],
)
def test_without_a_text_tower_it_says_why_and_what_has_one(
    source: Callable[[Path], LoadedModel], reason: str, tmp_path: Path
) -> None:
    loaded = source(tmp_path)
    with pytest.raises(CheckpointError, match=rf"has no text tower: {reason}\. Whole CLIPs have one: OpenAI's files"):
        ve.text_target(loaded, CAT)
    assert not may_have_text(loaded)


@pytest.mark.parametrize("make", [lambda: open_clip_model().visual, lambda: hugging_face_clip().vision_model])
def test_a_visual_tower_in_memory_has_none(make: Callable[[], nn.Module]) -> None:
    tower = make()
    loaded = load(tower)
    with pytest.raises(CheckpointError, match="has no text tower: it holds the visual tower alone"):
        ve.text_target(loaded, CAT)


def test_whether_there_is_one_is_known_without_reading_it(folder: Path, whole: CLIPModel) -> None:
    from_file, from_memory = load(folder), load(whole)
    (folder / "model.safetensors").unlink()
    assert may_have_text(from_file)
    assert may_have_text(from_memory)


def test_texts_are_not_read_from_onnx_files(whole: CLIPModel) -> None:
    loaded = load(whole)
    exported = dataclasses.replace(loaded, report=dataclasses.replace(loaded.report, container="onnx"))
    with pytest.raises(CheckpointError, match="has no text tower: texts are not read from ONNX files"):
        ve.text_target(exported, CAT)


def test_a_model_that_was_put_together_says_how_to_get_one(whole: CLIPModel) -> None:
    loaded = load(whole)
    with pytest.raises(CheckpointError, match=r"Use the model as load_model\(\) returns it"):
        ve.text_target(LoadedModel(loaded.spec, loaded.model, loaded.report), CAT)


def test_without_open_clip_the_extra_is_named_and_pictures_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    loaded = load(folder)
    (folder / "model.safetensors").unlink()  # nothing is read in vain
    with pytest.raises(VitEngineError, match=r"cannot be imported .*'vit-engine\[text\]'") as error:
        ve.text_target(loaded, CAT)
    assert type(error.value) is VitEngineError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must not be empty"),
        (" \n", "must not be empty"),
        (b"a cat", "must be a str; got bytes"),
        (
            "cat " * (CONTEXT - 1),
            f"at most {CONTEXT} tokens with its begin and its end for this model; got {CONTEXT + 1}",
        ),
        ("x" * 2001, "at most 2,000 characters; got 2,001"),
    ],
)
def test_texts_that_are_none_or_too_long(whole: CLIPModel, text: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ve.text_target(load(whole), text)


def test_the_longest_text_that_fits(whole: CLIPModel) -> None:
    assert ve.text_target(load(whole), "cat " * (CONTEXT - 2)).vector.any()


def changed(folder: Path, change: Callable[[State], object]) -> LoadedModel:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    return load(folder)


FIRST = "text_model.encoder.layers.0."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop(f"{FIRST}mlp.fc2.bias"), r"Missing: \['transformer.resblocks.0.mlp.c_proj.bias'\]"),
        (
            lambda state: state.update({f"{FIRST}self_attn.q_norm.weight": torch.ones(12)}),
            r"Unexpected: \['encoder.layers.0.self_attn.q_norm.weight'\]",
        ),
        (
            lambda state: state.update({"text_model.final_layer_norm.bias": torch.ones(13)}),
            r"ln_final.bias: \(12,\) expected, \(13,\) got",
        ),
        (lambda state: state[f"{FIRST}mlp.fc1.weight"].fill_(torch.nan), "NaN or infinite"),
        (lambda state: state["visual_projection.weight"].fill_(torch.inf), "NaN or infinite"),
        (lambda state: state.pop("visual_projection.weight"), "'visual_projection.weight' is missing, which brings"),
        (lambda state: state.update({"visual_projection.weight": torch.ones(10)}), r"a matrix; got the shape \(10,\)"),
        (
            lambda state: state.update({"visual_projection.weight": torch.ones(10, 25)}),
            "from 24 to 10 dimensions, as its towers are; got 25 to 10",
        ),
        (lambda state: state.pop("text_projection.weight"), "'text_projection.weight' is missing"),
        (lambda state: state.pop(f"{FIRST}self_attn.k_proj.bias"), "attn.k_bias' is missing"),
        (
            lambda state: state.update({"text_model.embeddings.position_embedding.weight": torch.ones(9)}),
            "max_position_embeddings 11, its tensors 9",
        ),
    ],
)
def test_every_tensor_is_used_or_refused(folder: Path, change: Callable[[State], object], message: str) -> None:
    loaded = changed(folder, change)
    with pytest.raises(CheckpointError, match=message) as error:
        ve.text_target(loaded, CAT)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("within", "values", "message"),
    [
        ("text_config", {"hidden_size": 16}, "has hidden_size 16, its tensors 12"),
        ("text_config", {"num_hidden_layers": 3}, "has num_hidden_layers 3, its tensors 1"),
        ("text_config", {"num_attention_heads": 5}, "its text tower must say how many heads .* 12 dimensions; got 5"),
        ("text_config", {"hidden_act": "relu"}, "activation .*'relu'"),
        ("text_config", {"eos_token_id": 5}, "eos_token_id must be 49407"),
        ("", {"text_config": "none"}, "text_config must have names and values; got 'none'"),
        ("text_config", {"model_type": "xlm_roberta"}, "model type 'xlm_roberta'"),
    ],
)
def test_a_configuration_that_contradicts_the_text_tower_is_refused(
    folder: Path, within: str, values: dict[str, Any], message: str
) -> None:
    change_config(folder, within=within, **values)
    loaded = load(folder)
    with pytest.raises(CheckpointError, match=message):
        ve.text_target(loaded, CAT)


def test_the_older_number_of_the_last_token_means_the_same(folder: Path) -> None:
    new = ve.text_target(load(folder), CAT)
    change_config(folder, within="text_config", eos_token_id=2)
    assert ve.text_target(load(folder), CAT) == new


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool_type": "last"}, r"a text tower with \{'pool_type': 'last'\}"),
        ({"no_causal_mask": True}, "no_causal_mask"),
        ({"hf_tokenizer_name": "bert-base-uncased"}, "hf_tokenizer_name"),
        ({"tokenizer_kwargs": {"clean": "canonicalize"}}, "canonicalize"),
        ({"context_length": 77}, "max_position_embeddings 77, its tensors 11"),
        (None, "has no text_cfg with names and values"),
    ],
)
def test_text_towers_of_open_clip_that_are_not_openais_are_refused(
    changes: dict[str, Any] | None, message: str, tmp_path: Path
) -> None:
    open_clip_folder(open_clip_model(), tmp_path, **(changes or {}))
    if changes is None:
        path = tmp_path / "open_clip_config.json"
        config = json.loads(path.read_text())
        del config["model_cfg"]["text_cfg"]
        path.write_text(json.dumps(config))
    loaded = load(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        ve.text_target(loaded, CAT)


def test_heads_that_nothing_says_are_not_guessed(whole: CLIPModel, tmp_path: Path) -> None:
    loaded = ve.load_model(openai_file(whole, tmp_path), heads=3, device="cpu")
    with pytest.raises(CheckpointError, match="its text tower must say how many heads it has"):
        ve.text_target(loaded, CAT)


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    model = hugging_face_clip({"vocab_size": 49409})
    loaded = load(as_safetensors(model, tmp_path))
    with pytest.raises(CheckpointError, match="a vocabulary of 49,409 tokens; CLIP's, the one known here, has 49,408"):
        ve.text_target(loaded, CAT)


def test_a_file_that_is_another_now_or_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(folder)
    monkeypatch.chdir(folder)  # wherever one is
    assert ve.text_target(loaded, CAT)
    as_safetensors(randomise(hugging_face_clip(), seed=3), folder)
    with pytest.raises(CheckpointError, match="has changed since the model was loaded from it"):
        ve.text_target(loaded, CAT)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="clip holds no weights"):
        ve.text_target(loaded, CAT)


def test_a_module_that_is_another_now_or_gone() -> None:
    model = hugging_face_clip()
    loaded = load(model)
    model.text_model.final_layer_norm.bias.add_(1)
    with pytest.raises(CheckpointError, match="has changed since"):
        ve.text_target(loaded, CAT)
    del model
    gc.collect()
    with pytest.raises(CheckpointError, match="Keep a reference to the module"):
        ve.text_target(loaded, CAT)


def test_a_model_of_a_module_can_be_copied_and_pickled(whole: CLIPModel) -> None:
    loaded = load(whole)
    for copied in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):  # noqa: S301
        with pytest.raises(CheckpointError, match="Keep a reference to the module"):
            ve.text_target(copied, CAT)
