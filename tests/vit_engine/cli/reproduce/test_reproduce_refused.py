"""Bundles that cannot be used are one line, and lead nowhere."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import change, told
from vit_engine.cli import main
from vit_engine.report.archive import as_zip
from vit_engine.weights import weights_path


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


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ('{"method": "raw", "predictions": []}', "run.json is of one map, as `attend` and the page Explore write it: "),
        ('{"facet": "token"}', "run.json is of what tokens carry, as `features` writes it: reproduce takes the run."),
        ("{}", "run.json is of no comparison: reproduce takes the run.json, the zip or the folder of a comparison"),
    ],
)
def test_a_record_of_another_command_is_refused_by_its_kind(
    record: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text(record, encoding="utf-8")
    code, _, err = told(tmp_path, capsys)
    assert code == 1
    assert err.startswith(f"vit-engine: error: {message}")


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


def in_memory(folder: Path) -> None:
    """As if the first model had been a module, which no name leads to."""
    change(folder, "models", 0, "model", value="mine")
    change(folder, "models", 0, "weights", "container", value="module")
    change(folder, "panes", 0, "pane", value="mine:2:1")


def test_a_module_in_memory_is_asked_for_its_weights(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    in_memory(copied)
    code, lines, err = told(copied, capsys)
    assert (code, lines) == (1, [])
    assert "'mine' was a module in memory, and cannot be recomputed without its weights: save its state_dict()" in err


def test_a_module_whose_weights_are_passed_is_held_to_its_numbers(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sha256 of its tensors is no file's."""
    in_memory(copied)
    change(copied, "models", 0, "weights", "sha256", value="0" * 64)
    spec = next(spec for spec in ve.list_models() if spec.name == "demo_vit_p8")
    weights = weights_path(spec)
    lines = told(copied, capsys, "--checkpoint", f"mine={weights}")[1]
    checks = {line.partition(":")[0]: line for line in lines}
    assert "sha256" not in checks["model mine"]
    change(copied, "models", 0, "weights", "container", value="safetensors")
    assert "sha256" in next(
        line for line in told(copied, capsys, "--checkpoint", f"mine={weights}")[1] if "mine" in line
    )
