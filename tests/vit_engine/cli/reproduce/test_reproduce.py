"""`reproduce` finds the same numbers in what `compare` wrote."""

import json
from pathlib import Path

import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import CHECKS, change, larger, told
from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.cli import main
from vit_engine.report.archive import as_zip


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


def test_another_picture_is_said_and_nothing_is_run(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ve, "attend", lambda *_, **__: pytest.fail("a run was begun"))
    Image.new("RGB", (70, 50), "red").save(copied / "picture.png")
    code, lines, err = told(copied, capsys)
    assert (code, err) == (1, "")
    assert lines[0].startswith("picture: DOES NOT MATCH: the sha256 of its pixels is ")
    assert lines[1:] == ["1 of 1 do not match"]


def test_a_picture_that_is_gone_is_asked_for(copied: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / "picture.png").unlink()
    code, lines, err = told(copied, capsys)
    assert (code, lines) == (1, [])
    assert err.count("\n") == 1
    assert "pass --image PATH. The sha256 of its pixels is " in err
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
