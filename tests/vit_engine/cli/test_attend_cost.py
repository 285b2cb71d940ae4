"""Long runs of `attend` say beforehand what they will take, and how far they are while they run."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vit_engine as ve
from vit_engine.cli import console, main
from vit_engine.planning import speed
from vit_engine.planning.speed import Rates
from vit_engine.resources.budget import BUDGET_VARIABLE

KINDS = ("all", "entropy", "none", "plain")
FAITHFUL = ["--method", "relevance", "--target", "star", "--faithfulness"]


def machine(monkeypatch: pytest.MonkeyPatch, products: float) -> None:
    """One of so many operations a second."""
    fixed = Rates(products=products, score=dict.fromkeys(KINDS, 0.0), layer=dict.fromkeys(KINDS, 0.0))
    monkeypatch.setattr(speed, "_rates", {("cpu", torch.float32, torch.get_num_threads()): fixed})


def attend(picture: Path, out: Path, *options: str) -> int:
    fixed = ["--model", "demo_vit_p16", "--size", "64", "96", "--device", "cpu", "--layers", "-1", "--out", str(out)]
    return main(["attend", str(picture), *fixed, *options])


def test_a_long_run_says_what_it_will_take_before_it_begins(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ve.estimate("demo_vit_p16", (64, 96), layers=-1, device="cpu").work.products
    machine(monkeypatch, work / 120)  # two minutes
    noted: list[str] = []

    def stop(*_: object, **__: object) -> None:
        noted.append(capsys.readouterr().err)
        raise ve.VitEngineError("stopped")

    monkeypatch.setattr(ve, "attend", stop)
    assert attend(picture, tmp_path) == 1
    (note,) = noted
    assert note.startswith("vit-engine: note: this will take about 2 min (attention 2 min) and up to ")
    assert note.endswith(" of memory beside the model. A smaller --size is faster; Ctrl-C stops.\n")
    assert note.count("\n") == 1


def test_each_step_of_a_long_run_has_its_time(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, 1e6)
    assert attend(picture, tmp_path, *FAITHFUL) == 0
    note = capsys.readouterr().err.splitlines()[0]
    for step in ("attention", "target", "maps", "faithfulness", "randomised weights"):
        assert f"{step} " in note
    forward = ve.estimate("demo_vit_p16", (64, 96), facet="token", layers=-1, device="cpu").seconds
    passes = 2 * 15 * 6 + 3
    assert f"faithfulness {console.format_duration(passes * forward)}" in note


@pytest.mark.parametrize("method", ["raw", "relevance"])
def test_randomised_weights_have_the_time_that_estimate_says(
    method: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, 1e6)
    monkeypatch.setattr(ve, "attend", None)
    with contextlib.suppress(TypeError):  # the note comes before the run
        attend(picture, tmp_path, "--method", method, "--target", "star", "--faithfulness")
    note = capsys.readouterr().err
    size = ["--size", "64", "96", "--device", "cpu", "--json"]
    assert main(["estimate", "demo_vit_p16", *size, "--faithfulness", "--method", method]) == 0
    both = json.loads(capsys.readouterr().out)["seconds"]
    curves = ve.estimate_faithfulness("demo_vit_p16", (64, 96), device="cpu").seconds
    assert f"randomised weights {console.format_duration(both - curves)}" in note


def test_what_does_not_fit_the_memory_is_refused_and_says_no_time(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, 1.0)
    monkeypatch.setenv(BUDGET_VARIABLE, "4 MB")
    assert attend(picture, tmp_path) == 1
    error = capsys.readouterr().err
    assert error.startswith("vit-engine: error: a run must fit the memory budget")
    assert error.count("\n") == 1


def test_progress_says_what_is_being_done_in_proportion_to_its_time(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And one of less than a minute says nothing beforehand."""
    machine(monkeypatch, 1e12)
    reports: list[tuple[float, str]] = []

    @contextlib.contextmanager
    def recorded() -> Iterator[object]:
        yield lambda fraction, message: reports.append((fraction, message))

    monkeypatch.setattr(console, "progress_bar", recorded)
    assert attend(picture, tmp_path, *FAITHFUL) == 0
    assert "this will take" not in capsys.readouterr().err
    steps = [(fraction, *message.split(": ", 1)) for fraction, message in reports if ": " in message]
    fractions = [fraction for fraction, *_ in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    order = list(dict.fromkeys(step for _, step, _ in steps))
    assert order == ["attention", "target", "faithfulness", "randomised weights"]
    ends = {step: fraction for fraction, step, _ in steps}
    assert ends["faithfulness"] - ends["target"] > 0.6, "183 forward passes of about 240"
    assert [message for _, step, message in steps if step == "faithfulness"][-1].startswith("picture ")


def test_maps_that_a_mask_ranks_are_not_made_again(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of integrated gradients may take minutes."""
    names: list[str] = []
    attribute = ve.Method.attribute

    def counted(method: ve.Method, *arguments: Any, **choices: Any) -> Any:
        names.append(method.name)
        return attribute(method, *arguments, **choices)

    monkeypatch.setattr(ve.Method, "attribute", counted)
    options = ["--method", "integrated_gradients", "--option", "steps=2", "--target", "star", "--mask", "0,0,0.5,0.5"]
    assert attend(picture, tmp_path, *options) == 0
    assert sorted(names) == ["integrated_gradients", "raw"]
