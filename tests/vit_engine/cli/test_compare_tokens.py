"""`compare` with panes of tokens, its check of memory, and `reproduce` of what it wrote."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import change, told
from vit_engine.analysis.methods import METHODS, TOKEN_METHODS
from vit_engine.analysis.tokens.layers import layers_pca
from vit_engine.analysis.tokens.pca import PcaMap
from vit_engine.cli import main, pane_runs
from vit_engine.grid import TokenGrid
from vit_engine.image import target_size
from vit_engine.planning import estimates
from vit_engine.report.archive import as_npz
from vit_engine.report.reproduction.check import turned

TOKENS = ("demo_vit_p8:3:mean:similarity", "demo_vit_p16:3:mean:similarity", "demo_vit_p8:2:mean:pca")
PANES = (*TOKENS, "demo_vit_p8:5:mean:pca", "demo_vit_p8:3:mean")
OPTIONS = ["--size", "96", "--point", "0.4,0.5"]


def arguments(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--pane", text)]


def test_the_help_names_every_method_of_a_pane(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    names = ", ".join(method.name for method in (*METHODS, *TOKEN_METHODS))
    assert f"METHOD {names}; QUERY shared, cls, Y,X or TOP,LEFT,BOTTOM,RIGHT" in words


@pytest.fixture(scope="module")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    assert main(["compare", str(picture), *arguments(*PANES), *OPTIONS, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture(scope="module")
def features(picture: Path) -> ve.Features:
    return ve.features("demo_vit_p8", str(picture), size=96)


def test_panes_are_what_the_api_gives(run: Path, features: ve.Features) -> None:
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    query = tuple(record["panes"][0]["query"])
    with np.load(run / "maps.npz") as found:
        np.testing.assert_allclose(found["A"], ve.similarity_map(features, query, layer=3).values, atol=1e-6)
        for name, layer in (("C", 2), ("D", 5)):
            expected = layers_pca(features, (2, 5))[layer]
            np.testing.assert_allclose(found[f"{name}_rgb"], expected.rgb, atol=1e-5)
            np.testing.assert_allclose(found[f"{name}_components"], expected.components, atol=1e-5)


def test_what_was_written_is_recomputed_and_held(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = told(run, capsys)
    assert code == 0, lines
    checks = [line.split(": ")[0] for line in lines]
    assert {"pane C, map", "agreement A–C", "maps.npz, B_minus_A", "maps.npz, C_grid"} <= set(checks)
    assert any(line.startswith(("maps.npz, C:", "maps.npz, C_rgb:", "maps.npz, C_components:")) for line in lines)


@pytest.mark.parametrize(("part", "value"), [("pane", "demo_vit_p8:2:3:pca"), ("query", "cls")])
def test_a_head_or_a_query_that_earlier_records_had_of_components_is_no_difference(
    copied: Path, capsys: pytest.CaptureFixture[str], part: str, value: str
) -> None:
    change(copied, "panes", 2, part, value=value)
    code, lines, _ = told(copied, capsys)
    assert code == 0, lines


def test_another_query_of_a_similarity_is_a_difference(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(copied, "panes", 0, "query", value="cls")
    assert told(copied, capsys)[0] == 1


@pytest.mark.parametrize(
    ("name", "place", "check"),
    [
        ("A", (3, 4), "maps.npz, A"),
        ("C", (3, 4), "maps.npz, C"),
        ("C_components", (1, 3, 4), "maps.npz, C_components"),
        ("D_components", (0, 0, 0), "maps.npz, D_components"),
        ("D_rgb", (3, 4, 2), "maps.npz, D_rgb"),
    ],
)
def test_a_changed_array_is_found(
    name: str, place: tuple[int, ...], check: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(copied / "maps.npz") as found:
        changed = {key: found[key].copy() for key in found.files}
    changed[name][place] += 0.2
    (copied / "maps.npz").write_bytes(as_npz(changed))
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert any(line.startswith(check) and "DOES NOT MATCH" in line for line in lines), lines


def test_a_flipped_component_is_found_for_signs_are_fixed(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(copied / "maps.npz") as found:
        changed = {key: found[key].copy() for key in found.files}
    changed["C_components"][2] *= -1
    (copied / "maps.npz").write_bytes(as_npz(changed))
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert any(line.startswith("maps.npz, C_components: DOES NOT MATCH") for line in lines)


@pytest.mark.parametrize(
    ("path", "value", "check"),
    [
        (("numbers", "maps", 0, "mean"), lambda value: value + 0.01, "pane A, map"),
        (("numbers", "maps", 2, "explained"), lambda value: value + 0.01, "pane C, map"),
        (("numbers", "agreement", 0, "pearson"), lambda value: value + 0.01, "agreement A–B"),
        (("numbers", "agreement", 0, "jsd_bits"), 0.5, "agreement A–B"),
        (("panes", 2, "pane"), "demo_vit_p8:3:mean:pca", "pane C, map"),
    ],
)
def test_a_changed_record_is_found(
    path: tuple[str | int, ...], value: object, check: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copied, *path, value=value)
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert any(line.startswith(check) and "DOES NOT MATCH" in line for line in lines), lines


def test_components_may_turn_as_far_as_the_gap_between_them_lets_them() -> None:
    """Errors of a thousandth turn a component by that times 0.5 / gap; where the gap is that small, wholly."""
    grid = TokenGrid(0, 1, 1, 8)
    rgb, components = np.zeros((1, 1, 3), np.float32), np.zeros((3, 1, 1), np.float32)
    pca = PcaMap(components, rgb, (0.5, 0.2, 0.1), None, grid, "", gaps=(0.25, 0.05, 1e-7))
    assert turned(pca, 1e-3) == pytest.approx((0.003, 0.011, 1.0))


def test_what_the_tokens_take_is_counted_before_anything_runs(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that is enough for the attention, and a byte short of its trace with the tokens."""
    image, spec = ve.open_image(picture), ve.load_model("demo_vit_p8").spec
    grid = spec.cropped_grid(*target_size((image.height, image.width), spec, 1024))
    attention, tokens = ve.estimate(spec, grid), ve.estimate(spec, grid, statistics="none", facet="token")
    needed = attention.kept_bytes + tokens.peak_bytes
    assert attention.peak_bytes < needed, "or attention would be refused first"
    monkeypatch.setattr(ve, "attend", lambda *_, **__: pytest.fail("a run was begun"))
    monkeypatch.setattr(estimates, "memory_budget", lambda device: needed - 1)
    fixed = ["compare", str(picture), "--size", "1024", "--out", str(tmp_path / "out")]
    assert main([*fixed, *arguments("demo_vit_p8:3:mean", TOKENS[0])]) == 1
    assert "a run must fit the memory budget" in capsys.readouterr().err
    monkeypatch.setattr(estimates, "memory_budget", lambda device: needed)
    monkeypatch.setattr(pane_runs, "evaluate_pane", None)
    monkeypatch.setattr(ve, "attend", _stopped)
    assert main([*fixed, *arguments("demo_vit_p8:3:mean", TOKENS[0])]) == 1
    assert "stopped" in capsys.readouterr().err


def _stopped(*_: object, **__: Mapping[str, object]) -> ve.AttentionTrace:
    raise ve.SpecError("stopped")


def test_a_pane_that_is_no_method_is_told_with_all_that_there_are(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    panes = arguments("demo_vit_p8:3:mean:pcs", "demo_vit_p8:3")
    assert main(["compare", str(picture), *panes, "--out", str(tmp_path)]) == 1
    assert "did you mean 'pca'? There are: raw, column, " in capsys.readouterr().err
