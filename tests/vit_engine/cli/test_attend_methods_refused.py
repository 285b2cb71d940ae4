"""What `attend` refuses of methods, targets, options, regions and masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from vit_engine.cli import main

MODEL = "demo_vit_p16"
SIZE = ("64", "96")


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ve, "attend", lambda *_, **__: pytest.fail("the model ran"))


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "relevance", "--target", "12"], "must be in 0..11; got 12"),
        (["--method", "relevance", "--target", "-1"], "must be in 0..11; got -1"),
        (["--method", "relevance", "--target", "s"], "'s' may be several classes of 'demo_vit_p16': 0 'disc'"),
        (["--method", "relevance", "--target", "whale"], "no class of 'demo_vit_p16' is called 'whale'"),
        (["--method", "relevance", "--target", "patch:4,0"], "row in 0..3"),
        (["--method", "relevance", "--target", "patch:4"], "'patch:ROW,COL'"),
        (["--method", "relevance", "--target", "picture:missing.png"], "missing.png"),
        (["--method", "relevance", "--model", "random_vit_tiny_p16"], "has no classifier, so a target must be named"),
        (["--method", "relevance", "--model", "random_vit_tiny_p16", "--target", "3"], "has no classifier"),
        (["--faithfulness", "--model", "random_vit_tiny_p16"], "has no classifier, so a target must be named"),
        (["--target", "4"], "the method 'raw' depends on no target: leave --target out"),
        (["--method", "relevance", "--option", "start=6"], "start must be a whole number in 0..5"),
        (["--method", "relevance", "--option", "start=half"], "start must be a whole number; got 'half'"),
        (["--method", "gradient_rollout", "--option", "residual=1.5"], "residual must be a number in 0..1"),
        (["--method", "relevance", "--option", "fuse=max"], "has no option 'fuse'; it has start"),
        (
            ["--method", "rollout", "--option", "start=2", "--layers", "-5,3"],
            "there is no map of layer 1: attention rollout starts at layer 2. Ask for --layers from 2 on",
        ),
        (["--method", "rollout", "--option", "strat=2"], "has no option 'strat'; did you mean 'start'? It has fuse"),
        (["--method", "rollout", "--option", "start=1", "--option", "start=2"], "--option start=… must be given once"),
        (["--option", "start=1"], "the method 'raw' has no option 'start'; it has none"),
        (["--option", "layer=1"], "'layer' is no option of a method: pass --layers 1 instead"),
        (["--option", "query=1,2"], "pass --query 1,2 instead"),
        (["--method", "legrad", "--target", "norm", "--model", "random_vit_tiny_p16"], "'norm' has no gradient"),
        (["--query", "1,2,4,3"], "0..3"),
        (["--query", "2,2,1,3"], "query"),
        (["--mask", "missing.png"], "missing.png"),
        (["--mask", "{small}"], "a mask must have the size of its picture, 50×70 px"),
        (["--mask", "{empty}"], "the mask is empty"),
        (["--mask", "0,0,1,1"], "the mask covers the whole picture"),
    ],
)
def test_what_cannot_be_is_one_line_before_the_run(
    options: list[str],
    message: str,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    masks = {"small": (50, 71), "empty": (50, 70)}
    for name, shape in masks.items():
        Image.fromarray(np.zeros(shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    written = [option.format(**{name: tmp_path / f"{name}.png" for name in masks}) for option in options]
    out = tmp_path / "out"
    arguments = [str(picture), "--model", MODEL, "--size", *SIZE, "--out", str(out), "--device", "cpu", *written]
    assert main(["attend", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vit-engine: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not out.exists()


@pytest.mark.usefixtures("no_run")
def test_a_mask_is_read_before_another_picture_is_run(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ve, "picture_target", lambda *_, **__: pytest.fail("the model ran on the other picture"))
    options = ["--method", "legrad", "--target", f"picture:{picture}", "--mask", "0,0,1,1", "--out", str(tmp_path)]
    assert main(["attend", str(picture), "--model", MODEL, "--size", *SIZE, "--device", "cpu", *options]) == 1
    assert "the mask covers the whole picture" in capsys.readouterr().err


@pytest.mark.usefixtures("no_run")
def test_memory_is_checked_before_the_run(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("VIT_ENGINE_MEMORY_BUDGET", "4 MB")
    arguments = [str(picture), "--model", MODEL, "--size", *SIZE, "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["attend", *arguments, "--method", "relevance"]) == 1
    assert "must fit the memory budget of 4.00 MB" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--option", "start"], "expected NAME=VALUE, got 'start'"),
        (["--option", "start="], "expected NAME=VALUE, got 'start='"),
        (["--method", "pca"], "no method is called 'pca'. There are: raw, "),
        (["--query", "1,2,3"], "expected cls, ROW,COL or TOP,LEFT,BOTTOM,RIGHT, got '1,2,3'"),
        (["--mask", "0.5,0,0.5,1"], "expected Y0,X0,Y1,X1, fractions in 0..1"),
        (["--mask", "0,0,1,1.5"], "expected Y0,X0,Y1,X1, fractions in 0..1"),
    ],
)
def test_what_no_model_takes_is_wrong_usage(
    option: list[str], message: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["attend", str(picture), "--model", MODEL, "--out", str(tmp_path), *option]) == 2
    assert message in capsys.readouterr().err
