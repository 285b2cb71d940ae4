"""What was changed in a bundle is found; what other machines round is let through."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import PANES, change, larger, told
from vit_engine.analysis.comparison import Comparison, Pane
from vit_engine.cli.pane_runs import compared
from vit_engine.cli.panes import PaneModel
from vit_engine.report import record
from vit_engine.report.archive import as_npz
from vit_engine.report.reproduction import check
from vit_engine.report.reproduction.check import ON_CPUS, WITH_GPU, agreement_limits, tolerance
from vit_engine.report.reproduction.recorded import read_record


def _hidden(model: dict[str, Any]) -> dict[str, Any]:
    """Another mean, and the right one where it does not belong."""
    means = {"preprocessing": [0.5, 0.5, 0.5], "spec": model["preprocessing"]["mean"]}
    return model | {part: model[part] | {"mean": mean} for part, mean in means.items()}


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
        (("models", 1), _hidden, "model demo_vit_p16"),
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
)
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
    column = frame.columns[-2 if name == "heads.csv" else -1]  # the last of heads.csv is counted in whole queries
    frame[column] = frame[column] * 1.01
    frame.to_csv(copied / name, index=False)
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert [line for line in lines if line.startswith(name) and "DOES NOT MATCH" in line]


@pytest.fixture(scope="module")
def again(run: Path) -> Comparison:
    """The first two panes, made anew."""
    panes = {number: Pane.parse(text) for number, text in enumerate(PANES[:2])}
    sources = {pane.model: PaneModel(pane.model) for pane in panes.values()}
    return compared(
        panes,
        sources,
        ve.open_image(run / "picture.png"),
        size=48,
        point=(0.4, 0.9),
        reference="B",
        keep=0.6,
        device="cpu",
        progress=lambda fraction, message: None,
    )


def test_rounding_of_another_machine_is_within_the_tolerance_and_more_is_not(again: Comparison) -> None:
    """Three times what float32 was measured to round passes every check of agreement, a thousand times not."""
    limits = agreement_limits(again, check.agreement_table(again), ON_CPUS)[0]
    made = check.agreement_table(again).iloc[0]
    noise = np.random.default_rng(5)
    for size, passes in ((0.1, True), (50, False)):
        moved = check.agreement_table(
            replace(again, results=tuple(_moved(one, size * ON_CPUS, noise) for one in again.results))
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
    assert record.device_of(again.results[0]) == "cpu"
