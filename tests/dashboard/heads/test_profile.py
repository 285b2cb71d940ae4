"""Profiles by depth: a dot a head, several models on one picture; what fails says so and the others stay."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.services import catalogue, heads, limits
from dashboard.testing import decode_figure
from tests.dashboard.heads.fixtures_heads import CLOSE, open_heads, statistic_of
from tests.dashboard.support import small_trace


def assert_profile(at: AppTest, statistic: str, models: list[str]) -> None:
    assert not at.exception
    drawn = decode_figure(at, keys.PROFILE)
    titles = {name: catalogue.models()[name].title for name in models}
    assert drawn.keys() - {"layout"} == {part for title in titles.values() for part in (title, f"heads of {title}")}
    for name, title in titles.items():
        values = statistic_of(statistic, small_trace(model=name))
        np.testing.assert_allclose(drawn[title]["y"], values.mean(axis=1), **CLOSE)
        np.testing.assert_array_equal(drawn[title]["x"], range(len(values)))
        dots = drawn[f"heads of {title}"]
        np.testing.assert_allclose(dots["y"], values.ravel(), **CLOSE)
        at_layer = np.repeat(np.arange(len(values)), values.shape[1])
        np.testing.assert_array_equal(np.asarray(dots["customdata"])[:, 0], at_layer)
        assert np.abs(np.asarray(dots["x"]) - at_layer).max() < 0.5


def test_the_profile_is_of_the_chosen_statistic_or_of_entropy_or_distance() -> None:
    at = open_heads(statistic="cls_gini")
    assert_profile(at, "cls_gini", ["demo_vit_p16"])
    at.segmented_control(key=keys.HEADS_PROFILE).set_value("entropy").run()
    assert_profile(at, "cls_entropy_normalised", ["demo_vit_p16"])
    at.segmented_control(key=keys.HEADS_PROFILE).set_value("distance").run()
    assert_profile(at, "distance_px", ["demo_vit_p16"])
    assert "(px)" in decode_figure(at, keys.PROFILE)["layout"]["yaxis"]["title"]["text"]


def test_several_models_are_laid_over_each_other_on_one_picture_and_size() -> None:
    at = open_heads()
    at.multiselect(key=keys.HEADS_OVERLAY).set_value(["demo_vit_p8", "random_vit_tiny_p16"]).run()
    assert_profile(at, "cls_entropy_normalised", ["demo_vit_p16", "demo_vit_p8", "random_vit_tiny_p16"])
    colours = {trace["line"]["color"] for trace in decode_figure(at, keys.PROFILE).values() if "line" in trace}
    assert len(colours) == 3
    at.multiselect(key=keys.HEADS_OVERLAY).set_value([]).run()
    assert_profile(at, "cls_entropy_normalised", ["demo_vit_p16"])


def test_the_model_in_use_is_not_offered_and_leaves_the_others_when_it_is_chosen() -> None:
    at = open_heads(overlay=["demo_vit_p8"])
    assert "Demo ViT /16" not in at.multiselect(key=keys.HEADS_OVERLAY).options
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p8").run()
    assert at.multiselect(key=keys.HEADS_OVERLAY).value == []
    assert "overlay" not in at.query_params
    assert_profile(at, "cls_entropy_normalised", ["demo_vit_p8"])


@pytest.mark.parametrize(
    ("statistic", "other", "told"),
    [
        ("cls_entropy_bits", "demo_vit_p8", True),
        ("cls_maximum", "demo_vit_p8", True),
        ("cls_entropy_normalised", "demo_vit_p8", False),
        ("distance_px", "demo_vit_p8", False),
        ("cls_entropy_bits", "random_demo_vit_p16", False),
    ],
)
def test_numbers_that_do_not_compare_across_token_counts_are_told(statistic: str, other: str, told: bool) -> None:
    at = open_heads(statistic=statistic, overlay=other)
    assert_profile(at, statistic, ["demo_vit_p16", other])
    notes = [info.value for info in at.main.info if "not comparable" in info.value]
    assert len(notes) == told
    if told:
        tokens = (small_trace().grid.tokens, small_trace(model=other).grid.tokens)
        assert all(f" {count}" in notes[0] for count in tokens)


def test_a_model_without_its_weights_says_so_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = heads.is_ready
    monkeypatch.setattr(heads, "is_ready", lambda spec: spec.name != "dino_vits16" and ready(spec))
    at = open_heads(overlay=["dino_vits16", "demo_vit_p8"])
    (warning,) = at.main.warning
    assert catalogue.models()["dino_vits16"].title in warning.value.replace("\\", "")
    assert "download them on the page Models" in warning.value
    assert_profile(at, "cls_entropy_normalised", ["demo_vit_p16", "demo_vit_p8"])


@pytest.mark.usefixtures("fresh_caches")
def test_a_model_that_is_too_large_says_so_and_is_not_run(monkeypatch: pytest.MonkeyPatch, runs: list[str]) -> None:
    monkeypatch.setattr(limits, "MAX_PATCHES", 100)
    at = open_heads(overlay=["demo_vit_p8", "random_vit_tiny_p16"])
    (warning,) = at.main.warning
    assert "Demo ViT" in warning.value
    assert "at most 100 patches are allowed here" in warning.value
    assert_profile(at, "cls_entropy_normalised", ["demo_vit_p16", "random_vit_tiny_p16"])
    assert runs == ["demo_vit_p16", "random_vit_tiny_p16"]


def test_no_more_models_than_can_be_told_apart() -> None:
    assert open_heads().multiselect(key=keys.HEADS_OVERLAY).proto.max_selections == 3
