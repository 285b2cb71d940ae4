"""DINO's files: pretrained backbones, and whole training runs."""

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.vit_engine.weights.fixtures_states import SPEC
from vit_engine.errors import CheckpointError
from vit_engine.weights import LoadedModel, load_model
from vit_engine.weights.reading.unwrap import find_state_dict

WHY = "projection head of self-supervised training"
HEAD = ("head.mlp.0.weight", "head.mlp.0.bias", "head.last_layer.weight_g", "head.last_layer.weight_v")


@pytest.fixture(scope="module")
def backbone() -> LoadedModel:
    return load_model(SPEC, weights="random", device="cpu", seed=3)


def training_file(path: Path, state: dict[str, Tensor], prefix: str) -> Path:
    """As DINO's main_dino.py saves it: student, teacher, optimizer, arguments, and the loss's centre."""
    wrapped = OrderedDict((f"{prefix}backbone.{name}", tensor) for name, tensor in state.items())
    wrapped |= {f"{prefix}{name}": torch.ones(2) for name in HEAD}
    student = {f"module.{name.removeprefix('module.')}": torch.zeros_like(t) for name, t in wrapped.items()}
    content = {
        "student": student,
        "teacher": wrapped,
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": np.float64(1e-3), "params": [0]}]},
        "epoch": 7,
        "args": argparse.Namespace(arch="vit_small", patch_size=16, momentum_teacher=0.996),
        "dino_loss": {"center": torch.zeros(1, 4)},
    }
    torch.save(content, path)
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_of_a_training_file_the_teachers_backbone_is_taken(backbone: LoadedModel, tmp_path: Path, prefix: str) -> None:
    state = backbone.model.state_dict()
    loaded = load_model(training_file(tmp_path / "checkpoint.pth", state, prefix), heads=3, device="cpu")
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    report = loaded.report
    assert report.matched == ()
    assert report.converted == tuple((f"{prefix}backbone.{name}", name) for name in state)
    assert report.dropped[: len(HEAD)] == tuple((f"{prefix}{name}", WHY) for name in HEAD)
    assert [key for key, _ in report.dropped[len(HEAD) :]] == [
        f"student: {len(state) + len(HEAD)} tensors",
        "optimizer: state of an optimizer",
        "epoch: 7",
        "args: arguments",
        "dino_loss: 1 tensor",
    ]
    said = f"#teacher (DINO in torch, sha256 {report.sha256[:12]}…, heads from heads=, as asked for): 0 tensors matched"
    assert f"{said}, {len(state)} converted" in str(report)


def test_names_at_numpys_older_address_are_read_too(backbone: LoadedModel, tmp_path: Path) -> None:
    path = training_file(tmp_path / "checkpoint.pth", backbone.model.state_dict(), "")
    old = tmp_path / "old.pth"
    content = torch.load(path, weights_only=False)  # its own file, of a moment ago
    torch.save(content, old, _use_new_zipfile_serialization=False)
    old.write_bytes(old.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core.multiarray" in old.read_bytes()
    assert load_model(old, heads=3, device="cpu").spec.depth == 2


@pytest.mark.parametrize("key", ["teacher", "student", "state_dict", "model"])
def test_a_state_dict_is_found_under_the_usual_keys(key: str) -> None:
    state = {"a": torch.ones(1)}
    assert find_state_dict({"epoch": 3, key: state}).tensors is state
    assert find_state_dict({"student": {"b": torch.ones(1)}, "teacher": state}).tensors is state


def test_a_bare_state_dict_is_taken_as_it_is() -> None:
    state = {"model": torch.ones(1), "b": torch.ones(1)}
    assert find_state_dict(state).tensors is state


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "args": 4}, r"\['args', 'epoch'\]"),
        ({"teacher": {"epoch": 3}}, r"\['teacher'\]"),
        ({"model": {}}, r"\['model'\]"),
        ({0: torch.ones(1)}, r"\['0'\]"),
        ({}, r"\[\]"),
        ([torch.ones(1)], "list"),
        (torch.ones(1), "Tensor"),
        (None, "NoneType"),
    ],
)
def test_a_file_without_a_state_dict_is_refused_with_what_it_holds(content: Any, found: str) -> None:
    with pytest.raises(CheckpointError, match=rf"expected a state dict .* got {found}"):
        find_state_dict(content)


def test_two_tensors_for_one_parameter_are_refused(backbone: LoadedModel, tmp_path: Path) -> None:
    state = backbone.model.state_dict()
    torch.save({**state, "backbone.cls_token": state["cls_token"]}, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"two tensors of the file are 'cls_token' here: backbone\.cls_token, cls_token"
    ):
        load_model(tmp_path / "w.pth", heads=3, device="cpu")
