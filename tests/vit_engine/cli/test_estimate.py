"""`estimate` prints what the API says, before anything is run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import vit_engine as ve
from vit_engine.analysis.worth.perturbation import forward_plan
from vit_engine.cli import main
from vit_engine.cli.console import format_duration
from vit_engine.planning import speed
from vit_engine.planning.estimates import largest_size
from vit_engine.planning.peak import peak_bytes
from vit_engine.planning.plan import RunPlan
from vit_engine.planning.speed import Rates
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes

MODEL = "random_vit_tiny_p16"
SPEC = next(spec for spec in ve.list_models() if spec.name == MODEL)
KINDS = ("all", "entropy", "none", "plain")


@pytest.fixture(autouse=True)
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates that do not change from call to call."""
    fixed = Rates(products=1e9, score=dict.fromkeys(KINDS, 1e-9), layer=dict.fromkeys(KINDS, 1e-3))
    monkeypatch.setattr(speed, "_rates", {("cpu", torch.float32, torch.get_num_threads()): fixed})
    monkeypatch.setenv(BUDGET_VARIABLE, "64 MB")


def test_the_json_is_what_the_api_says(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--size", "320", "480", "--layers", "-3,0", "--statistics", "entropy", "--device", "cpu"]
    assert main(["estimate", *options, MODEL, "--json"]) == 0
    asked: dict[str, Any] = {"layers": [0, 9], "statistics": "entropy", "device": "cpu"}
    expected = ve.estimate(SPEC, (320, 480), **asked)
    assert json.loads(capsys.readouterr().out) == {
        "model": MODEL,
        **asked,
        "grid": {"prefix": 1, "rows": 20, "cols": 30, "patch_size": 16},
        "tokens": 601,
        "peak_bytes": expected.peak_bytes,
        "kept_bytes": expected.kept_bytes,
        "seconds": expected.seconds,
        "budget_bytes": 64_000_000,
        "largest_size": largest_size(RunPlan.asked(SPEC, **asked), (320, 480), 64_000_000),
    }


def test_the_text_has_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", MODEL, "--size", "330", "--device", "cpu"]) == 0
    expected = ve.estimate(SPEC, 320, device="cpu")
    largest = largest_size(RunPlan.asked(SPEC, device="cpu"), (1, 1), 64_000_000)
    assert capsys.readouterr().out.splitlines() == [
        "tokens         401 (20 × 20 patches of 16 px)",
        f"peak memory    {format_bytes(expected.peak_bytes)}",
        f"kept memory    {format_bytes(expected.kept_bytes)}",
        f"expected time  {expected.seconds:.2f} s",
        f"memory budget  64.0 MB: {'enough' if expected.peak_bytes <= 64_000_000 else 'too little'}",
        f"largest size   {largest} px on the short side",
    ]


def test_a_facet_asks_what_features_takes(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--size", "320", "480", "--layers", "-1", "--device", "cpu", "--facet", "key"]
    assert main(["estimate", MODEL, *options, "--precision", "float32", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    expected = ve.estimate(SPEC, (320, 480), layers=-1, device="cpu", facet="key", precision="float32")
    assert (record["facet"], record["precision"]) == ("key", "float32")
    assert "statistics" not in record
    assert record["kept_bytes"] == expected.kept_bytes == 601 * SPEC.dim * 4
    assert (record["peak_bytes"], record["seconds"]) == (expected.peak_bytes, expected.seconds)
    assert main(["estimate", MODEL, *options]) == 0
    assert f"kept memory    {format_bytes(601 * SPEC.dim * 2)}\n" in capsys.readouterr().out


def test_gradients_are_beside_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    options = [MODEL, "--size", "160", "--device", "cpu", "--gradients"]
    assert main(["estimate", *options, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    expected, trace = ve.estimate(SPEC, 160, device="cpu", gradients=True), ve.estimate(SPEC, 160, device="cpu")
    assert (record["gradients"], record["trace_bytes"]) == (True, trace.kept_bytes)
    for name in ("peak_bytes", "kept_bytes", "seconds"):
        assert record[name] == getattr(expected, name)
    assert main(["estimate", *options]) == 0
    peak, beside = format_bytes(expected.peak_bytes), format_bytes(trace.kept_bytes)
    assert f"peak memory    {peak}, beside a trace of {beside}\n" in capsys.readouterr().out


def test_faithfulness_is_beside_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    options = [MODEL, "--size", "160", "--device", "cpu", "--faithfulness"]
    assert main(["estimate", *options, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    expected, trace = ve.estimate_faithfulness(SPEC, 160, device="cpu"), ve.estimate(SPEC, 160, device="cpu")
    assert (record["faithfulness"], record["trace_bytes"], record["kept_bytes"]) == (True, trace.kept_bytes, 0)
    assert (record["peak_bytes"], record["seconds"]) == (expected.peak_bytes, expected.seconds)
    assert record["seconds"] > 50 * trace.seconds


def test_faithfulness_of_a_trained_model_has_the_same_with_randomised_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second model in memory, its map, and two more curves; a budget of just what must be free is enough."""
    options = ["demo_vit_p16", "--size", "96", "--device", "cpu", "--faithfulness"]
    (spec,) = (spec for spec in ve.list_models() if spec.name == "demo_vit_p16")
    curves, alone = (ve.estimate_faithfulness(spec, 96, orders=orders, device="cpu") for orders in (5, 0))
    again, trace = ve.estimate(spec, 96, statistics="none", device="cpu"), ve.estimate(spec, 96, device="cpu")
    model = 4 * spec.parameter_count
    assert main(["estimate", *options, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["seconds"] == pytest.approx(curves.seconds + alone.seconds + again.seconds)
    assert record["second_model_bytes"] == model
    assert record["peak_bytes"] == max(curves.peak_bytes, model + max(alone.peak_bytes, again.peak_bytes))
    single = max(again.peak_bytes, peak_bytes(forward_plan(spec, device="cpu", dtype=torch.float32), again.grid))
    for budget, enough in ((single + model + trace.kept_bytes, True), (single + model + trace.kept_bytes - 1, False)):
        monkeypatch.setenv(BUDGET_VARIABLE, str(budget))
        assert main(["estimate", *options]) == 0
        text = capsys.readouterr().out
        assert f" s, with randomised weights, a second model of {format_bytes(model)}\n" in text
        assert ("enough" in text, "96 px on the short side" in text) == (enough, enough)


METHODS: tuple[tuple[str, list[str], int, int], ...] = (  # on how many passes of a trace, and of a gradient
    ("raw", [], 1, 0),
    ("rollout", [], 2, 0),
    ("relevance", [], 2, 1),
    ("attention_gradient", [], 1, 1),
    ("Grad-CAM", [], 2, 1),
    ("integrated_gradients", ["--option", "steps=3"], 1, 3),
)
CURVES = ["demo_vit_p16", "--size", "96", "--device", "cpu", "--faithfulness"]


@pytest.mark.parametrize(("method", "options", "traces", "gradients"), METHODS, ids=[method for method, *_ in METHODS])
def test_the_map_on_randomised_weights_is_the_methods(
    method: str, options: list[str], traces: int, gradients: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all layers' attention it is read in about the time of a trace; raw attention is there with the trace."""
    curves, alone = (ve.estimate_faithfulness("demo_vit_p16", 96, orders=orders, device="cpu") for orders in (5, 0))
    trace = ve.estimate("demo_vit_p16", 96, statistics="none", device="cpu")
    gradient = ve.estimate("demo_vit_p16", 96, gradients=True, device="cpu")
    assert main(["estimate", *CURVES, "--json", "--method", method, *options]) == 0
    record = json.loads(capsys.readouterr().out)
    expected = curves.seconds + alone.seconds + traces * trace.seconds + gradients * gradient.seconds
    assert record["seconds"] == pytest.approx(expected)
    assert record["method"] == method.lower().replace("-", "_")
    known = {option.name: option.default for option in ve.find_method(method).options}
    assert record["options"] == known | ({"steps": 3} if options else {})


def test_a_gradient_must_fit_beside_the_trace_on_randomised_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And beside the trace and the gradient of the trained ones, which stay."""
    spec = next(spec for spec in ve.list_models() if spec.name == "demo_vit_p16")
    gradient = ve.estimate(spec, 96, gradients=True, device="cpu")
    traces = [ve.estimate(spec, 96, statistics=statistics, device="cpu").kept_bytes for statistics in ("all", "none")]
    needed = 4 * spec.parameter_count + sum(traces) + gradient.kept_bytes + gradient.peak_bytes
    parts = f"beside a trace of {format_bytes(traces[0])} and a gradient of {format_bytes(gradient.kept_bytes)}\n"
    for budget, enough in ((needed, True), (needed - 1, False)):
        monkeypatch.setenv(BUDGET_VARIABLE, str(budget))
        assert main(["estimate", *CURVES, "--method", "relevance"]) == 0
        text = capsys.readouterr().out
        assert parts in text
        assert (": enough" in text, "96 px on the short side" in text) == (enough, enough)


def test_the_largest_size_leaves_room_for_the_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gradients, trace = ve.estimate(SPEC, 320, device="cpu", gradients=True), ve.estimate(SPEC, 320, device="cpu")
    largest = []
    for budget in (gradients.peak_bytes + trace.kept_bytes, gradients.peak_bytes + trace.kept_bytes - 1):
        monkeypatch.setenv(BUDGET_VARIABLE, str(budget))
        assert main(["estimate", MODEL, "--size", "320", "--device", "cpu", "--gradients"]) == 0
        text = capsys.readouterr().out
        largest.append(("enough" in text, f"{320} px on the short side" in text))
    assert largest == [(True, True), (False, False)]


def test_a_checkpoint_has_an_estimate_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.pth"
    torch.save(ve.load_model(MODEL, weights="random", device="cpu").model.state_dict(), path)
    assert main(["estimate", str(path), "--device", "cpu"]) == 1
    assert "mine.pth does not say how many heads it has: pass --heads N." in capsys.readouterr().err
    records = []
    for arguments in ([str(path), "--heads", str(SPEC.heads)], [MODEL]):
        assert main(["estimate", *arguments, "--device", "cpu", "--size", "128", "--json"]) == 0
        records.append(json.loads(capsys.readouterr().out))
    assert records[0]["model"] == "mine"
    assert records[0]["peak_bytes"] == records[1]["peak_bytes"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.256, "0.26 s"), (9.9, "9.90 s"), (99.9, "100 s"), (150.0, "2 min"), (77_768.9, "21.6 h")]
)
def test_long_times_are_told_in_minutes_and_hours(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_without_a_size_it_is_the_models_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", MODEL, "--device", "cpu"]) == 0
    assert "197 (14 × 14 patches" in capsys.readouterr().out


def test_where_nothing_fits_there_is_no_largest_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "1")
    assert main(["estimate", MODEL, "--device", "cpu"]) == 0
    assert "largest size   none: not even one patch fits" in capsys.readouterr().out
    assert main(["estimate", MODEL, "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["largest_size"] is None


@pytest.mark.parametrize(
    ("arguments", "budget", "message"),
    [
        (["random_vit_tiny_p17"], "1 GB", "did you mean 'random_vit_tiny_p1"),
        ([MODEL, "--layers", "12"], "1 GB", "0..11"),
        ([MODEL, "--size", "8"], "1 GB", "16 px"),
        ([MODEL, "--gradients", "--layers", "3"], "1 GB", "gradients are of all layers"),
        ([MODEL, "--gradients", "--facet", "key"], "1 GB", "gradients are of all layers, and of no facet"),
        ([MODEL, "--faithfulness", "--facet", "key"], "1 GB", "leave --gradients, --facet and --layers out"),
        ([MODEL, "--faithfulness", "--layers", "3"], "1 GB", "leave --gradients, --facet and --layers out"),
        ([MODEL, "--method", "relevance"], "1 GB", "add --faithfulness, or leave them out"),
        ([MODEL, "--option", "start=2"], "1 GB", "add --faithfulness, or leave them out"),
        ([MODEL, "--faithfulness", "--option", "start=2"], "1 GB", "the method 'raw' has no option 'start'"),
        (["hf:nobody/nothing", "--faithfulness", "--layers", "3"], "1 GB", "and --layers out"),
        ([MODEL, "--device", "quantum"], "1 GB", "quantum"),
        ([MODEL], "plenty", "got 'plenty'"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str],
    budget: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, budget)
    assert main(["estimate", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vit-engine: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [MODEL, "--statistics", "some"],
        [MODEL, "--size", "0"],
        [MODEL, "--layers", "first"],
        [MODEL, "--method", "rew"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", *arguments]) == 2
    assert "usage: vit-engine" in capsys.readouterr().err
