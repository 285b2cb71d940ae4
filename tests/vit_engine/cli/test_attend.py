"""`attend` gives the same numbers as the API, in files that appear whole or not at all."""

import csv
import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.cli import main
from vit_engine.report import sheets
from vit_engine.report.painter import PANE_WIDTH

MODEL = "random_vit_tiny_p16"
FILES = ["attention.npz", "heads.csv", "heads.png", "overlay.png", "run.json"]
ALARM = (0xB3, 0x26, 0x1E)


@pytest.fixture(scope="session")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run: two layers, a patch's query, a seed that is not the default."""
    folder = tmp_path_factory.mktemp("run") / "new" / "folder"
    options = ["--size", "64", "96", "--layers", "-3,-1", "--query", "2,3", "--seed", "7", "--out", str(folder)]
    assert main(["attend", str(picture), "--model", MODEL, *options]) == 0
    return folder


@pytest.fixture(scope="session")
def trace(picture: Path) -> ve.AttentionTrace:
    """What the Python API gives for the same run."""
    loaded = ve.load_model(MODEL, seed=7)
    prepared = ve.prepare_image(ve.open_image(picture), loaded.spec, size=(64, 96))
    return ve.attend(loaded, prepared, layers=[-3, -1])


def test_attend_writes_all_files_and_nothing_else(run: Path):
    assert sorted(path.name for path in run.iterdir()) == FILES


def test_maps_are_those_of_the_api(run: Path, trace: ve.AttentionTrace):
    arrays = np.load(run / "attention.npz")
    expected = np.stack([trace.head_maps(9, (2, 3)), trace.head_maps(11, (2, 3))])
    assert arrays["maps"].dtype == np.float32
    assert arrays["maps"].shape == (2, 3, 4, 6)
    np.testing.assert_allclose(arrays["maps"], expected, rtol=1e-5)
    assert arrays["layers"].tolist() == [9, 11]
    assert arrays["grid"].tolist() == [1, 4, 6, 16]


def test_a_method_that_there_is_not_is_wrong_usage(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["attend", str(picture), "--model", MODEL, "--method", "rew", "--out", str(tmp_path)]) == 2
    assert "no method is called 'rew'; did you mean 'raw'? There are: raw, column, " in capsys.readouterr().err


def test_table_is_that_of_the_api(run: Path, trace: ve.AttentionTrace):
    pd.testing.assert_frame_equal(
        pd.read_csv(run / "heads.csv"), trace.statistics.to_frame(), check_dtype=False, rtol=1e-5
    )


def test_run_json_says_how_to_repeat_the_run(run: Path, picture: Path):
    record = json.loads((run / "run.json").read_text())
    assert record["model"] == record["spec"]["name"] == MODEL
    assert record["image"] == {"path": str(picture), "sha256": hashlib.sha256(picture.read_bytes()).hexdigest()}
    assert record["size"] == {"asked": [64, 96], "height": 64, "width": 96}
    assert record["grid"] == {"prefix": 1, "rows": 4, "cols": 6, "patch_size": 16}
    assert (record["layers"], record["query"]) == ([9, 11], [2, 3])
    assert (record["random"], record["seed"], record["weights"]["sha256"]) == (True, 7, None)
    assert record["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert record["versions"]["vit_engine"] == ve.__version__
    assert set(record["versions"]) == {"vit_engine", "torch", "numpy", "pillow", "python"}
    assert record["seconds"] > 0
    assert (record["options"], record["target"], record["pointing"], record["faithfulness"]) == ({}, None, None, None)


def test_pictures_are_large_and_say_that_the_weights_are_random(run: Path):
    for name, panels in (("overlay.png", 2), ("heads.png", 3)):
        with Image.open(run / name) as sheet:
            assert sheet.width >= panels * PANE_WIDTH
            assert (np.asarray(sheet) == ALARM).all(axis=-1).sum() > 100, name


def test_trained_weights_are_not_called_random(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["attend", str(picture), "--model", "demo_vit_p16", "--size", "64", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["random"], record["seed"]) == (False, None)
    assert len(record["weights"]["sha256"]) == 64
    assert len(record["predictions"]) == 12
    assert sum(each["probability"] for each in record["predictions"]) == pytest.approx(1)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert record["predictions"][0]["label"] in captured.out
    with Image.open(tmp_path / "heads.png") as sheet:
        assert not (np.asarray(sheet) == ALARM).all(axis=-1).any()


def test_json_is_all_of_stdout(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["attend", str(picture), "--model", MODEL, "--size", "64", "--layers", "-1", "--out", str(tmp_path)]
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert sorted(document["files"]) == FILES
    assert all(Path(path).exists() for path in document["files"].values())
    assert document["layers"] == [11]
    assert document["predictions"] == []
    assert captured.err.count("\n") == 1, "no progress bar where stderr is no terminal"
    assert "RANDOM WEIGHTS (seed 0)" in captured.err


@pytest.mark.parametrize(
    ("text", "layers"), [("all", list(range(12))), ("-1", [11]), ("0,5,11", [0, 5, 11]), ("-2,0", [0, 10])]
)
def test_layers(text: str, layers: list[int], picture: Path, tmp_path: Path):
    """The options stand before the picture, which neither --size nor --layers may swallow."""
    options = ["--model", MODEL, "--out", str(tmp_path), "--layers", text, "--size", "32"]
    assert main(["attend", *options, str(picture)]) == 0
    assert np.load(tmp_path / "attention.npz")["layers"].tolist() == layers
    with (tmp_path / "heads.csv").open() as file:
        assert [int(row["layer"]) for row in csv.DictReader(file)] == [layer for layer in layers for _ in range(3)]


def test_pictures_show_the_deepest_layer(picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    captions = []
    real = sheets.head_sheet
    monkeypatch.setattr(
        sheets, "head_sheet", lambda *maps, **options: captions.append(options["caption"]) or real(*maps, **options)
    )
    arguments = ["attend", str(picture), "--model", MODEL, "--size", "32", "--layers", "5,2", "--out", str(tmp_path)]
    assert main(arguments) == 0
    title = next(spec.title for spec in ve.list_models() if spec.name == MODEL)
    assert captions == [f"{title} · Raw attention · layer 5 · all heads · query CLS"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["missing.png"], "missing.png"),
        ([__file__], "not a picture"),
        (["{picture}", "--model", "demo_vit_p17"], "did you mean 'demo_vit_p1"),
        (["{picture}", "--weights", "missing.pth"], "missing.pth"),
        (["{picture}", "--model", "demo_vit_p16", "--heads", "8"], "heads must be 4"),
        (["{picture}", "--device", "quantum"], "quantum"),
        (["{picture}", "--layers", "12"], "0..11"),
        (["{picture}", "--query", "2,6"], "col in 0..1"),
        (["{picture}", "--query", "-1,0"], "row in 0..1"),
        (["{picture}", "--size", "8"], "16 px"),
        (["{picture}", "--size", "99999999"], "smaller size"),
        (["{picture}", "--out", f"{__file__}/results"], "Not a directory"),
    ],
)
def test_unusable_input_is_one_line_and_leaves_nothing(
    options: list[str], message: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "results"
    arguments = [option.format(picture=picture) for option in options]
    assert main(["attend", "--model", MODEL, "--size", "32", "--out", str(folder), *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vit-engine: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not folder.exists()


def test_a_full_disk_leaves_earlier_results_as_they_were(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "heads.png")

    (tmp_path / "attention.npz").write_text("earlier")
    monkeypatch.setattr(sheets, "head_sheet", full)
    assert main(["attend", str(picture), "--model", MODEL, "--size", "32", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "vit-engine: error: heads.png: No space left on device.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["attention.npz"]
    assert (tmp_path / "attention.npz").read_text() == "earlier"


@pytest.mark.parametrize(
    "error", [MemoryError(), ve.ResourceError("not enough memory on 'cpu' …; use a smaller size.")]
)
def test_running_out_of_memory_is_one_line(
    error: Exception, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def too_large(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ve, "attend", too_large)
    folder = tmp_path / "results"
    assert main(["attend", str(picture), "--model", MODEL, "--size", "32", "--out", str(folder)]) == 1
    captured = capsys.readouterr().err
    assert captured.startswith("vit-engine: error: not enough memory")
    assert captured.endswith("smaller size.\n")
    assert captured.count("\n") == 1
    assert not folder.exists()


def test_ctrl_c_is_130_and_leaves_nothing(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ve, "attend", interrupted)
    folder = tmp_path / "results"
    assert main(["attend", str(picture), "--model", MODEL, "--size", "32", "--out", str(folder)]) == 130
    assert capsys.readouterr().err == "vit-engine: interrupted\n"
    assert not folder.exists()


def test_what_is_assumed_of_a_checkpoint_is_said_and_kept(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path, out = saved(tmp_path / "mine.pth", vit_state(class_names=("ant", "bee"))), tmp_path / "out"
    options = ["--model", str(path), "--heads", "3", "--size", "20", "--out", str(out), "--device", "cpu"]
    assert main(["attend", str(picture), *options]) == 0
    weights = json.loads((out / "run.json").read_text(encoding="utf-8"))["weights"]
    assert (weights["format"], weights["heads_from"]) == ("timm", "heads=, as asked for")
    assert any("ImageNet's mean and std" in sentence for sentence in weights["assumed"])
    told = capsys.readouterr().err
    for sentence in weights["assumed"]:
        assert f"note: assumed for the checkpoint, which does not state it: {sentence}" in told
