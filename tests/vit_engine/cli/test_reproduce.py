"""`reproduce` finds the same numbers in what `compare` wrote, and what was changed in it."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.weights.states import saved, vit_state
from vit_engine.cli import main
from vit_engine.cli.panes import Source, compared
from vit_engine.comparison import Comparison, Pane
from vit_report import check, record
from vit_report.bundle import as_npz, as_zip
from vit_report.check import ON_CPUS, WITH_GPU, agreement_limits, tolerance
from vit_report.recorded import read_record

PANES = ("demo_vit_p8:2:1", "demo_vit_p16:5:mean", "random_vit_tiny_p16:3:max:raw:0.9,0.1")
OPTIONS = ["--size", "48", "--point", "0.4,0.9", "--reference", "B", "--seed", "7", "--statistic", "distance_px"]


@pytest.fixture(scope="module", autouse=True)
def models() -> Iterator[None]:
    """Loads each model once for all these tests, and runs it once on each grid of a picture."""
    load, attend = ve.load_model, ve.attend
    loaded: dict[Any, ve.LoadedModel] = {}
    traces: dict[Any, ve.AttentionTrace] = {}

    def load_once(name: str, **options: Any) -> ve.LoadedModel:
        key = name, options["heads"], options["seed"]
        if key not in loaded:
            loaded[key] = load(name, **options)
        return loaded[key]

    def attend_once(model: ve.LoadedModel, prepared: ve.PreparedImage, **_: Any) -> ve.AttentionTrace:
        report = model.report
        key = report.source, report.sha256, report.part, report.seed, prepared.grid, prepared.sha256
        if key not in traces:
            traces[key] = attend(model, prepared)
        return traces[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ve, "load_model", load_once)
        patch.setattr(ve, "attend", attend_once)
        yield


@pytest.fixture(scope="module")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    panes = [part for text in PANES for part in ("--pane", text)]
    assert main(["compare", str(picture), *panes, *OPTIONS, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    """A bundle to change."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


def told(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str], str]:
    """The exit code, the lines, and what is on stderr."""
    capsys.readouterr()
    code = main(["reproduce", str(path), *options])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def change(folder: Path, *path: str | int, value: Any) -> None:
    whole = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    part = whole
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value(part[path[-1]]) if callable(value) else value
    (folder / "run.json").write_text(json.dumps(whole), encoding="utf-8")


CHECKS = [
    "picture",
    "model demo_vit_p8",
    "model demo_vit_p16",
    "model random_vit_tiny_p16",
    "pane A, map",
    "pane B, map",
    "pane C, map",
    "agreement B–A",
    "agreement B–C",
    "agreement A–C",
    "heads side by side",
    "agreement.csv and run.json",
    "heads.csv",
    "side_by_side.csv and run.json",
    "maps.npz, A",
    "maps.npz, B",
    "maps.npz, C",
    "maps.npz, A_minus_B",
    "maps.npz, C_minus_B",
    "maps.npz and the maps of run.json",
    "maps.npz and the agreement of run.json",
]


@pytest.mark.parametrize("form", ["folder", "record", "zip"])
def test_what_was_written_is_found_again(
    form: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = {"folder": run, "record": run / "run.json", "zip": tmp_path / "c.zip"}[form]
    if form == "zip":
        path.write_bytes(as_zip({file.name: file.read_bytes() for file in run.iterdir()}))
    code, lines, err = told(path, capsys)
    assert (code, err) == (0, "")
    names = [line.partition(": matches")[0].removesuffix("_heads") for line in lines[:-1]]
    assert [name.removesuffix("_grid") for name in names] == CHECKS
    assert lines[-1] == f"all {len(CHECKS)} match"


def test_the_record_and_the_picture_suffice(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in copied.iterdir():
        if file.suffix in {".csv", ".npz", ".html"}:
            file.unlink()
    code, lines, _ = told(copied / "run.json", capsys)
    assert code == 0
    assert [line.partition(": matches")[0] for line in lines[:-1]] == CHECKS[:11]


def larger(value: float) -> float:
    return value + 0.01


@pytest.mark.parametrize(
    ("path", "value", "check"),
    [
        (("numbers", "maps", 1, "sum"), larger, "pane B, map"),
        (("numbers", "maps", 0, "maximum"), lambda value: value * 1.01, "pane A, map"),
        (("numbers", "maps", 2, "entropy_bits"), larger, "pane C, map"),
        (("numbers", "maps", 2, "centre_y_px"), lambda value: value + 0.1, "pane C, map"),
        (("numbers", "maps", 2, "centre_x_px"), None, "pane C, map"),
        (("numbers", "agreement", 0, "pearson"), larger, "agreement B–A"),
        (("numbers", "agreement", 0, "spearman"), larger, "agreement B–A"),
        (("numbers", "agreement", 1, "jsd_bits"), larger, "agreement B–C"),
        (("numbers", "agreement", 1, "iou"), larger, "agreement B–C"),
        (("numbers", "agreement", 2, "shift_px"), lambda value: value + 0.1, "agreement A–C"),
        (("numbers", "agreement", 2, "first"), "D", "agreement A–C"),
        (("numbers", "agreement"), lambda rows: [*rows, rows[0]], "agreement"),
        (("numbers", "side_by_side", 1, "A"), lambda value: value + 0.1, "heads side by side"),
        (("numbers", "side_by_side", 2, "C − B"), lambda value: value + 0.1, "heads side by side"),
        (("numbers", "side_by_side", 2, "head"), 7, "heads side by side"),
        (("numbers", "side_by_side", 3, "C"), 0.0, "heads side by side"),
        (("models", 0, "weights", "sha256"), "0" * 64, "model demo_vit_p8"),
        (("models", 1, "preprocessing", "mean"), [0.5, 0.5, 0.5], "model demo_vit_p16"),
        (("models", 1, "spec", "norm_eps"), 1e-5, "model demo_vit_p16"),
        (("models", 2, "random"), False, "model random_vit_tiny_p16"),
        (("models", 2, "seed"), 8, "pane C, map"),
        (("panes", 0, "query"), [0, 0], "pane A, map"),
        (("panes", 0, "grid", "rows"), 7, "pane A, map"),
        (("panes", 0, "pane"), "demo_vit_p8:1:1", "pane A, map"),
        (("panes", 2, "pane"), "random_vit_tiny_p16:3:max:raw:0.1,0.9", "pane C, map"),
        (("point",), [0.1, 0.1], "pane A, map"),
        (("keep",), 0.5, "agreement B–A"),
        (("reference",), "A", "agreement"),
        (("picture", "frame"), [48, 68], "picture"),
        (("picture", "size"), 64, "pane A, map"),
    ],
)  # fmt: skip
def test_what_was_changed_in_the_record_is_found(
    path: tuple[str | int, ...], value: Any, check: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing but the record and the picture are there."""
    change(copied, *path, value=value)
    for name in ("maps.npz", "agreement.csv", "side_by_side.csv", "heads.csv"):
        (copied / name).unlink()
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert any(line.startswith(check) and "DOES NOT MATCH" in line for line in lines)
    assert lines[-1].endswith(f"of {len(lines) - 1} do not match")


def test_numbers_too_close_for_other_machines_are_compared_with_the_bundles_own(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copied, "numbers", "agreement", 0, "pearson", value=lambda value: value + 2e-5)
    change(copied, "numbers", "side_by_side", 0, "A", value=lambda value: value + 2e-4)
    change(copied, "numbers", "maps", 0, "sum", value=lambda value: value + 2e-6)
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert [line.partition(":")[0] for line in lines if "DOES NOT MATCH" in line] == [
        "agreement.csv and run.json",
        "side_by_side.csv and run.json",
        "maps.npz and the maps of run.json",
        "maps.npz and the agreement of run.json",
    ]


def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "maps.npz", allow_pickle=False) as found:
        return dict(found)


@pytest.mark.parametrize("name", ["A", "B_heads", "C_grid", "A_minus_B", "C_minus_B_grid"])
def test_what_was_changed_in_the_maps_is_found(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = arrays(copied)
    found[name].flat[-1] += np.array(0.01 if found[name].dtype == np.float32 else 1).astype(found[name].dtype)
    (copied / "maps.npz").write_bytes(as_npz(found))
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert any(line.startswith(f"maps.npz, {name}: DOES NOT MATCH") for line in lines)


def test_a_map_that_is_gone_is_said(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = arrays(copied)
    del found["C_heads"]
    (copied / "maps.npz").write_bytes(as_npz(found))
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert "maps.npz, C_heads: DOES NOT MATCH: is not there, or no float32 (3, 3, 4)" in lines


@pytest.mark.parametrize("name", ["agreement.csv", "side_by_side.csv", "heads.csv"])
def test_what_was_changed_in_a_table_is_found(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.read_csv(copied / name)
    column = frame.columns[-1]
    frame[column] = frame[column] * 1.01
    frame.to_csv(copied / name, index=False)
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert [line for line in lines if line.startswith(name) and "DOES NOT MATCH" in line]


def test_another_picture_is_said_and_nothing_is_run(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ve, "attend", lambda *_, **__: pytest.fail("a run was begun"))
    Image.new("RGB", (70, 50), "red").save(copied / "picture.png")
    code, lines, err = told(copied, capsys)
    assert (code, err) == (1, "")
    assert lines[0].startswith("picture: DOES NOT MATCH: its sha256 is ")
    assert lines[1:] == ["1 of 1 do not match"]


def test_a_picture_that_is_gone_is_asked_for(copied: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "picture.png").unlink()
    code, lines, err = told(copied, capsys)
    assert (code, lines) == (1, [])
    assert err.count("\n") == 1
    assert "pass --image PATH. Its sha256 is " in err
    assert told(copied, capsys, "--image", str(picture))[0] == 0
    assert "missing.png" in told(copied, capsys, "--image", "missing.png")[2]


def test_other_weights_are_said_and_so_is_what_they_change(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (
        saved(tmp_path / f"{seed}.pth", {"student": vit_state(seed=seed), "teacher": vit_state(seed=9)})
        for seed in (1, 2)
    )
    panes = ["--pane", f"{first}#student:1:2", "--pane", "demo_vit_p8:0"]
    out = tmp_path / "out"
    assert main(["compare", str(picture), *panes, "--heads", "3", "--size", "48", "--out", str(out)]) == 0
    name = "file:1.pth#student"
    code, lines, err = told(out, capsys)
    assert (code, lines) == (1, [])
    assert f"pass --checkpoint '{name}=PATH'. Its sha256 is " in err
    for path in (str(first), f"{first}#student"):
        code, lines, err = told(out, capsys, "--checkpoint", f"{name}={path}")
        assert (code, err, lines[-1]) == (0, "", "all 15 match")
    code, lines, err = told(out, capsys, "--checkpoint", f"{name}={second}")
    assert code == 1
    wrong = [line for line in lines if "NOT MATCH" in line]
    assert wrong[0].startswith(f"model {name}: DOES NOT MATCH: the weights' sha256 is ")
    for what in ("pane A, map", "heads.csv", "maps.npz, A"):
        assert any(line.startswith(what) for line in wrong), what
    assert not any(line.startswith("pane B") for line in wrong)


def test_other_versions_are_noted_and_no_mismatch(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(copied, "versions", "torch", value="1.0.0")
    change(copied, "versions", "vit_engine", value="0.0.1")
    code, _, err = told(copied, capsys)
    assert code == 0
    assert "note: torch was 1.0.0 then, 2." in err
    assert f"note: vit_engine was 0.0.1 then, {ve.__version__} now" in err
    assert err.count("\n") == 2


def test_json_is_all_of_stdout(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["reproduce", str(copied), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["matches"] is True
    assert [one["matches"] for one in document["checks"]] == [True] * len(CHECKS)
    change(copied, "numbers", "agreement", 0, "iou", value=larger)
    assert main(["reproduce", str(copied), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["matches"] is False
    assert next(one["what"] for one in document["checks"] if not one["matches"]) == "agreement B–A"


def test_panes_that_were_left_out_stay_out(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where the page could not show one of them."""
    change(copied, "panes", value=lambda panes: [panes[1], panes[2]])
    for part in ("maps", "agreement"):
        change(copied, "numbers", part, value=lambda rows: [row for row in rows if "A" not in row.values()])
    for name in ("maps.npz", "agreement.csv", "side_by_side.csv", "heads.csv"):
        (copied / name).unlink()
    _, lines, _ = told(copied, capsys)
    wrong = [line.partition(":")[0] for line in lines if "NOT MATCH" in line]
    assert wrong == ["heads side by side"]  # which has the columns of three panes still
    assert [line.partition(",")[0] for line in lines if line.startswith("pane")] == ["pane B", "pane C"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "run.json").unlink(), "run.json of"),
        (lambda folder: (folder / "run.json").write_text("{"), "no JSON"),
        (lambda folder: (folder / "run.json").write_text("[" * 200_000), "no JSON"),
        (lambda folder: change(folder, "format", value="other"), "format 'vit-comparison'"),
        (lambda folder: change(folder, "picture", "file", value="../picture.png"), "file of picture"),
        (lambda folder: change(folder, "models", 0, "model", value="other"), "'demo_vit_p8' is not there"),
        (lambda folder: change(folder, "panes", 0, "pane", value="demo_vit_p8:6:1"), "layer must be in 0..5"),
        (lambda folder: change(folder, "panes", 0, "pane", value="demo_vit_p8:2:4"), "head must be in 0..3"),
        (lambda folder: change(folder, "picture", "size", value=99_999), "smaller size"),
        (lambda folder: change(folder, "keep", value=3), "share of the mass"),
        (lambda folder: (folder / "maps.npz").write_bytes(b"\x80\x04."), "maps.npz cannot be read"),
        (lambda folder: (folder / "heads.csv").write_bytes(b""), "heads.csv is no table"),
    ],
)
def test_a_bundle_that_cannot_be_used_is_one_line(
    spoil: Callable[[Path], object], message: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(copied)
    code, lines, err = told(copied, capsys)
    assert (code, lines) == (1, [])
    assert err.startswith("vit-engine: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_zip_may_not_lead_outside(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of other names in it are neither read nor written."""
    path = tmp_path / "inner" / "c.zip"
    path.parent.mkdir()
    path.write_bytes(as_zip({file.name: file.read_bytes() for file in run.iterdir()} | {"../escaped": b"", "/a": b""}))
    assert told(path, capsys)[0] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["inner"]
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert "../escaped" in archive.namelist()


@pytest.mark.parametrize("text", ["path", "=path", "name="])
def test_wrong_usage_is_exit_code_2(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "run.json", "--checkpoint", text]) == 2
    assert "expected MODEL=PATH" in capsys.readouterr().err


def test_nothing_at_the_path_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = told(tmp_path / "none", capsys)
    assert code == 1
    assert "is not there; expected a run.json" in err


@pytest.fixture(scope="module")
def again(run: Path) -> Comparison:
    """The first two panes, made anew."""
    panes = {number: Pane.parse(text) for number, text in enumerate(PANES[:2])}
    sources = {pane.model: Source(pane.model) for pane in panes.values()}
    return compared(
        panes, sources, ve.open_image(run / "picture.png"), size=48, point=(0.4, 0.9), reference="B", keep=0.6,
        device="cpu", progress=lambda fraction, message: None,
    )  # fmt: skip


def test_rounding_of_another_machine_is_within_the_tolerance_and_more_is_not(again: Comparison) -> None:
    """Three times what float32 was measured to round passes every check of agreement, a thousand times not."""
    limits = agreement_limits(again, check.agreement_table(again), ON_CPUS)[0]
    made = check.agreement_table(again).iloc[0]
    noise = np.random.default_rng(5)
    for size, passes in ((0.1, True), (50, False)):
        moved = check.agreement_table(
            replace(again, shown=tuple(_moved(one, size * ON_CPUS, noise) for one in again.shown))
        ).iloc[0]
        assert all(abs(moved[name] - made[name]) <= limit for name, limit in limits.items()) == passes


def _moved(one: Any, size: float, noise: np.random.Generator) -> Any:
    values = one.map.values * (1 + size * noise.uniform(-1, 1, one.map.values.shape))
    return replace(one, map=replace(one.map, values=values.astype(np.float32)))


def test_where_a_gpu_takes_part_more_is_allowed(run: Path, again: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = read_record((run / "run.json").read_bytes())
    assert tolerance(recorded, again) == ON_CPUS
    assert tolerance(replace(recorded, device="cuda:0"), again) == WITH_GPU
    monkeypatch.setattr(check, "device_of", lambda one: "cuda:0")
    assert tolerance(recorded, again) == WITH_GPU
    assert record.device_of(again.shown[0]) == "cpu"
