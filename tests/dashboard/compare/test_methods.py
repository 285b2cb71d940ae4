"""Panes of methods that explain a target: their controls, what they show and say, and their links."""

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.compare import export
from dashboard.compare.card import option_key
from dashboard.keys import of_pane
from dashboard.testing import click_pane
from tests.dashboard.compare.fixtures_compare import PICTURE, SIZE, assert_works, figure_of, opened, press
from vit_engine.report.colours import diverging_stops
from vit_engine.trace.targets import ClassTarget

RELEVANCE = "demo_vit_p16:5:mean:relevance[start=2;target=3]"
PIXELS = "demo_vit_p16:5:mean:input_gradient[target=3]"


def captions(at: AppTest) -> str:
    return "\n".join(caption.value for caption in at.caption)


def assert_shows(at: AppTest, letter: str, method: str, **asked: object) -> None:
    expected = ve.explain("demo_vit_p16", ve.open_image(PICTURE), method=method, size=SIZE, **asked).values
    drawn = figure_of(at)[f"attention {letter}"]["customdata"]
    np.testing.assert_allclose(drawn, expected, atol=1e-4 * np.abs(expected).max())


def has(at: AppTest, key: str, number: int) -> bool:
    return any(each.key == of_pane(key, number) for each in (*at.slider, *at.selectbox))


def test_a_pane_shows_its_method_with_its_options_and_its_target() -> None:
    at = opened(RELEVANCE, PIXELS)
    assert_shows(at, "A", "relevance", target=3, start=2)
    assert_shows(at, "B", "input_gradient", target=3)
    signed = figure_of(at)["attention B"]
    assert signed["zmin"] == -signed["zmax"]
    assert [tuple(stop) for stop in signed["colorscale"]] == diverging_stops()
    label = ClassTarget(3, "triangle").label
    assert f"**Relevance** · from layer 2 · target\\: {label}" in captions(at)
    assert "Relevance is one map for all layers and heads." in captions(at)
    assert not any(has(at, key, number) for key in (keys.PANE_LAYER, keys.PANE_HEAD) for number in (0, 1))

    click_pane(at, y=43, x=75)
    assert_works(at)
    assert_shows(at, "A", "relevance", target=3, start=2, query=(2, 4))
    at.slider(key=option_key(0, "start")).set_value(4).run()
    at.selectbox(key=of_pane(keys.PANE_TARGET, 0)).set_value("1").run()
    assert_works(at)
    assert at.query_params["pane"][0] == "demo_vit_p16:5:mean:relevance[start=4;target=1]"
    assert_shows(at, "A", "relevance", target=1, start=4, query=(2, 4))
    at.selectbox(key=of_pane(keys.PANE_METHOD, 0)).set_value("raw").run()
    assert at.query_params["pane"][0] == "demo_vit_p16:5:mean"
    assert has(at, keys.PANE_LAYER, 0)


def test_the_preset_shows_five_methods_each_with_its_own_scale_and_unit() -> None:
    at = opened("demo_vit_p16:2:mean", "demo_vit_p8:2:mean")
    press(at, f"{keys.PRESET}_methods")
    assert_works(at)
    methods = ("raw", "rollout", "relevance", "legrad", "grad_cam")
    assert [pane.method for pane in at.session_state[keys.PANES]] == list(methods)
    for letter, method in zip("ABCDE", methods, strict=True):
        assert_shows(at, letter, method)
    assert len({figure_of(at)[f"attention {letter}"]["zmax"] for letter in "ABCDE"}) == 5
    assert captions(at).count("colours end at") == 5
    assert "**Raw attention** · entropy" in captions(at)
    assert at.dataframe(key=keys.AGREEMENT).value["second"][1] == "C · relevance"
    assert not at.warning  # all explain the likeliest class
    assert at.dataframe(key=keys.COMPARE_HEADS).value.shape[1] == 2  # the heads, and their statistic once
    assert "All panes share a column: they are of one model and layer" in captions(at)


def test_a_rollout_is_of_the_panes_layer_and_a_map_of_zeros_says_so_once() -> None:
    silent = "demo_vit_p16:5:mean:attention_gradient:0.5,0.5"
    at = opened("demo_vit_p16:3:mean:rollout", "demo_vit_p16:2:mean:rollout[start=4]", silent)
    assert_shows(at, "A", "rollout", layer=3)
    assert "Start must be at most the layer that the rollout ends in, 2" in at.error[0].value
    shown = next(text for text in captions(at).splitlines() if "Attention × gradient" in text)
    assert "colours end" not in shown
    assert captions(at).lower().count("zero everywhere") == 1


def test_faithfulness_is_measured_on_a_button_and_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    zips: list[dict[str, Any]] = []
    monkeypatch.setattr(export, "partial", lambda *_, **options: zips.append(options) or bytes)
    silent = "demo_vit_p16:5:mean:attention_gradient[target=3]:0.5,0.5"
    at = opened("demo_vit_p16:5:mean", RELEVANCE, silent)
    assert keys.PANES_FAITHFULNESS not in [each.key for each in at.dataframe]
    takes = at.button(key=keys.MEASURE_PANES).label
    at.segmented_control(key=keys.COMPARE_STEPS).set_value("16").run()
    assert at.query_params["pane_steps"] == "16"
    assert takes.startswith("Measure faithfulness · about ")
    press(at, keys.MEASURE_PANES)
    assert_works(at)
    frame = at.dataframe(key=keys.PANES_FAITHFULNESS).value
    assert frame.columns.get_level_values(0)[2:].tolist() == [
        *3 * ["area of insertion · high is good"],
        *3 * ["area of deletion · low is good"],
    ]
    frame = frame.set_axis(
        [
            "pane",
            "score",
            "insertion",
            "random_insertion_mean",
            "randomised_insertion",
            "deletion",
            "random_deletion_mean",
            "randomised_deletion",
        ],
        axis=1,
    )
    assert frame["pane"].tolist() == ["A · raw attention", "B · relevance"]
    assert frame["score"].tolist() == 2 * ["probability of class 3, triangle"]  # also of raw attention
    assert "Not measured: C: its map is zero everywhere" in captions(at)
    loaded = ve.load_model("demo_vit_p16")
    prepared = ve.prepare_image(ve.open_image(PICTURE), loaded.spec, size=SIZE)
    map = ve.explain(loaded, prepared, method="relevance", target=3, start=2)
    expected = ve.faithfulness(ve.Run(ve.attend(loaded, prepared), loaded, prepared), map, 3, steps=16)
    np.testing.assert_allclose(frame["insertion"][1], expected.insertion_area, rtol=1e-4)
    random = expected.random_deletion
    assert frame["random_deletion_mean"][1] == f"{random.mean():.3f} ± {random.std():.3f}"
    exported = zips[-1]["faithfulness"]
    assert exported["pane"].tolist() == ["A", "B"]
    assert exported["insertion"].tolist() == frame["insertion"].tolist()
    np.testing.assert_allclose(exported["random_deletion_std"][1], random.std(), rtol=1e-4)
