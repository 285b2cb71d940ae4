"""A target's gradient is run once for all sessions, and what methods make of it is made once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vit_engine as ve
from dashboard.services import catalogue, gradients, limits, maps, pictures, targets
from dashboard.services.analyses import Analysis, Request
from dashboard.services.checkpoints import folder, user_models
from dashboard.services.gradients import GradientRequest
from dashboard.services.maps import MapRequest
from tests.dashboard.support import ignore
from tests.vit_engine.weights.formats.test_clip import original_state
from tests.vit_engine.weights.text.clips import hugging_face_clip
from vit_engine.analysis.methods import Needs, Option
from vit_engine.trace.differentiate import differentiate

PICTURE, MODEL, SIZE = "scene_1", "demo_vit_p16", 96


@pytest.fixture
def differentiated(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The target's name for each gradient since the test began."""
    seen: list[str] = []

    def counting(*args: Any, target: ve.Target, **options: Any) -> tuple[ve.AttentionTrace, ve.Gradients]:
        seen.append(target.name)
        return differentiate(*args, target=target, **options)

    monkeypatch.setattr(gradients, "differentiate", counting)
    return seen


def analysed() -> tuple[Request, Analysis]:
    request = Request(pictures.sample_picture(PICTURE), catalogue.models()[MODEL], SIZE)
    return request, request.analyse(ignore)


def gradient(target: str) -> ve.Gradients:
    asked = GradientRequest(pictures.sample_picture(PICTURE), catalogue.models()[MODEL], SIZE, target)
    return asked.analyse(ignore).gradients


@pytest.mark.usefixtures("fresh_caches")
def test_each_target_is_run_once_and_is_the_engines(differentiated: list[str]) -> None:
    first, other, again = gradient("3"), gradient("5"), gradient("3")
    assert differentiated == ["3", "5"]
    assert again is first
    assert (first.target.name, other.target.name) == ("3", "5")
    loaded = ve.load_model(MODEL)
    prepared = ve.prepare_image(pictures.sample_picture(PICTURE).open(), loaded.spec, size=SIZE)
    expected = differentiate(loaded, prepared, target=3)[1]
    assert first.score == pytest.approx(expected.score, rel=1e-5)
    for layer in expected.activations:
        np.testing.assert_allclose(first.activations[layer], expected.activations[layer], rtol=1e-3, atol=1e-5)


@pytest.mark.usefixtures("fresh_caches")
def test_gradients_that_are_over_what_is_kept_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GRADIENT_BYTES", 1000)
    with pytest.raises(ve.ResourceError, match=r"its gradients of .* are over the 1\.00 kB kept here"):
        gradient("3")


def test_a_target_has_one_name_however_a_link_writes_it() -> None:
    _, analysis = analysed()
    likeliest = str(analysis.trace.predictions[0].number)
    assert targets.name_of("", analysis) == likeliest
    assert targets.name_of("norm", analysis) == "norm"
    height, width = analysis.frame
    assert targets.name_of(f"point:{20 / height},{40 / width}", analysis) == "patch:1,2"
    without = replace(analysis, trace=replace(analysis.trace, predictions=()))
    assert targets.name_of("", without) == "norm"
    untrained = replace(without.trace, spec=replace(without.trace.spec, family="random"))
    rows, cols = untrained.grid.shape
    assert targets.name_of("", replace(without, trace=untrained)) == f"patch:{rows // 2},{cols // 2}"


def made(*, needs: Needs = Needs.TRACE, depends_on: frozenset[str]) -> tuple[ve.Method, list[dict[str, Any]]]:
    """A method, and what it was asked with each time."""
    asked: list[dict[str, Any]] = []

    def compute(run: ve.Run, **chosen: Any) -> np.ndarray:
        asked.append(chosen)
        heads = run.trace.spec.heads if "head" in depends_on else 1
        return np.full((heads, *run.trace.grid.shape), len(asked), dtype=np.float32)

    options = (Option("steps", "Steps", 2, "How many.", low=1, high=9, step=1),)
    words = {"source": "nobody", "value": "a number", "options": options}
    return ve.Method("made", "Made", "Made.", compute=compute, needs=needs, depends_on=depends_on, **words), asked


def ask(method: ve.Method, **choices: Any) -> dict[int, int]:
    """The first value of each layer's map."""
    request, analysis = analysed()
    asked = MapRequest(request, analysis, method, **{"layer": 3} | choices)
    return {layer: int(each.map.values[0, 0]) for layer, each in asked.analyse(ignore).items()}


@pytest.mark.usefixtures("fresh_caches")
def test_what_a_method_does_not_depend_on_makes_no_other_map() -> None:
    method, asked = made(depends_on=frozenset({"query"}))
    assert ask(method) == {5: 1}
    assert ask(method, layer=1, head=2, target="3") == {5: 1}
    assert ask(method, query=(1, 2)) == {5: 2}
    assert ask(method, options=(("steps", 3),)) == {5: 3}
    assert [each["query"] for each in asked] == ["cls", (1, 2), "cls"]
    assert asked[-1]["steps"] == 3


@pytest.mark.usefixtures("fresh_caches")
def test_maps_of_heads_are_made_of_all_layers_and_others_of_one() -> None:
    by_head, _ = made(depends_on=frozenset({"layer", "head", "query"}))
    assert list(ask(by_head)) == list(range(6))
    assert ask(by_head, layer=1)[3] == ask(by_head, layer=3)[3]
    by_layer, asked = made(depends_on=frozenset({"layer"}))
    by_layer = replace(by_layer, name="by_layer")
    assert (ask(by_layer, layer=1), ask(by_layer, layer=2)) == ({1: 1}, {2: 2})
    assert [each["layer"] for each in asked] == [1, 2]


@pytest.mark.usefixtures("fresh_caches")
def test_a_method_that_runs_the_model_gets_it_and_its_target() -> None:
    method, asked = made(needs=Needs.MODEL, depends_on=frozenset({"target"}))
    assert ask(method, target="4") == {5: 1}
    assert asked[0]["target"].name == "4"


@pytest.mark.usefixtures("fresh_caches")
def test_maps_are_nobodys_to_change() -> None:
    request, analysis = analysed()
    kept = MapRequest(request, analysis, made(depends_on=frozenset({"query"}))[0], layer=0).analyse(ignore)[5]
    with pytest.raises(ValueError, match="read-only"):
        kept.map.values[0, 0] = 1
    assert maps._maps().size == kept.heads.nbytes + kept.map.values.nbytes


def test_a_region_is_of_the_patches_whose_middles_are_in_its_box() -> None:
    _, analysis = analysed()
    height, width = analysis.frame
    edges = 16 / height, 32 / width, 80 / height, 96 / width
    for moved in (-1e-4, 1e-4):  # links round
        assert analysis.patch(tuple(edge + moved for edge in edges)) == (1, 2, 4, 5)
    assert analysis.patch((17 / height, 33 / width, 18 / height, 34 / width)) == (1, 2)  # no middle is in it


@pytest.mark.usefixtures("fresh_caches")
def test_words_are_a_target_where_the_file_has_a_text_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    torch.save(
        original_state(hugging_face_clip({"hidden_size": 64, "num_attention_heads": 1})), tmp_path / "ViT-tiny.pt"
    )
    spec = user_models.add("file:ViT-tiny.pt@3", ignore)
    request = GradientRequest(pictures.sample_picture(PICTURE), spec, SIZE, "text:a photo of a cat")
    made = request.analyse(ignore)
    assert made.gradients.target.label == 'similarity to "a photo of a cat"'
    assert targets.why_no_text(made.report) == ""
    _, analysis = analysed()
    assert targets.why_no_text(analysis.report).endswith("is of pictures alone")
    with pytest.raises(ve.CheckpointError, match="pictures alone"):
        gradient("text:a cat")


@pytest.mark.usefixtures("fresh_caches")
def test_another_picture_is_a_target_as_long_as_it_is_held() -> None:
    made = gradient("picture:scene_2")
    assert made.target.name == "picture:scene_2"
    with pytest.raises(ve.ImageError, match="no longer held here"):
        gradient("picture:sha256:00")
