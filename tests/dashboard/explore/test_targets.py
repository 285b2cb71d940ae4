"""Gradient methods on Explore: one run a target, the target beside the map, signed colours, and words for no map."""

from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import gradients, pictures
from dashboard.testing import click_patch, decode_figure, open_app
from tests.dashboard.support import DETAILS, SMALL, assert_works, open_small, small_trace
from vit_engine.analysis import methods
from vit_engine.trace.differentiate import differentiate


@pytest.fixture
def differentiated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The target's name for each gradient since the test began."""
    seen: list[str] = []

    def counting(*args: Any, target: ve.Target, **options: Any) -> tuple[ve.AttentionTrace, ve.Gradients]:
        seen.append(target.name)
        return differentiate(*args, target=target, **options)

    monkeypatch.setattr(gradients, "differentiate", counting)
    return seen


def explained(method: str, **choices: Any) -> np.ndarray:
    """What the engine itself says of the picture of SMALL."""
    picture = pictures.sample_picture(SMALL["picture"]).open()
    return ve.explain(SMALL["model"], picture, size=96, method=method, **choices).values


def attention(at: AppTest) -> dict[str, Any]:
    return decode_figure(at, keys.OVERLAY)["attention"]


def lines(at: AppTest) -> str:
    return "\n".join(each.value for each in (*at.main.markdown, *at.main.caption))


@pytest.mark.usefixtures("fresh_caches")
def test_another_target_is_one_run_and_another_query_or_option_none(differentiated: list[str], runs: list[str]) -> None:
    at = open_small(method="relevance")
    assert_works(at, walk=(keys.TARGET_CHOICE, keys.METHOD_CARD))
    likeliest = small_trace().predictions[0]
    assert differentiated == [str(likeliest.number)]
    np.testing.assert_allclose(attention(at)["z"], explained("relevance"), **DETAILS)
    assert f"Target: **class {likeliest.number}, {likeliest.label}**" in lines(at)
    click_patch(at, row=2, col=5)
    at.slider(key=f"{keys.OPTION}_start").set_value(2).run()
    assert not at.exception
    assert (len(differentiated), len(runs)) == (1, 1)
    assert at.query_params["options"] == "start=2"
    np.testing.assert_allclose(attention(at)["z"], explained("relevance", query=(2, 5), start=2), **DETAILS)
    other = small_trace().predictions[-1].number
    at.selectbox(key=keys.TARGET_CHOICE).set_value(str(other)).run()
    assert (differentiated[1:], len(runs)) == ([str(other)], 1)
    assert at.query_params["target"] == str(other)
    expected = explained("relevance", query=(2, 5), start=2, target=other)
    np.testing.assert_allclose(attention(at)["z"], expected, **DETAILS)
    assert f"class {other}" in at.get_by_key(keys.OVERLAY).proto.alt


def test_classes_are_offered_by_name_the_likeliest_with_their_probabilities() -> None:
    at = open_small(method="legrad")
    options = at.selectbox(key=keys.TARGET_CHOICE).options
    first, second = small_trace().predictions[:2]
    assert options[0].startswith(f"Likeliest class: {first.label} · ")
    assert options[2].startswith(f"{second.label} · ")
    assert {*small_trace().spec.class_names} - {option.split(" · ")[0] for option in options} == set()
    assert {"Norm of the image embedding", "Similarity to a patch", "Similarity to the picture Coffee"} <= set(options)


def test_random_weights_whose_embeddings_are_equally_long_have_a_target_of_their_own() -> None:
    at = open_small(model="random_demo_vit_p16", method="grad_cam")
    assert not at.error
    assert at.selectbox(key=keys.TARGET_CHOICE).options[0] == "Similarity to the middle patch"
    assert "Target: **similarity of CLS to patch row 3, col 4**" in lines(at)


def test_a_click_moves_the_patch_that_the_target_is_about_and_not_the_query() -> None:
    at = open_small(method="grad_cam", target="point:0.1,0.1", layer="4")
    click_patch(at, row=3, col=6)
    assert "query" not in at.query_params
    assert "Target: **similarity of CLS to patch row 3, col 6** · :small[click a patch to choose another]" in lines(at)
    np.testing.assert_allclose(attention(at)["z"], explained("grad_cam", layer=4, target="patch:3,6"), **DETAILS)
    shapes = decode_figure(at, keys.OVERLAY)["layout"]["shapes"]
    assert [(edge["x0"], edge["y0"]) for edge in shapes] == [(5.5, 2.5)] * 2


def test_signed_maps_are_as_far_from_zero_on_either_side() -> None:
    at = open_small(method="input_gradient", clip="100")
    drawn = attention(at)
    most = np.abs(explained("input_gradient")).max()
    assert (-drawn["zmin"], drawn["zmax"]) == pytest.approx((most, most), rel=1e-3)
    assert drawn["colorscale"][len(drawn["colorscale"]) // 2][1].endswith(", 0.000)")
    legend = next(html.proto.body for html in at.get("html") if 'class="legend"' in html.proto.body)
    assert f"≤ −{most:.3g}" in legend
    assert f"≥ +{most:.3g} attribution" in legend


def test_a_map_of_nothing_is_no_blank_map_but_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(run: ve.Run) -> np.ndarray:
        return np.zeros((1, *run.trace.grid.shape), dtype=np.float32)

    words = {"depends_on": frozenset(), "empty": "Nothing has a gradient here."}
    silent = ve.Method("silent", "Silent", "Says nothing.", "nobody", "a number", nothing, **words)
    monkeypatch.setattr(methods, "METHODS", (*ve.METHODS, silent))
    at = open_small(method="silent", view="beside")
    assert [each.value for each in at.info] == ["Nothing has a gradient here."]
    assert attention(at)["opacity"] == 0
    assert "patches" not in decode_figure(at, keys.OVERLAY)


def test_what_cls_and_the_embedding_are_in_a_model_of_the_mean_of_patches_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ve.ModelSpec, "reads_cls", False)
    at = open_small(method="relevance", target="1")
    assert "averages its patches: CLS says nothing of the target." in lines(at)
    at.button(key=keys.ALL_PATCHES).click().run()
    assert at.query_params["query"] == "0.0000,0.0000,1.0000,1.0000"
    assert "Query: **region of rows 0–5, cols 0–7**" in lines(at)
    assert "averages its patches" not in lines(at)
    at.selectbox(key=keys.TARGET_CHOICE).set_value("norm").run()
    assert "averages its patches: their mean is its image embedding." in lines(at)


def test_a_layer_below_the_first_that_counts_has_no_map_and_says_so() -> None:
    at = open_small(method="rollout", options="start=3", layer="4")
    np.testing.assert_allclose(attention(at)["z"], explained("rollout", layer=4, start=3), **DETAILS)
    at.slider(key=keys.LAYER).set_value(2).run()
    assert not at.exception
    assert "counts from layer 3 up here, and has no map of layer 2" in at.error[0].value


def test_heads_are_ranked_by_a_method_with_a_target(differentiated: list[str]) -> None:
    at = open_app(**SMALL, method="attention_gradient", target="3").switch_page("views/heads.py").run()
    assert not at.exception
    prepared = ve.prepare_image(pictures.sample_picture(SMALL["picture"]).open(), small_trace().spec, size=96)
    run = ve.Run(small_trace(), ve.load_model(SMALL["model"]), prepared)
    expected = ve.rank_heads(run, method="attention_gradient", target=3)[0]
    buttons = [at.button(key=f"{keys.RANKED_HEAD}_{place}").label for place in range(5)]
    assert buttons == [f"Layer {entry.layer} · head {entry.head}" for entry in expected.entries]
    assert "Target: class 3" in lines(at)
    assert len(differentiated) <= 1
