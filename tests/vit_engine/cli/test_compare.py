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
from tests.vit_engine.report.builders import FILES
from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.analysis.comparison import agreement_table, evaluate_pane, head_table
from vit_engine.analysis.comparison.pane import Pane
from vit_engine.analysis.comparison.results import Comparison
from vit_engine.cli import main
from vit_engine.cli.compare import ARCHIVE, agreement_in_words
from vit_engine.cli.panes import file_names
from vit_engine.image import pixels_sha256

ROOT = Path(__file__).parents[3]
PANES = ("demo_vit_p8:2:1", "random_vit_tiny_p16:-1:mean", "demo_vit_p8:5:max:raw:cls")
OPTIONS = ["--size", "48", "80", "--point", "0.4,0.9", "--reference", "B", "--keep", "45", "--seed", "7"]
DRAWN = ["--show", "difference", "--scale", "own", "--colours", "viridis", "--opacity", "40", "--clip", "97.5"]


def arguments(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--pane", text)]


@pytest.fixture(scope="session")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one run: two models, three panes, nothing as it is by default."""
    folder = tmp_path_factory.mktemp("compare") / "new" / "folder"
    options = [*OPTIONS, *DRAWN, "--statistic", "distance_px", "--all-layers", "--out", str(folder)]
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
        shown.append(
            evaluate_pane(number, pane, ve.attend(loaded, prepared), prepared.pixels, loaded.report, **options)
        )
    return Comparison(tuple(shown), (48, 80), reference="B", point=(0.4, 0.9), keep=0.45)


@pytest.fixture
def record(run: Path) -> dict[str, Any]:
    return json.loads((run / "run.json").read_text(encoding="utf-8"))


def test_compare_writes_all_files_and_nothing_else(run: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == FILES


def test_numbers_are_those_of_the_api(run: Path, expected: Comparison) -> None:
    with np.load(run / "maps.npz") as arrays:
        for one in expected.results:
            np.testing.assert_allclose(arrays[one.name], one.map.values, rtol=1e-4, atol=1e-8)
    for name, frame in (
        ("agreement.csv", agreement_table(expected)),
        ("side_by_side.csv", head_table(expected, "distance_px", all_layers=True)),
    ):
        pd.testing.assert_frame_equal(pd.read_csv(run / name), frame, rtol=1e-4, atol=1e-6, check_dtype=False)


def test_the_record_says_what_was_asked_for(record: dict[str, Any], run: Path, picture: Path) -> None:
    assert [one["pane"] for one in record["panes"]] == [
        "demo_vit_p8:2:1",
        "random_vit_tiny_p16:11:mean",
        "demo_vit_p8:5:max:raw:cls",
    ]
    assert [one["query"] for one in record["panes"]] == [[2, 9], [1, 4], "cls"]
    assert record["picture"]["size"] == record["picture"]["frame"] == [48, 80]
    assert record["picture"]["sha256"] == hashlib.sha256((run / "picture.png").read_bytes()).hexdigest()
    assert record["picture"]["pixels_sha256"] == pixels_sha256(np.asarray(ve.open_image(picture)))
    assert (record["reference"], record["point"], record["keep"]) == ("B", [0.4, 0.9], 0.45)
    assert (record["statistic"], record["all_layers"], record["link"]) == ("distance_px", True, "")
    assert record["look"] == {
        "show": "difference",
        "scale": "own",
        "colours": "viridis",
        "opacity": 0.4,
        "clip": 97.5,
        "zoom": None,
    }
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
        "show": "map",
        "scale": "shared",
        "colours": "inferno",
        "opacity": 0.65,
        "clip": 99.5,
        "zoom": None,
    }


def test_the_numbers_are_told_in_words(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(picture), *arguments(*PANES[:2]), *OPTIONS, "--out", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    row = json.loads((tmp_path / "run.json").read_text())["numbers"]["agreement"][0]
    assert captured.out.splitlines() == [
        "A: demo_vit_p8 · layer 2 · head 1 · query patch row 2, col 9",
        "B: random_vit_tiny_p16 · layer 11 · head mean · query patch row 1, col 4",
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
    options = [*OPTIONS, *DRAWN, "--statistic", "distance_px", "--all-layers", "--zip", "--out", str(tmp_path)]
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
    assert "note: cls_entropy_bits depends on the number of tokens: not comparable" in capsys.readouterr().err
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
            assert f"assumed for {model['model']}, which does not state it: {sentence}\n" in told


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
        "file:run.pth#student",
        "file:run.pth#teacher",
        "file:run.pth",
    ]


# Help first, which must import nothing of this; then what needs plotly, which is not there.
IMPORTS = """
import contextlib, io, json, sys
from vit_engine.cli import main

def run(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    imported = {"plotly", "matplotlib", "vit_engine.report"} & set(sys.modules)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "imported": sorted(imported)}

results = {name: run(name, "--help") for name in ("models", "attend")}
sys.modules["plotly"] = None
results |= {name: run(name, "a", *more) for name, more in json.loads(sys.argv[1]).items()}
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What commands do in a process that has imported nothing else, one after another."""
    out = tmp_path_factory.mktemp("imports") / "out"
    more = {"compare": [*arguments("demo_vit_p8:0", "demo_vit_p8:1"), "--out", str(out)], "reproduce": []}
    command_line = [sys.executable, "-c", IMPORTS, json.dumps(more)]
    done = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return {**json.loads(done.stdout), "written": out.exists()}


@pytest.mark.parametrize("command", ["compare", "reproduce"])
def test_without_plotly_it_is_said_in_one_line(command: str, imports: dict[str, Any]) -> None:
    result = imports[command]
    assert (result["code"], result["out"]) == (1, "")
    assert result["err"] == (
        f"vit-engine: error: {command} needs plotly, which is not installed: install the extra 'dashboard'.\n"
    )
    assert not imports["written"]


@pytest.mark.parametrize(
    ("command", "absent"), [("models", {"plotly", "matplotlib", "vit_engine.report"}), ("attend", {"plotly"})]
)
def test_other_commands_need_no_plotly_and_import_no_more_than_they_need(
    command: str, absent: set[str], imports: dict[str, Any]
) -> None:
    result = imports[command]
    assert (result["code"], result["err"]) == (0, "")
    assert not absent & set(result["imported"])


def test_a_module_that_should_be_there_is_not_called_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise ModuleNotFoundError(name="numpy")

    monkeypatch.setattr("importlib.import_module", broken)
    with pytest.raises(ModuleNotFoundError):
        main(["compare", "--help"])


def test_the_picture_in_the_bundle_has_the_pixels_of_the_file(run: Path, picture: Path) -> None:
    found, expected = ve.open_image(run / "picture.png"), ve.open_image(picture)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    with np.load(io.BytesIO((run / "maps.npz").read_bytes()), allow_pickle=False) as arrays:
        assert "A_minus_B" in arrays
