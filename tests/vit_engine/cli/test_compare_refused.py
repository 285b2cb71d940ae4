"""What `compare` cannot do is one line, before anything runs, and leaves everything as it was."""

from pathlib import Path

import pytest

import vit_engine as ve
from tests.vit_engine.weights.fixtures_states import saved, vit_state
from vit_engine.cli import main
from vit_engine.resources.budget import BUDGET_VARIABLE

LEGRAD = "demo_vit_p16:5:mean:legrad"


def arguments(*texts: str) -> list[str]:
    return [part for text in texts for part in ("--pane", text)]


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
        (["{picture}", "--pane", "demo_vit_p16"], "error: pane C: a pane is MODEL:LAYER"),
        (["{picture}", "--pane", "demo_vit_p16:6"], "error: pane C: layer must be in 0..5"),
        (["{picture}", "--pane", "demo_vit_p16:5:4"], "head must be in 0..3"),
        (["{picture}", "--pane", "demo_vit_p16:5:median"], "median"),
        (["{picture}", "--pane", "demo_vit_p16:5:mean:rawest"], "rawest"),
        (["{picture}", "--pane", "demo_vit_p16:5:mean:raw:0.5,1.5"], "0..1"),
        (
            ["{picture}", "--pane", "demo_vit_p16:5:3:pca"],
            "'pca' depends on no head; got 3. Write 'demo_vit_p16:5:mean:pca'.",
        ),
        (
            ["{picture}", "--pane", "demo_vit_p16:5:max:rollout[start=2]"],
            "Write 'demo_vit_p16:5:mean:rollout[start=2]'",
        ),
        (
            ["{picture}", "--pane", "demo_vit_p16:5:min:pca:0.5,0.5"],
            "'pca' depends on no head; got 'min'. Write 'demo_vit_p16:5:mean:pca'.",
        ),
        (
            ["{picture}", "--pane", f"{LEGRAD}:0.5,0.5"],
            "'legrad' depends on no query; got '0.5000,0.5000'. Write '" + LEGRAD,
        ),
        (["{picture}", "--pane", "missing.pth:5"], "missing.pth"),
        (["{picture}", "--pane", "demo_vit_p16:1:mean:rollout[start=2]"], "error: pane C: start must be in 0..1"),
        (["{picture}", "--pane", f"{LEGRAD}[target=point:0.5,2]"], "error: pane C: a point as a target is"),
        (["{picture}", "--pane", f"{LEGRAD}[target=patch:2,0]"], "error: pane C: the target's patch must have row"),
        (["{picture}", "--pane", f"{LEGRAD}[target=picture:]"], "is 'picture:PATH'; got 'picture:'"),
        (["{picture}", "--pane", f"{LEGRAD}[target=picture:missing.png]"], "pane C: 'missing.png' cannot be read"),
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
    monkeypatch.setattr("vit_engine.report.archive.write_bundle", full)
    fixed = [*arguments("demo_vit_p8:0", "demo_vit_p8:1"), "--size", "48", "--out", str(tmp_path)]
    assert main(["compare", str(picture), *fixed]) == 1
    assert capsys.readouterr().err == "vit-engine: error: maps.npz: No space left on device.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert (tmp_path / "run.json").read_text() == "earlier"


@pytest.mark.usefixtures("no_run")
def test_a_norm_that_all_pictures_have_is_refused_by_its_panes(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights say it, once for all panes of the target."""
    untrained = [f"random_vit_tiny_p16:{layer}:0:attention_gradient[target=norm]" for layer in (3, 11)]
    options = ["--size", "32", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(["compare", str(picture), *arguments(untrained[0], "demo_vit_p16:0", untrained[1]), *options]) == 1
    assert capsys.readouterr().err.startswith("vit-engine: error: panes A, C: the final norm of this model makes all ")
