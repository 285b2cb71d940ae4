"""`compare` with methods that explain a target, the passes that it takes, and `reproduce` of what it wrote."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import change, told
from vit_engine.cli import main, pane_runs
from vit_engine.planning import estimates

PANES = (
    "demo_vit_p16:5:mean",
    "demo_vit_p16:5:mean:relevance[target=1]",
    "demo_vit_p16:5:mean:legrad[start=2;target=1]",
    "demo_vit_p16:4:mean:grad_cam[target=norm]",
    "demo_vit_p16:5:mean:input_gradient[target=picture:PATH]:cls",
)
OPTIONS = ["--size", "64", "80", "--point", "0.1,0.2,0.6,0.9"]


def arguments(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--pane", text)]


class Recorded(NamedTuple):
    """A comparison in a folder, the other picture, and what each pass backward was asked for."""

    folder: Path
    other: Path
    passes: list[dict[str, Any]]


@pytest.fixture(scope="module")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder, passes = tmp_path_factory.mktemp("methods"), []
    other = tmp_path_factory.mktemp("other") / "a[1].png"
    Image.linear_gradient("L").save(other)
    panes = [text.replace("PATH", str(other).replace("[", "%5B").replace("]", "%5D")) for text in PANES]
    with pytest.MonkeyPatch.context() as patch:

        def counted(*args: Any, **options: Any) -> Any:
            passes.append(options)
            return differentiate(*args, **options)

        differentiate = pane_runs.differentiate
        patch.setattr(pane_runs, "differentiate", counted)
        assert main(["compare", str(picture), *arguments(*panes), *OPTIONS, "--out", str(folder)]) == 0
    return Recorded(folder, other, passes)


@pytest.fixture
def record(run: Recorded) -> dict[str, Any]:
    return json.loads((run.folder / "run.json").read_text(encoding="utf-8"))


def test_maps_are_those_of_the_api(run: Recorded, record: dict[str, Any], picture: Path) -> None:
    asked: dict[str, Any] = {"size": (64, 80), "query": tuple(record["panes"][0]["query"])}
    assert asked["query"] == (0, 1, 1, 4)  # 6.4..38.4 px down, 16..72 px across: the middles of patches of 16 px
    expected = {
        "A": ve.explain("demo_vit_p16", str(picture), method="raw", layer=5, **asked),
        "B": ve.explain("demo_vit_p16", str(picture), method="relevance", target=1, **asked),
        "C": ve.explain("demo_vit_p16", str(picture), method="legrad", target=1, start=2, **asked),
        "D": ve.explain("demo_vit_p16", str(picture), method="grad_cam", layer=4, target="norm", **asked),
    }
    with np.load(run.folder / "maps.npz") as maps:
        for name, shown in expected.items():
            np.testing.assert_allclose(maps[name], shown.values, rtol=1e-4, atol=1e-5 * np.abs(shown.values).max())


def test_each_target_takes_one_pass_for_all_its_panes(run: Recorded) -> None:
    wanted = {each["target"].name: (each["backward"], each["readouts"]) for each in run.passes}
    assert wanted == {"1": (True, True), "norm": (True, False), "picture:a[1].png": (True, False)}
    assert len(run.passes) == 3


def test_the_record_says_method_options_and_target(record: dict[str, Any], run: Recorded) -> None:
    second, third, last = (record["panes"][number] for number in (1, 2, 4))
    assert record["panes"][0]["target"] is None
    assert (second["method"], second["options"], second["target"]["name"]) == ("relevance", {"start": 0}, "1")
    assert second["target"]["score"] == pytest.approx(third["target"]["score"], rel=1e-5)
    assert second["target"]["label"] == "class 1, ring"
    assert third["options"] == {"start": 2}
    assert str(run.other.parent) not in json.dumps(record)
    assert last["pane"] == "demo_vit_p16:5:mean:input_gradient[target=picture%3Aa%5B1%5D.png]:cls"
    assert -1 <= last["target"]["score"] < 1


def test_what_was_written_is_recomputed_and_held(run: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = told(run.folder, capsys)
    assert code == 0, lines
    assert {f"pane {name}, target" for name in "BCDE"} <= {line.split(": ")[0] for line in lines}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((1, "target", "score"), lambda score: score + 0.01, "pane B, target: DOES NOT MATCH"),
        ((1, "target", "label"), "class 0, cat", "pane B, map: DOES NOT MATCH: recorded otherwise: target"),
        ((2, "options", "start"), 1, "pane C, map: DOES NOT MATCH: recorded otherwise: options"),
    ],
)
def test_what_was_changed_is_found(
    copied: Path, path: tuple[Any, ...], value: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copied, "panes", *path, value=value)
    code, lines, _ = told(copied, capsys)
    assert code == 1
    assert any(line.startswith(message) for line in lines), lines


def test_a_record_with_earlier_names_of_patches_matches(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def earlier(label: str) -> str:
        assert label.endswith("region of rows 0–1, cols 1–4")
        return label.replace("region of rows 0–1, cols 1–4", "patches 0..1, 1..4")

    change(copied, "panes", 0, "map", value=earlier)
    code, lines, _ = told(copied, capsys)
    assert code == 0, lines


@pytest.fixture
def copied(run: Recorded, tmp_path: Path) -> Path:
    """The record and the picture, to change."""
    for name in ("run.json", "picture.png"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("pane", "message"),
    [
        ("demo_vit_p16:5:mean:relevance[start=6]", "start must be a whole number in 0..5 for 'demo_vit_p16'; got 6"),
        ("demo_vit_p16:5:mean:relevance[target=1000]", "a class of 'demo_vit_p16' must be in 0..11; got 1000"),
        (
            "demo_vit_p16:5:mean:relevance[target=zebra crossing]",
            "no class of 'demo_vit_p16' is called 'zebra crossing'",
        ),
        ("demo_vit_p16:5:mean:relevance[target=e]", "'e' may be several classes of 'demo_vit_p16'"),
        ("demo_vit_p16:5:mean:relevance[end=1]", "the method 'relevance' has no option 'end'; it has start"),
    ],
)
def test_what_cannot_be_is_refused(
    pane: str, message: str, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(picture), *arguments(PANES[0], pane), "--out", str(tmp_path / "out")]) != 0
    assert message in capsys.readouterr().err


def test_gradients_must_fit_the_memory_beside_the_trace(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = ["compare", str(picture), "--size", "1024", "--out", str(tmp_path / "out")]
    needed = ve.estimate("demo_vit_p16", (1024, 1024)).peak_bytes
    monkeypatch.setattr(estimates, "memory_budget", lambda device: needed)
    monkeypatch.setattr(ve, "attend", None)
    assert main([*fixed, *arguments(PANES[0], PANES[1])]) == 1
    assert "a run must fit the memory budget" in capsys.readouterr().err
