"""`attend` by any method: maps, target and options as the API has them, and what says how good a map is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vit_engine as ve
from vit_engine.cli import main
from vit_engine.report import sheets
from vit_engine.trace.differentiate import differentiate

MODEL = "demo_vit_p16"
SIZE = ("64", "96")
STAR = 4  # of the demo model's classes


@pytest.fixture(scope="module")
def loaded() -> ve.LoadedModel:
    return ve.load_model(MODEL, device="cpu")


@pytest.fixture(scope="module")
def run(loaded: ve.LoadedModel, picture: Path) -> ve.Run:
    """What the Python API gives for the same picture."""
    prepared = ve.prepare_image(picture, loaded.spec, size=(64, 96))
    trace = ve.attend(loaded, prepared)
    _, gradients = differentiate(loaded, prepared, target=STAR, trace=trace)
    return ve.Run(trace, loaded, prepared, gradients=gradients)


@pytest.fixture
def captions(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The options with which overlay.png is drawn."""
    drawn: dict[str, Any] = {}
    overlay = sheets.overlay
    monkeypatch.setattr(sheets, "overlay", lambda *maps, **options: drawn.update(options) or overlay(*maps, **options))
    return drawn


def attend(picture: Path, out: Path, *options: str) -> dict[str, Any]:
    """The record of a run that went well."""
    arguments = [str(picture), "--model", MODEL, "--size", *SIZE, "--out", str(out), "--device", "cpu"]
    assert main(["attend", *arguments, *options]) == 0
    return json.loads((out / "run.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("method", ve.METHODS, ids=lambda method: method.name)
def test_any_method_can_be_asked_for(
    method: ve.Method, run: ve.Run, picture: Path, tmp_path: Path, captions: dict[str, Any]
):
    targeted = "target" in method.depends_on
    asked = ["--target", "star"] if targeted else []
    record = attend(picture, tmp_path, "--method", method.name, "--layers", "-3,-1", "--query", "2,3", *asked)
    layers = [3, 5] if "layer" in method.depends_on else [5]
    expected = [method.attribute(run, layer=layer, query=(2, 3)) for layer in layers]
    maps = np.stack([each.heads for each in expected])
    maps = maps if "head" in method.depends_on else maps[:, 0]
    arrays = np.load(tmp_path / "attention.npz")
    scale = np.abs(maps).max()
    np.testing.assert_allclose(
        arrays["maps"], maps if "layer" in method.depends_on else maps[0], rtol=1e-4, atol=1e-5 * scale
    )
    assert arrays["layers"].tolist() == (layers if "layer" in method.depends_on else [])
    assert arrays["maps"].shape[-2:] == (4, 6)
    assert captions["caption"].startswith(f"{run.trace.spec.title} · {method.title} · ")
    assert expected[-1].map.label.removeprefix(f"{method.phrase} · ") in captions["caption"]
    assert captions["signed"] == method.signed
    assert (tmp_path / "heads.png").exists() == ("head" in method.depends_on)
    assert pd.read_csv(tmp_path / "heads.csv")["layer"].unique().tolist() == [3, 5]
    assert record["method"] == method.name
    assert record["options"] == {option.name: option.default for option in method.options}
    target = {"name": "4", "label": "class 4, star", "score": pytest.approx(run.gradients.score, rel=1e-4)}
    assert record["target"] == (target if targeted else None)
    assert record["query"] == ([2, 3] if "query" in method.depends_on else None)
    assert (record["layers"], record["head_layers"]) == (layers if "layer" in method.depends_on else None, [3, 5])


def test_an_option_reaches_the_method_and_the_record(run: ve.Run, picture: Path, tmp_path: Path):
    options = ["--method", "gradient_rollout", "--option", "start=3", "--option", "residual=0.25"]
    record = attend(picture, tmp_path, *options, "--target", "4")
    expected = ve.find_method("gradient_rollout").attribute(run, options={"start": 3, "residual": 0.25})
    np.testing.assert_allclose(np.load(tmp_path / "attention.npz")["maps"], expected.map.values, rtol=1e-4)
    assert record["options"] == {"start": 3, "residual": 0.25}


def test_of_all_layers_those_below_the_first_that_counts_are_left_out(
    run: ve.Run, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    record = attend(picture, tmp_path, "--method", "rollout", "--option", "start=4")
    summary = capsys.readouterr().out.splitlines()[0]
    assert summary.endswith(" s; layers 4, 5: attention rollout starts at layer 4")
    arrays = np.load(tmp_path / "attention.npz")
    assert arrays["layers"].tolist() == record["layers"] == [4, 5]
    for layer, values in zip((4, 5), arrays["maps"], strict=True):
        expected = ve.find_method("rollout").attribute(run, layer=layer, options={"start": 4}).map.values
        np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_the_likeliest_class_is_the_target_where_none_is_named(picture: Path, tmp_path: Path):
    record = attend(picture, tmp_path, "--method", "grad_cam", "--layers", "-1")
    assert record["target"]["name"] == str(record["predictions"][0]["number"])


@pytest.mark.parametrize(
    ("target", "name", "label"),
    [
        ("norm", "norm", "norm of the image embedding"),
        ("patch:1,2", "patch:1,2", "similarity of CLS to patch row 1, col 2"),
        ("picture:{picture}", "picture:noise.png", "similarity to noise.png"),
    ],
)
def test_targets_that_are_no_class(target: str, name: str, label: str, picture: Path, tmp_path: Path):
    record = attend(picture, tmp_path, "--method", "legrad", "--target", target.format(picture=picture))
    assert (record["target"]["name"], record["target"]["label"]) == (name, label)
    if target.startswith("picture:"):
        assert record["target"]["score"] == pytest.approx(1, abs=1e-5), "of the picture to itself, at the same size"


def test_a_region_is_a_query(run: ve.Run, picture: Path, tmp_path: Path, captions: dict[str, Any]):
    attend(picture, tmp_path, "--layers", "-1", "--query", "1,2,3,2")
    expected = run.trace.head_maps(5, (1, 2, 3, 2))
    np.testing.assert_allclose(np.load(tmp_path / "attention.npz")["maps"][0], expected, rtol=1e-4)
    assert captions["marked"] == (1, 2, 3, 2)


@pytest.mark.parametrize(
    ("asked", "told"),
    [(["legrad"], True), (["legrad", "--mask", "0,0,0.5,0.5"], False), (["rollout"], False)],
)
def test_layers_that_change_nothing_are_told(
    asked: list[str], told: bool, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    attend(picture, tmp_path, "--layers", "2", "--method", *asked)
    assert ("LeGrad depends on no layer: --layers changes heads.csv alone." in capsys.readouterr().err) is told


def test_cls_of_a_model_that_reads_patches_alone_is_told(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ve.ModelSpec, "reads_cls", False)
    for query, told in (("cls", True), ("0,0,1,1", False)):
        attend(picture, tmp_path, "--method", "relevance", "--target", "1", "--query", query)
        assert ("so CLS tells nothing of the target; ask for all patches: --query" in capsys.readouterr().err) is told


@pytest.mark.parametrize(("asked", "told"), [([], True), (["--mask", "0,0,0.5,0.5"], False)])
def test_a_query_that_changes_nothing_is_told(
    asked: list[str], told: bool, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """It does where a mask ranks the heads of raw attention."""
    attend(picture, tmp_path, "--method", "legrad", "--query", "1,2", *asked)
    note = "LeGrad depends on no query: patch row 1, col 2 changes nothing."
    assert capsys.readouterr().err == (f"vit-engine: note: {note}\n" if told else "")


def test_a_method_is_found_by_any_spelling_as_in_python(picture: Path, tmp_path: Path):
    assert attend(picture, tmp_path, "--method", "Grad-CAM", "--layers", "-1")["method"] == "grad_cam"


def test_a_map_that_is_zero_everywhere_says_why(
    picture: Path, tmp_path: Path, captions: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    """Relevance of the last layer alone has a gradient at the CLS token only, and a patch is asked about."""
    options = ["--method", "relevance", "--option", "start=5", "--query", "1,2", "--target", "4"]
    record = attend(picture, tmp_path, *options, "--mask", "0,0,0.5,0.5")
    why = ve.find_method("relevance").empty
    assert record["note"] == why
    assert record["pointing"]["map"] is None
    captured = capsys.readouterr()
    assert captured.err == f"vit-engine: note: the map is zero everywhere: {why}\n"
    assert "pointing: the map has no mass" in captured.out
    assert captions["caption"].endswith(f" · zero everywhere: {why}")
    assert not np.load(tmp_path / "attention.npz")["maps"].any()


def test_a_mask_ranks_all_heads_and_the_method(run: ve.Run, picture: Path, tmp_path: Path):
    """The mask is a file in the size of the picture, 50×70 px: its left half."""
    mask = np.zeros((50, 70), dtype=np.uint8)
    mask[:, :35] = 255
    path = tmp_path / "mask.png"
    Image.fromarray(mask).save(path)
    options = ["--method", "relevance", "--option", "start=2", "--layers", "2,4", "--target", "4"]
    record = attend(picture, tmp_path / "out", *options, "--mask", str(path))
    table = pd.read_csv(tmp_path / "out" / "pointing.csv")
    pixels = ve.open_mask(path, (50, 70), run.trace.spec, size=(64, 96))
    heads = [(layer, head) for layer in (2, 4) for head in range(4)]
    raw = table[table["method"] == "raw"]
    assert sorted(zip(raw["layer"], raw["head"], strict=True)) == heads
    row = raw[(raw["layer"] == 4) & (raw["head"] == 3)].iloc[0]
    assert row["share"] == pytest.approx(ve.pointing(run.trace.attention_map(4, 3), pixels).share, rel=1e-4)
    shown = ve.find_method("relevance").attribute(run, options={"start": 2}).map
    expected = ve.pointing(shown, pixels).share
    assert table[table["method"] == "relevance"]["share"].tolist() == [pytest.approx(expected, rel=1e-4)]
    assert record["pointing"]["map"]["share"] == pytest.approx(expected, rel=1e-4)
    assert (record["pointing"]["mask"], record["pointing"]["query"]) == (str(path), "cls")


def test_faithfulness_is_that_of_the_map_that_is_drawn(
    run: ve.Run, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    record = attend(picture, tmp_path, "--layers", "2,4", "--faithfulness", "--target", "star")
    expected = ve.faithfulness(run, run.trace.attention_map(4), STAR)
    table = pd.read_csv(tmp_path / "faithfulness.csv")
    pd.testing.assert_frame_equal(table[list(expected.to_frame())], expected.to_frame(), rtol=1e-4)
    other = ve.faithfulness(run, ve.randomised_map(run, "raw", layer=4), STAR, orders=0)
    np.testing.assert_allclose(table["randomised_insertion"], other.insertion, rtol=1e-4)
    measured = record["faithfulness"]
    assert measured["insertion_area"] == pytest.approx(expected.insertion_area, rel=1e-4)
    assert measured["random_deletion_areas"] == pytest.approx(expected.random_deletion.tolist(), rel=1e-4)
    assert (measured["of"], measured["baseline"]) == ("probability of class 4, star", "blur")
    assert (record["target"], measured["target"]) == (None, "4"), "the map depends on no target, its worth does"
    assert measured["randomised_insertion_area"] == pytest.approx(other.insertion_area, rel=1e-4)
    lines = capsys.readouterr().out.splitlines()
    areas = next(line for line in lines if line.startswith("probability of class 4, star"))
    assert f"insertion {expected.insertion_area:.3g} (random orders " in areas
    assert f"randomised weights {other.deletion_area:.3g})" in areas
    assert f"faithfulness: {measured['verdict']}" in lines
    assert "the same method's map on randomised weights: insertion is " in measured["verdict"]
