"""`inspect` says what a checkpoint is, who says so, and what became of every key."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.vit_engine.weights.fixtures_states import prefixed, saved, vit_state
from vit_engine.cli import main
from vit_engine.weights import inspect_checkpoint

WHY = "projection head of self-supervised training"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training file of DINO's, its student in half precision."""
    teacher, student = (vit_state(seed, dim=384, depth=1, mlp_ratio=0.5) for seed in (1, 2))
    head = {f"head.mlp.{number}.weight": torch.ones(2) for number in range(5)}
    content = {
        "teacher": prefixed(teacher, "backbone.") | head,
        "student": prefixed({name: tensor.half() for name, tensor in student.items()}, "module.backbone."),
        "epoch": 7,
        "args": argparse.Namespace(arch="vit_small"),
    }
    return saved(tmp_path_factory.mktemp("run") / "checkpoint.pth", content)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(
        tmp_path_factory.mktemp("bare") / "run.safetensors", vit_state(registers=3, class_names=tuple("abcde"))
    )


def rows(text: str) -> dict[str, list[str]]:
    """The lines of the table by their label."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        label, _, value = line.partition(" ")
        found.setdefault(label, []).append(value.strip())
    return found


def test_what_is_told_of_a_training_file(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(run)]) == 0
    output = capsys.readouterr()
    told, report = rows(output.out.replace("other parts", "other-parts")), inspect_checkpoint(run).report
    assert output.err == ""
    assert told["source"] == [str(run)]
    assert (told["part"], told["other-parts"]) == (["teacher"], ["#student"])
    assert told["format"] == ["DINO, in torch"]
    assert told["sha256"] == [report.sha256]
    assert told["model"] == ["checkpoint: 1 layer of 384 dimensions"]
    assert told["heads"] == ["6 (from arch=vit_small of the training run)"]
    assert told["patches"] == ["4 px, 5 × 5 of them at its native 20 × 20 px"]
    assert told["positions"] == ["learned; for other grids: bicubic, with DINO's offset of 0.1 patch"]
    assert told["prefix"] == ["CLS"]
    assert told["blocks"] == ["MLP of 192 (gelu), LayerNorm ε 1e-06"]
    assert told["classes"] == ["none, pooling 'cls'"]
    assert told["pictures"] == ["bicubic, mean 0.485 0.456 0.406, std 0.229 0.224 0.225"]
    assert told["tensors"] == ["0 matched, 18 converted, 0 missing"]
    assert told["types"] == ["18 float32"]
    assert told["dropped"] == [
        f"{WHY} — head.mlp.0.weight, head.mlp.1.weight, head.mlp.2.weight and 2 more",
        "another part of the file; teacher was taken — student: 18 tensors",
        "of the training run, not of the model — epoch: 7, args: arguments",
    ]
    assert len(output.out.splitlines()) < 25


def test_another_part_is_named_after_a_hash(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{run}#student"]) == 0
    told = rows(capsys.readouterr().out)
    assert (told["part"], told["types"]) == (["student"], ["18 float16"])


def test_where_nobody_says_the_heads_it_is_told_how_to(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bare)]) == 0
    told = rows(capsys.readouterr().out)
    assert told["heads"] == ["not stated: pass --heads N. With 12 dimensions it can be 1, 2, 3."]
    assert told["prefix"] == ["CLS + 3 registers"]
    assert told["classes"][0].startswith("5 (class 0, class 1, class 2…), pooling")
    assert not {"part", "other"} & told.keys()
    assert main(["inspect", str(bare), "--heads", "3"]) == 0
    assert rows(capsys.readouterr().out)["heads"] == ["3 (from heads=, as asked for)"]


def test_every_key_is_listed_where_that_is_asked_for(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(run), "--keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    keys = [line.split("  ")[0].strip() for line in lines[lines.index("") + 1 :]]
    report = inspect_checkpoint(run).report
    assert keys == [*(key for key, _ in report.converted), *(key for key, _ in report.dropped)]
    assert any(line.split() == ["backbone.cls_token", "→", "cls_token"] for line in lines)
    assert any(line.endswith("dropped: projection head of self-supervised training") for line in lines)


def test_one_json_document_has_everything(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(run), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    found = inspect_checkpoint(run)
    assert (record["source"], record["part"], record["sha256"]) == (str(run), "teacher", found.report.sha256)
    assert (record["format"], record["container"], record["dtypes"]) == ("DINO", "torch", {"float32": 18})
    assert record["converted"] == [{"key": key, "parameter": name} for key, name in found.report.converted]
    assert record["dropped"] == [{"key": key, "why": why} for key, why in found.report.dropped]
    assert (record["matched"], record["missing"], record["native_grid"]) == ([], [], [5, 5])
    architecture = record["architecture"]
    assert (architecture["dim"], architecture["heads"], architecture["patch_size"]) == (384, 6, 4)
    assert architecture["preprocessing"]["interpolation"] == "bicubic"
    assert (record["parameters"], record["heads_choices"]) == (found.parameter_count, [])
    assert record["parts"] == ["teacher", "student"]


def test_in_json_heads_that_nobody_says_are_null(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(bare), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["architecture"]["heads"], record["heads_choices"]) == (None, [1, 2, 3])
    assert record["advice"] == "With 12 dimensions it can be 1, 2, 3."


def test_a_model_that_is_known_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "demo_vit_p8"]) == 0
    told = rows(capsys.readouterr().out)
    assert told["model"] == ["Demo ViT /8: 6 layers of 128 dimensions"]
    assert told["heads"] == ["4 (from the model demo_vit_p8)"]


def page(folder: Path) -> Path:
    path = folder / "w.pth"
    path.write_text("<!DOCTYPE html>\n<html></html>")
    return path


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (page, [], "it is a web page (HTML)"),
        (lambda folder: folder, [], "holds no weights: looked for model.safetensors"),
        (lambda folder: folder / "missing.pth", [], "cannot be read: No such file"),
        (lambda folder: "dino_vits6", [], "did you mean 'dino_vits16'"),
        (lambda folder: saved(folder / "w.pth", vit_state()), ["--heads", "5"], "got heads=5"),
    ],
)
def test_what_cannot_be_used_is_one_line_on_stderr(
    tmp_path: Path, make: Any, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(make(tmp_path)), *options]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("vit-engine: error: ")
    assert message in output.err
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["a.pth", "--heads", "0"], ["a.pth", "--heads", "many"], ["a.pth", "b.pth"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *arguments]) == 2
    assert "usage: vit-engine" in capsys.readouterr().err
