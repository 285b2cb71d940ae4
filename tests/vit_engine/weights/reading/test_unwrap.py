"""The state dict among what training runs save: which part is taken, what is said of the rest, and its own names."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import State, assert_same, prefixed, saved, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.reading import parts
from vit_engine.weights.reading.unwrap import find_state_dict

A, B, C = ({name: torch.full((2,), value)} for name, value in (("a", 1.0), ("b", 2.0), ("c", 3.0)))
KERNEL = torch.zeros(2, 3, 4, 4)
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
TRAINING = "of the training run, not of the model"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"student": B, "teacher": A}, "teacher"),
        ({"state_dict": B, "state_dict_ema": A}, "state_dict_ema"),
        ({"model": B, "model_ema": A}, "model_ema"),
        ({"model": B, "ema": A}, "ema"),
        ({"model": B, "ema": {"module": A, "decay": 0.99}}, "ema.module"),
        ({"model": {"state_dict": A}, "optimizer": OPTIMIZER}, "model.state_dict"),
        ({"student": B, "model": A}, "model"),
        ({"module": A, "dp_world_size": 1}, "module"),
        ({"net": A, "acc": 0.9, "epoch": 3}, "net"),
        ({"model_state_dict": A, "loss": torch.tensor(0.5)}, "model_state_dict"),
        ({"weights": A, "accuracy": torch.tensor(0.9)}, "weights"),
        ({"whatever": {"inner": A}}, "whatever.inner"),
        ({"model": {"cls": B["b"]}, "vit": {"patch": KERNEL}}, "vit"),
        ({"dino_loss": {"center": torch.ones(1, 4)}, "model": A}, "model"),
        ({"optimizer": {"state": {"a": {"exp_avg": B["b"]}}, "param_groups": []}, "net": A}, "net"),
    ],
)
def test_the_likeliest_part_is_taken_and_averages_come_first(content: dict[str, Any], part: str) -> None:
    found = find_state_dict(content)
    wanted: Any = content
    for key in part.split("."):
        wanted = wanted[key]
    assert found.part == part
    assert found.tensors is wanted


def test_a_bare_state_dict_has_no_part_and_nothing_beside_it() -> None:
    found = find_state_dict(A)
    assert (found.tensors, found.part, found.left_out, found.arguments) == (A, "", (), {})


def test_tensors_among_other_things_are_the_state_dict_and_the_rest_is_named() -> None:
    found = find_state_dict({**A, "epoch": 3, "name": "vit" * 40, "config": {"lr": 0.1, "steps": [1, 2]}})
    assert dict(found.tensors) == A
    assert found.left_out[0] == ("epoch: 3", TRAINING)
    assert found.left_out[1][0].startswith("name: 'vitvit")
    assert len(found.left_out[1][0]) < 80
    assert found.left_out[2] == ("config: 2 entries", TRAINING)


@pytest.mark.parametrize(
    ("content", "listed"),
    [
        ({"one": A, "two": B}, r"one \(1 tensor\), two \(1 tensor\)\. Say which, after a '#': PATH#one"),
        ({"x": {"model": A}, "y": {"model": B}}, r"x\.model \(1 tensor\), y\.model"),
    ],
)
def test_several_that_are_equally_likely_are_listed(content: dict[str, Any], listed: str) -> None:
    with pytest.raises(CheckpointError, match=rf"holds several state dicts, and none has a usual name: {listed}"):
        find_state_dict(content)


def test_each_part_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Mock(wraps=parts.sees_pictures)
    monkeypatch.setattr(parts, "sees_pictures", looks)
    assert find_state_dict({"one": A, "model": B, "two": C}).part == "model"
    assert looks.call_count == 3


NESTED: dict[str, Any] = {
    "model": {"teacher": A, "student": B},
    "model_ema": {**C, "backbone.d": KERNEL},
    "iteration": 7,
    "optimizer": OPTIMIZER,
}


@pytest.mark.parametrize(
    ("part", "name", "tensors"),
    [
        ("model.teacher", "model.teacher", A),
        ("teacher", "model.teacher", A),
        ("student", "model.student", B),
        ("model_ema", "model_ema", NESTED["model_ema"]),
        ("model_ema.backbone", "model_ema.backbone", {"d": KERNEL}),
        ("backbone", "model_ema.backbone", {"d": KERNEL}),
    ],
)
def test_a_part_is_chosen_by_its_name(part: str, name: str, tensors: State) -> None:
    found = find_state_dict(NESTED, part)
    assert (found.part, dict(found.tensors)) == (name, tensors)


@pytest.mark.parametrize("part", ["nothing", "optimizer", "iteration", "model", "teacher.a", "student.", "."])
def test_a_part_that_is_no_state_dict_is_refused_with_those_that_are(part: str) -> None:
    with pytest.raises(CheckpointError, match=r"it has no part '.*'; got model\.teacher \(1 tensor\), model\.student"):
        find_state_dict(NESTED, part)


def test_what_is_left_out_is_said_once_a_part() -> None:
    assert find_state_dict(NESTED, "student").left_out == (
        ("model_ema: 2 tensors", "another part of the file; model.student was taken"),
        ("iteration: 7", TRAINING),
        ("optimizer: state of an optimizer", TRAINING),
        ("model.teacher: 1 tensor", "another part of the file; model.student was taken"),
    )
    assert ("model_ema.c: 1 tensor", "another part of the file; model_ema.backbone was taken") in find_state_dict(
        NESTED, "backbone"
    ).left_out


def dinov2_training(wrapper: str = "") -> dict[str, Any]:
    """As DINOv2's FSDPCheckpointer leaves it once it is gathered: teacher and student in one state dict."""
    teacher, student = (
        prefixed({"cls_token": tensor, "patch_embed.proj.weight": KERNEL + tensor.sum()}, f"{wrapper}{name}.backbone.")
        | {f"{wrapper}{name}.dino_head.last_layer.weight": tensor}
        for name, tensor in (("teacher", torch.ones(2)), ("student", torch.zeros(2)))
    )
    return {"model": {**student, **teacher, "dino_loss.center": torch.ones(4)}, "iteration": 7}


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_networks_side_by_side_in_one_state_dict_are_parts_of_it(wrapper: str) -> None:
    found = find_state_dict(dinov2_training(wrapper))
    assert found.part == "model.teacher"
    assert found.tensors.keys() == {
        "backbone.cls_token",
        "backbone.patch_embed.proj.weight",
        "dino_head.last_layer.weight",
    }
    assert torch.equal(found.tensors["backbone.cls_token"], torch.ones(2))
    why = "another part of the file; model.teacher was taken"
    assert found.left_out == (
        ("iteration: 7", TRAINING),
        ("model.student: 3 tensors", why),
        ("model.dino_loss: 1 tensor", why),
    )
    other = find_state_dict(dinov2_training(wrapper), "student")
    assert torch.equal(other.tensors["backbone.cls_token"], torch.zeros(2))
    backbone = find_state_dict(dinov2_training(wrapper), "model.teacher.backbone")
    assert backbone.tensors.keys() == {"cls_token", "patch_embed.proj.weight"}
    assert [what for what, _ in backbone.left_out] == [
        "iteration: 7",
        "model.student: 3 tensors",
        "model.dino_loss: 1 tensor",
        "model.teacher.dino_head: 1 tensor",
    ]


def test_of_mocos_networks_the_base_encoder_is_taken() -> None:
    state = prefixed({"patch_embed.proj.weight": KERNEL}, "module.base_encoder.")
    state |= prefixed({"patch_embed.proj.weight": KERNEL + 1}, "module.momentum_encoder.")
    assert find_state_dict({"arch": "vit_small", "state_dict": state}).part == "state_dict.base_encoder"


def test_a_buffer_that_is_called_like_a_network_is_none() -> None:
    state = {"patch_embed.proj.weight": KERNEL, "ema.decay": torch.ones(1)}
    assert find_state_dict(state).part == ""
    assert find_state_dict(state).tensors is state


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ({"args": argparse.Namespace(arch="vit_small", lr=1)}, {"arch": "vit_small", "lr": 1}),
        ({"hyper_parameters": {"num_heads": 6, 3: 4}}, {"num_heads": 6}),
        ({"arch": "vit_small", "args": argparse.Namespace(lr=1)}, {"lr": 1}),
        ({"config": {"lr": 2, "heads": 3}, "args": {"lr": 1}}, {"lr": 1, "heads": 3}),
        ({"args": "none"}, {}),
        ({"arch": "vit_small"}, {}),
    ],
)
def test_arguments_of_the_run_are_taken_from_where_runs_keep_them(
    content: dict[str, Any], arguments: Mapping[str, Any]
) -> None:
    assert find_state_dict({"model": A, **content}).arguments == arguments


def test_arguments_that_are_long_texts_are_left() -> None:
    longest, longer = "a" * 10_000, "a" * 10_001
    found = find_state_dict({"model": A, "args": {"kept": [longest], "text": longer, "listed": [longer] * 100}})
    assert found.arguments == {"kept": [longest]}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "args": 4}, r"\['args', 'epoch'\]"),
        ({"accuracy": torch.tensor(0.5)}, r"\['accuracy'\]"),
        ({"a": {"b": {"c": {"d": A}}}}, r"\['a'\]"),
        ([A], "list"),
    ],
)
def test_what_has_no_state_dict_is_refused_with_what_it_holds(content: Any, found: str) -> None:
    with pytest.raises(CheckpointError, match=rf"expected a state dict .* got {found}\. Save the model's state_dict"):
        find_state_dict(content)


@pytest.mark.parametrize("names", [(0,), ("blocks.0.weight",)])
def test_moments_of_an_optimizer_are_no_state_dict(names: tuple[Any, ...]) -> None:
    optimizer = {"state": {name: {"exp_avg": torch.ones(2)} for name in names}, "param_groups": []}
    for content in (optimizer, {"optimizer": optimizer, "epoch": 3}):
        with pytest.raises(CheckpointError, match=r"it is the state of an optimizer, without the model"):
            find_state_dict(content)


def test_the_same_state_dict_under_two_names_is_one() -> None:
    assert find_state_dict({"one": A, "two": A}).part == "one"


def test_dicts_that_hold_themselves_end() -> None:
    content: dict[str, Any] = {str(number): number for number in range(3)}
    content |= {f"x{number}": content for number in range(50)}
    with pytest.raises(CheckpointError, match="expected a state dict"):
        find_state_dict(content)


def lightning(state: State, path: Path) -> Path:
    content = {
        "epoch": 9,
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {**prefixed(state, "model.backbone."), "criterion.weight": torch.ones(3)},
        "optimizer_states": [OPTIMIZER],
        "lr_schedulers": [],
        "hyper_parameters": {"arch": "vit_small"},
    }
    return saved(path, content)


def test_a_part_of_a_lightning_file_is_loaded_by_its_names(tmp_path: Path) -> None:
    state = vit_state(4)
    path = lightning(state, tmp_path / "last.ckpt")
    whole = load_model(path, heads=3, device="cpu")
    assert_same(whole.model.state_dict(), state)
    assert ("criterion.weight", "loss or metric of training, beside the model") in whole.report.dropped
    loaded = load_model(f"{path}#state_dict.model", heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), state)
    assert loaded.report.part == "state_dict.model"
    said = [what for what, _ in loaded.report.dropped]
    assert {"state_dict.criterion: 1 tensor", "epoch: 9", "optimizer_states: 1 entry"} <= set(said)


def test_student_and_teacher_are_both_to_be_had(tmp_path: Path) -> None:
    teacher, student = vit_state(1), vit_state(2)
    content = {"student": prefixed(student, "module.backbone."), "teacher": prefixed(teacher, "backbone."), "epoch": 7}
    path = saved(tmp_path / "checkpoint.pth", content)
    for asked, part, state in ((path, "teacher", teacher), (Path(f"{path}#student"), "student", student)):
        loaded = load_model(asked, heads=3, device="cpu")
        assert_same(loaded.model.state_dict(), state)
        assert loaded.report.part == part
        assert f"checkpoint.pth#{part} (" in str(loaded.report)
    with pytest.raises(
        CheckpointError, match=r"checkpoint\.pth: it has no part 'pupil'; got student \(\d+ tensors\), teach"
    ):
        load_model(f"{path}#pupil", heads=3)
