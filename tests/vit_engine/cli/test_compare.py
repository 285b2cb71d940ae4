"""`compare` writes what the API gives for the same panes, whole or not at all."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vit_engine as ve
from tests.vit_engine.weights.states import saved, vit_state
from vit_engine.cli import main
from vit_engine.cli.compare import ARCHIVE, agreement_in_words
from vit_engine.cli.panes import file_names
from vit_engine.comparison import agreement_table, head_table, show
from vit_engine.comparison.pane import Pane
from vit_engine.comparison.shown import Comparison
from vit_engine.planning import BUDGET_VARIABLE

ROOT = Path(__file__).parents[3]
PANES = ("demo_vit_p8:2:1", "random_vit_tiny_p16:-1:mean", "demo_vit_p8:5:max:raw:cls")
FILES = [
    "agreement.csv",
    "comparison.html",
    "comparison.png",
    "heads.csv",
    "maps.npz",
    "picture.png",
    "run.json",
    "side_by_side.csv",
]
OPTIONS = ["--size", "48", "80", "--point", "0.4,0.9", "--reference", "B", "--keep", "45", "--seed", "7"]


def arguments(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--pane", text)]


@pytest.fixture(scope="session")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run: two models, three panes, nothing as it is by default."""
    folder = tmp_path_factory.mktemp("compare") / "new" / "folder"
    drawn = ["--show", "difference", "--scale", "own", "--colours", "viridis", "--opacity", "40", "--clip", "97.5"]
    options = [*OPTIONS, *drawn, "--statistic", "distance_px", "--all-layers", "--out", str(folder)]
    assert main(["compare", *arguments(*PANES), *options, str(picture)]) == 0
    return folder


@pytest.fixture(scope="session")
def expected(picture: Path) -> Comparison:
    """What the Python API gives for the same panes."""
    shown = []
    for number, text in enumerate(PANES):
        pane = Pane.parse(text)
        loaded = ve.load_model(pane.model, seed=7)
        prepared = ve.prepare_image(ve.open_image(picture), loaded.spec, size=(48, 80))
        options: dict[str, Any] = {"frame": (48, 80), "point": (0.4, 0.9)}
        shown.append(show(number, pane, ve.attend(loaded, prepared), prepared.pixels, loaded.report, **options))
    return Comparison(tuple(shown), (48, 80), reference="B", point=(0.4, 0.9), keep=0.45)


@pytest.fixture
def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text(encoding="utf-8"))


def test_compare_writes_all_files_and_nothing_else(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == FILES


def test_numbers_are_those_of_the_api(run: Path, expected: Comparison) -> None:
    with np.load(run / "maps.npz") as arrays:
        for one in expected.shown:
            np.testing.assert_allclose(arrays[one.name], one.map.values, rtol=1e-4, atol=1e-8)
    for name, frame in (
        ("agreement.csv", agreement_table(expected)),
        ("side_by_side.csv", head_table(expected, "distance_px", all_layers=True)),
    ):
        pd.testing.assert_frame_equal(pd.read_csv(run / name), frame, rtol=1e-4, atol=1e-6, check_dtype=False)


def test_the_record_says_what_was_asked_for(record: dict[str, Any], picture: Path) -> None:
    assert [one["pane"] for one in record["panes"]] == [
        "demo_vit_p8:2:1", "random_vit_tiny_p16:11:mean", "demo_vit_p8:5:max:raw:cls",
    ]  # fmt: skip
    assert [one["query"] for one in record["panes"]] == [[2, 9], [1, 4], "cls"]
    assert record["picture"]["size"] == record["picture"]["frame"] == [48, 80]
    assert record["picture"]["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    assert (record["reference"], record["point"], record["keep"]) == ("B", [0.4, 0.9], 0.45)
    assert (record["statistic"], record["all_layers"], record["link"]) == ("distance_px", True, "")
    assert record["look"] == {
        "show": "difference", "scale": "own", "colours": "viridis", "opacity": 0.4, "clip": 97.5, "zoom": None,
    }  # fmt: skip
    assert [(one["model"], one["seed"]) for one in record["models"]] == [
        ("demo_vit_p8", None),
        ("random_vit_tiny_p16", 7),
    ]


def test_what_is_not_said_is_as_on_the_page(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("demo_vit_p16:5", "demo_vit_p16:0:2")
    assert main(["compare", str(picture), *arguments(*texts), "--out", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sorted(document["files"]) == FILES
    assert all(Path(path).exists() for path in document["files"].values())
    assert (document["reference"], document["point"], document["keep"]) == ("A", None, 0.6)
    assert document["picture"]["size"] == 224
    assert (document["statistic"], document["all_layers"]) == ("cls_entropy_normalised", False)
    assert document["look"] == {
        "show": "map", "scale": "shared", "colours": "inferno", "opacity": 0.65, "clip": 99.5, "zoom": None,
    }  # fmt: skip


def test_the_numbers_are_told_in_words(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(picture), *arguments(*PANES[:2]), *OPTIONS, "--out", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    row = json.loads((tmp_path / "run.json").read_text())["numbers"]["agreement"][0]
    assert captured.out.splitlines() == [
        "A: demo_vit_p8 · layer 2 · head 1 · query patch 2, 9",
        "B: random_vit_tiny_p16 · layer 11 · head mean · query patch 1, 4",
        f"B–A: Pearson {row['pearson']:.3f}, Spearman {row['spearman']:.3f}, JSD {row['jsd_bits']:.3f} bits, "
        f"IoU of 45 % of the mass {row['iou']:.3f}, centre shift {row['shift_px']:.1f} px",
        *(str(tmp_path / name) for name in FILES),
    ]
    assert captured.err == ("vit-engine: note: RANDOM WEIGHTS (seed 7): Random ViT-Ti/16 has not been trained.\n")


def test_what_has_no_number_is_a_dash() -> None:
    row = {"first": "A", "second": "C", "pearson": None, "spearman": -0.5, "jsd_bits": 0.25, "iou": None}
    assert agreement_in_words({**row, "shift_px": 12.34}, 0.6) == (
        "A–C: Pearson –, Spearman -0.500, JSD 0.250 bits, IoU of 60 % of the mass –, centre shift 12.3 px"
    )


def test_a_zip_holds_the_same_files(picture: Path, run: Path, tmp_path: Path) -> None:
    drawn = ["--show", "difference", "--scale", "own", "--colours", "viridis", "--opacity", "40", "--clip", "97.5"]
    options = [*OPTIONS, *drawn, "--statistic", "distance_px", "--all-layers", "--zip", "--out", str(tmp_path)]
    assert main(["compare", str(picture), *arguments(*PANES), *options]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]
    with zipfile.ZipFile(tmp_path / ARCHIVE) as archive:
        assert archive.namelist() == FILES
        for name in ("picture.png", "run.json"):
            assert archive.read(name) == (run / name).read_bytes()


def test_each_model_is_loaded_once_and_let_go_before_the_next(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    load, attend = ve.load_model, ve.attend
    monkeypatch.setattr(ve, "load_model", lambda *a, **o: events.append(f"load {a[0]}") or load(*a, **o))
    monkeypatch.setattr(ve, "attend", lambda *a, **o: events.append(f"run {a[0].spec.name}") or attend(*a, **o))
    texts = ("demo_vit_p8:0", "demo_vit_p16:1", "demo_vit_p8:2", "demo_vit_p8:0:3")
    assert main(["compare", str(picture), *arguments(*texts), "--size", "48", "--out", str(tmp_path)]) == 0
    assert events == ["load demo_vit_p8", "run demo_vit_p8", "load demo_vit_p16", "run demo_vit_p16"]


def test_statistics_that_do_not_compare_are_noted(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--size", "48", "--statistic", "cls_entropy_bits", "--out", str(tmp_path)]
    assert main(["compare", str(picture), *arguments("demo_vit_p8:0", "demo_vit_p16:0"), *options]) == 0
    assert "note: cls_entropy_bits means another thing in each of these token counts" in capsys.readouterr().err
    assert main(["compare", str(picture), *arguments("demo_vit_p8:0", "demo_vit_p8:1"), *options]) == 0
    assert capsys.readouterr().err == ""


def test_checkpoints_are_panes_too_under_their_files_names(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = saved(tmp_path / "a" / "last.pth", vit_state(seed=1))
    second = saved(tmp_path / "b" / "last.pth", vit_state(seed=2, dim=24))
    out = tmp_path / "out"
    heads = ["--heads", "3", "--heads", f"{second}=6"]
    options = [*arguments(f"{first}:1", f"{second}:0:5"), *heads, "--size", "20", "--out", str(out)]
    assert main(["compare", str(picture), *options]) == 0
    record = json.loads((out / "run.json").read_text())
    assert [one["pane"] for one in record["panes"]] == ["file:a/last.pth:1:mean", "file:b/last.pth:0:5"]
    assert [one["title"] for one in record["models"]] == ["a/last.pth", "b/last.pth"]
    assert [one["spec"]["heads"] for one in record["models"]] == [3, 6]
    assert [one["weights"]["source"] for one in record["models"]] == ["file:a/last.pth", "file:b/last.pth"]
    for model, path in zip(record["models"], (first, second), strict=True):
        assert model["weights"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in out.iterdir())
    told = capsys.readouterr().err
    for model in record["models"]:
        assert model["weights"]["assumed"]
        for sentence in model["weights"]["assumed"]:
            assert f"assumed of {model['model']}, because nothing says it: {sentence}\n" in told


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/run/last.pth"], ["file:last.pth"]),
        (
            ["/x/a/last.pth", "/x/b/last.pth", "/x/b/first.pth"],
            ["file:a/last.pth", "file:b/last.pth", "file:first.pth"],
        ),
        (["/x/a/c/last.pth", "/x/b/c/last.pth"], ["file:a/c/last.pth", "file:b/c/last.pth"]),
    ],
)
def test_files_are_named_by_as_many_folders_as_tell_them_apart(paths: list[str], names: list[str]) -> None:
    assert list(file_names(paths).values()) == names


def test_parts_of_one_file_are_told_apart(tmp_path: Path) -> None:
    path = saved(tmp_path / "run.pth", {"student": vit_state()})
    assert list(file_names([f"{path}#student", f"{path}#teacher", str(path)]).values()) == [
        "file:run.pth#student", "file:run.pth#teacher", "file:run.pth",
    ]  # fmt: skip


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run."""
    monkeypatch.setattr(ve, "attend", lambda *_, **__: pytest.fail("a run was begun"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["missing.png"], "'missing.png' cannot be read"),
        ([__file__], "not a picture"),
        (["{picture}", "--pane", "demo_vit_p17:0"], "did you mean 'demo_vit_p1"),
        (["{picture}", "--pane", "demo_vit_p16"], "a pane is MODEL:LAYER"),
        (["{picture}", "--pane", "demo_vit_p16:6"], "layer must be in 0..5"),
        (["{picture}", "--pane", "demo_vit_p16:5:4"], "head must be in 0..3"),
        (["{picture}", "--pane", "demo_vit_p16:5:median"], "median"),
        (["{picture}", "--pane", "demo_vit_p16:5:mean:rawest"], "rawest"),
        (["{picture}", "--pane", "demo_vit_p16:5:mean:raw:0.5,1.5"], "0..1"),
        (["{picture}", "--pane", "missing.pth:5"], "missing.pth"),
        (["{picture}", *arguments(*["demo_vit_p16:0"] * 7)], "2..8 panes; got 9"),
        (["{picture}", "--reference", "C"], "reference must be one of A, B; got 'C'"),
        (["{picture}", "--statistic", "layer"], "statistic must be one of cls_entropy_nats"),
        (["{picture}", "--show", "picture"], "show must be one of map, difference, mask"),
        (["{picture}", "--scale", "global"], "scale must be one of"),
        (["{picture}", "--colours", "jet"], "colours must be one of"),
        (["{picture}", "--clip", "0"], "clip"),
        (["{picture}", "--heads", "demo_vit_p16=4"], "must name a checkpoint of one of the panes: there is none"),
        (["{picture}", "--device", "quantum"], "quantum"),
        (["{picture}", "--device", "xpu"], "cannot use device 'xpu' on this machine"),
        (["{picture}", "--size", "8"], "16 px"),
        (["{picture}", "--size", "99999999"], "smaller size"),
        (["{picture}", "--out", f"{__file__}/results"], "Not a directory"),
    ],
)
@pytest.mark.usefixtures("no_run")
def test_what_cannot_be_is_one_line_before_anything_runs(
    options: list[str], message: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    fixed = ["--size", "32", "--out", str(folder), *arguments("demo_vit_p16:0", "demo_vit_p8:0")]
    assert main(["compare", *fixed, *(option.format(picture=picture) for option in options)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vit-engine: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not folder.exists()


@pytest.mark.usefixtures("no_run")
def test_what_does_not_fit_the_memory_is_said_before_anything_runs(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second model does not; the first would."""
    texts = ("demo_vit_p16:0", "demo_vit_p8:0")
    specs = {spec.name: spec for spec in ve.list_models()}
    small, large = (ve.estimate(specs[text[:-2]], (224, 304), device="cpu").peak_bytes for text in texts)
    assert small < large
    monkeypatch.setenv(BUDGET_VARIABLE, str((small + large) // 2))
    options = ["--size", "224", "304", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(["compare", str(picture), *arguments(*texts), *options]) == 1
    assert "a run must fit the memory budget" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_say_its_heads_asks_for_them(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "mine.pth", vit_state())
    options = arguments(f"{path}:0", "demo_vit_p8:0")
    assert main(["compare", str(picture), *options, "--out", str(tmp_path / "out")]) == 1
    assert f"pass --heads {path}=N" in capsys.readouterr().err


def test_one_pane_is_no_comparison(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(picture), "--pane", "demo_vit_p8:0", "--out", str(tmp_path)]) == 1
    assert "needs 2..8 panes; got 1. Pass --pane once for each." in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--point", "0.5"],
        ["--point", "0.5,1.5"],
        ["--point", "a,b"],
        ["--point", "nan,0.5"],
        ["--keep", "101"],
        ["--keep", "half"],
        ["--opacity", "-1"],
        ["--heads", "a=0"],
        ["--clip", "most"],
    ],
)
def test_wrong_usage_is_exit_code_2(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fixed = ["a.png", *arguments("demo_vit_p8:0", "demo_vit_p8:1"), "--out", "results"]
    assert main(["compare", *fixed, *options]) == 2
    assert "usage: vit-engine compare" in capsys.readouterr().err


def test_a_failure_leaves_earlier_results_as_they_were(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "maps.npz")

    (tmp_path / "run.json").write_text("earlier")
    monkeypatch.setattr("vit_report.bundle.write_bundle", full)
    fixed = [*arguments("demo_vit_p8:0", "demo_vit_p8:1"), "--size", "48", "--out", str(tmp_path)]
    assert main(["compare", str(picture), *fixed]) == 1
    assert capsys.readouterr().err == "vit-engine: error: maps.npz: No space left on device.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "earlier"


@pytest.mark.parametrize("command", ["compare", "reproduce"])
def test_without_plotly_it_is_said_in_one_line(command: str, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['plotly'] = None; from vit_engine.cli import main; "
        f"sys.exit(main([{command!r}, 'a', *sys.argv[1:]]))"
    )
    options = [*arguments("demo_vit_p8:0", "demo_vit_p8:1"), "--out", str(tmp_path / "out")]
    command_line = [sys.executable, "-c", code, *(options if command == "compare" else [])]
    done = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "vit-engine: error: comparisons are drawn with Plotly, which is not installed: install the extra "
        "'dashboard', or plotly.\n"
    )
    assert not (tmp_path / "out").exists()


def test_other_commands_need_no_plotly() -> None:
    code = "import sys, vit_engine.cli; assert not {'plotly', 'vit_report'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_picture_in_the_bundle_is_the_file_as_it_is(run: Path, picture: Path) -> None:
    assert (run / "picture.png").read_bytes() == picture.read_bytes()
    with np.load(io.BytesIO((run / "maps.npz").read_bytes()), allow_pickle=False) as arrays:
        assert "A_minus_B" in arrays
