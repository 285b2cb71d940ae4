"""Explore draws what the engine says, for every layer, head, query, model and picture."""

import math
import re

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.links.selection import DEFAULT
from dashboard.services import pictures
from dashboard.testing import click_head, click_layer_and_head, click_patch, decode_figure, open_app
from tests.dashboard.support import (
    DETAILS,
    assert_drawn,
    assert_works,
    engine_trace,
    hover_texts,
    open_small,
    small_trace,
)


def captions(at: AppTest) -> list[str]:
    return [caption.value for caption in at.main.caption]


def test_the_page_opens_on_a_sample_with_nothing_asked_for() -> None:
    at = open_app()
    trace = small_trace(picture=DEFAULT.picture, model=DEFAULT.model, size=DEFAULT.size)
    assert_drawn(at, trace, layer=trace.spec.depth - 1)
    assert not at.error
    assert not at.warning
    assert at.query_params == {}


def test_the_second_run_draws_the_same() -> None:
    at = open_small()
    before = decode_figure(at, keys.OVERLAY)
    at.run()
    assert_works(at)
    np.testing.assert_equal(decode_figure(at, keys.OVERLAY), before)


def test_the_views_that_these_tests_tell_apart_are_different() -> None:
    trace = small_trace()
    views = [
        trace.attention_map(layer, head, query).values
        for layer in trace.layers
        for head in (0, 1, 2, 3, "mean", "max", "min")
        for query in ("cls", (2, 5))
    ]
    assert all(not np.allclose(one, other, **DETAILS) for i, one in enumerate(views) for other in views[:i])


@pytest.mark.parametrize("layer", [0, 3, 5])
@pytest.mark.parametrize("head", [0, 3, "mean", "max", "min"])
def test_a_layer_and_a_head_are_drawn_as_the_engine_has_them(layer: int, head: int | str) -> None:
    at = open_small()
    at.slider(key=keys.LAYER).set_value(layer)
    at.segmented_control(key=keys.HEAD).set_value(str(head)).run()
    assert_drawn(at, small_trace(), layer=layer, head=head)


@pytest.mark.parametrize("query", [(0, 0), (2, 5), (5, 0), (0, 7), (5, 7)])
def test_a_click_on_a_patch_shows_where_that_patch_attends(query: tuple[int, int]) -> None:
    at = click_patch(open_small(layer="2", head="1"), row=query[0], col=query[1])
    assert_drawn(at, small_trace(), layer=2, head=1, query=query)


@pytest.mark.parametrize(("model", "size"), [("demo_vit_p16", 96), ("demo_vit_p16", 224), ("demo_vit_p8", 96)])
def test_every_patch_can_be_found_again_from_its_link(model: str, size: int) -> None:
    grid = small_trace(model=model, size=size).grid
    for query in ((0, 0), (grid.rows // 2, grid.cols // 3), (grid.rows - 1, grid.cols - 1)):
        clicked = click_patch(open_small(model=model, size=str(size)), row=query[0], col=query[1])
        at = open_app(**clicked.query_params)
        assert_drawn(at, small_trace(model=model, size=size), layer=5, query=query)


def test_a_second_click_on_the_patch_keeps_it() -> None:
    at = click_patch(open_small(), row=2, col=5)
    click_patch(at, row=2, col=5)
    assert_drawn(at, small_trace(), layer=5, query=(2, 5))


def test_the_query_goes_back_to_cls() -> None:
    at = click_patch(open_small(), row=2, col=5)
    at.button(key=keys.RESET_QUERY).click().run()
    assert_drawn(at, small_trace(), layer=5)
    assert "query" not in at.query_params


def test_a_click_in_the_grid_opens_that_head() -> None:
    at = click_head(open_small(layer="1"), head=2)
    assert_drawn(at, small_trace(), layer=1, head=2)
    assert at.segmented_control(key=keys.HEAD).value == "2"
    assert_drawn(click_head(at, head=0), small_trace(), layer=1, head=0)


def test_a_click_in_the_mosaic_opens_that_layer_and_head_and_keeps_the_query() -> None:
    at = click_layer_and_head(open_small(query="0.4,0.7"), layer=3, head=1)
    assert_drawn(at, small_trace(), layer=3, head=1, query=(2, 5))
    assert (at.slider(key=keys.LAYER).value, at.segmented_control(key=keys.HEAD).value) == (3, "1")


def test_a_second_click_on_a_cell_keeps_its_head() -> None:
    at = click_layer_and_head(open_small(), layer=3, head=1)
    click_layer_and_head(at, layer=3, head=1)
    click_head(at, head=1)
    assert_drawn(at, small_trace(), layer=3, head=1)


@pytest.mark.parametrize(
    ("model", "size", "depth"), [("demo_vit_p8", 96, 6), ("demo_vit_p16", 160, 6), ("random_vit_tiny_p16", 96, 12)]
)
def test_another_model_or_size_is_drawn_as_the_engine_has_it(model: str, size: int, depth: int) -> None:
    at = open_small()
    at.selectbox(key=keys.MODEL).set_value(model)
    at.selectbox(key=keys.SIZE).set_value(size).run()
    at.slider(key=keys.LAYER).set_value(depth - 1).run()
    assert_drawn(at, small_trace(model=model, size=size), layer=depth - 1)


def test_the_query_stays_at_its_point_in_another_patch_size() -> None:
    at = click_patch(open_small(), row=2, col=5)  # 16 px: its middle is at y 40, x 88
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p8").run()
    assert_drawn(at, small_trace(model="demo_vit_p8"), layer=5, query=(5, 11))


def test_maps_too_large_for_the_mosaic_are_averaged_there_and_whole_elsewhere() -> None:
    at = open_small(model="demo_vit_p8", size="256", picture="scene_1")
    trace = small_trace(model="demo_vit_p8", size=256)
    assert max(trace.grid.shape) > 32
    assert_drawn(at, trace, layer=5)


def test_random_weights_are_never_silent() -> None:
    badge = "random weights"
    assert not any(badge in text.value for text in open_small().main.markdown)
    assert any(badge in text.value for text in open_small(model="random_vit_tiny_p16").main.markdown)


def test_the_title_says_which_picture_at_which_size() -> None:
    (caption,) = (text for text in captions(open_small()) if "Scene 1" in text)
    assert "96×128 px · 6×8 patches · " in caption
    assert not re.search(r"\b0(\.0)?\s", caption), "nothing takes no time and no memory"


@pytest.mark.parametrize("model", ["demo_vit_p16", "random_vit_tiny_p16"])
def test_entropy_by_depth_is_the_cls_entropy_in_bits(model: str) -> None:
    trace = small_trace(model=model)
    drawn = decode_figure(open_small(model=model), keys.ENTROPY_BY_DEPTH)
    bits = trace.statistics.cls_entropy / math.log(2)
    assert drawn.keys() == {*(f"head {head}" for head in range(trace.spec.heads)), "mean", "layout"}
    for head in range(trace.spec.heads):
        np.testing.assert_allclose(drawn[f"head {head}"]["y"], bits[:, head], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(drawn[f"head {head}"]["x"], list(trace.layers))
    np.testing.assert_allclose(drawn["mean"]["y"], bits.mean(axis=1), rtol=1e-4, atol=1e-5)


def test_cells_say_their_cls_entropy_on_hover() -> None:
    bits = small_trace().statistics.cls_entropy / math.log(2)
    told = hover_texts(decode_figure(open_small(), keys.MOSAIC)["cells"])
    assert told.shape == bits.shape
    for (layer, head), text in np.ndenumerate(told):
        assert text == f"layer {layer} · head {head}<br>CLS entropy {bits[layer, head]:.2f} bits"


@pytest.mark.parametrize("name", ["scene_1", "scene_3"])
def test_the_classifiers_likeliest_classes_are_shown_on_scenes(name: str) -> None:
    likely = small_trace(picture=name).predictions[:3]
    expected = "Classifier: " + " · ".join(f"{p.label} {p.probability:.0%}" for p in likely)
    assert [text for text in captions(open_small(picture=name)) if text.startswith("Classifier")] == [expected]


def test_the_demo_models_do_not_classify_photographs() -> None:
    assert not any("Classifier" in text for text in captions(open_small(picture="cat")))


def test_a_model_without_classes_shows_none() -> None:
    assert not any("Classifier" in text for text in captions(open_small(model="random_vit_tiny_p16")))


def test_layer_head_query_and_look_never_run_the_model_again(runs: list[str]) -> None:
    at = open_small()
    runs.clear()
    at.slider(key=keys.LAYER).set_value(1).run()
    at.segmented_control(key=keys.HEAD).set_value("max").run()
    click_patch(at, row=0, col=0)
    click_layer_and_head(at, layer=4, head=2)
    at.slider(key=keys.OPACITY).set_value(10).run()
    at.segmented_control(key=keys.VIEW).set_value("beside").run()
    at.segmented_control(key=keys.SCALE).set_value("own").run()
    assert_drawn(at, small_trace(), layer=4, head=2, query=(0, 0), own_scale=True)
    assert runs == []


@pytest.mark.usefixtures("fresh_caches")
def test_two_sessions_on_one_view_run_the_model_once(runs: list[str]) -> None:
    for _ in range(2):
        at = open_small()
    assert_drawn(at, engine_trace(pictures.sample_picture("scene_1").data, "demo_vit_p16", 96), layer=5)
    assert runs == ["demo_vit_p16"]
