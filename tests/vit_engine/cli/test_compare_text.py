"""`compare` with texts as targets: a CLIP-like checkpoint with its text tower, and what has none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vit_engine as ve
from tests.vit_engine.cli.reproduce.support import told
from tests.vit_engine.weights.formats.hugging_face import as_safetensors
from tests.vit_engine.weights.text.clips import hugging_face_clip
from vit_engine.cli import main
from vit_engine.weights.formats import FORMATS

TEXTS = ("a photo of a cat", "a cat, sitting")
SIZE = (20, 28)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_safetensors(hugging_face_clip(), tmp_path_factory.mktemp("clip"))


def compare(picture: Path, out: Path, *panes: str, heads: tuple[str, ...] = ()) -> int:
    options = [part for pane in panes for part in ("--pane", pane)]
    return main(
        ["compare", str(picture), *options, *heads, "--size", *map(str, SIZE), "--device", "cpu", "--out", str(out)]
    )


@pytest.fixture(scope="module")
def folder(clip: Path, picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One pane a text, of one model."""
    out = tmp_path_factory.mktemp("compared")
    assert compare(picture, out, *(f"{clip}:1:mean:relevance[target=text:{text}]" for text in TEXTS)) == 0
    return out


def test_maps_and_scores_are_those_of_the_api(folder: Path, clip: Path, picture: Path) -> None:
    loaded = ve.load_model(clip, device="cpu")
    panes: list[dict[str, Any]] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["panes"]
    with np.load(folder / "maps.npz") as maps:
        for name, text, pane in zip("AB", TEXTS, panes, strict=True):
            target = ve.text_target(loaded, text)
            expected = ve.explain(loaded, str(picture), method="relevance", target=target, size=SIZE).values
            np.testing.assert_allclose(maps[name], expected, rtol=1e-4, atol=1e-5 * expected.max())
            assert (pane["target"]["name"], pane["target"]["label"]) == (f"text:{text}", f'similarity to "{text}"')
            assert pane["pane"].endswith(f":relevance[target=text%3A{text}]")
    scores = [pane["target"]["score"] for pane in panes]
    assert all(-1 <= score <= 1 for score in scores)
    assert scores[0] != pytest.approx(scores[1], abs=1e-6)


def test_what_was_written_is_recomputed_and_held(folder: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines, _ = told(folder, capsys, "--checkpoint", f"file:{clip.name}={clip}")
    assert code == 0, lines
    assert {"pane A, target", "pane B, target"} <= {line.split(": ")[0] for line in lines}


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ve, "attend", lambda *_, **__: pytest.fail("the model ran"))


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize("case", [("cat " * 10, "at most 11 tokens"), (" ", "must not be empty")])
def test_texts_that_the_model_does_not_read_are_one_line(
    case: tuple[str, str], clip: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = case
    panes = (f"{clip}:1", f"{clip}:1:mean:legrad[target=text:{text}]")
    assert compare(picture, tmp_path / "out", *panes) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("vit-engine: error: ")
    assert message in captured.err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_run")
def test_a_model_without_a_text_tower_says_so_before_any_is_run(
    clip: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visual = tmp_path / "visual.pth"
    torch.save(ve.load_model("demo_vit_p16", device="cpu").model.state_dict(), visual)
    cases = {"demo_vit_p16": "it is a model of pictures alone", f"{visual}": "its format, "}
    for model, why in cases.items():
        heads = ("--heads", f"{visual}=4") if model == str(visual) else ()
        panes = (f"{clip}:1", f"{model}:5:mean:legrad[target=text:a cat]")
        assert compare(picture, tmp_path / "out", *panes, heads=heads) == 1
        error = capsys.readouterr().err
        assert error.startswith("vit-engine: error: pane B: ")
        assert f"it has no text tower: {why}" in error


def test_no_model_that_is_known_by_name_is_of_a_format_with_texts() -> None:
    assert all("clip" in format.name.casefold() for format in FORMATS if format.text is not None)
    assert not [spec.name for spec in ve.list_models() if "clip" in f"{spec.family} {spec.name}".casefold()]
