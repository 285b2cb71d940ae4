"""The look of the maps, the view, and what stays when the page changes."""

import pytest

import vit_engine as ve
from dashboard import keys
from dashboard.links.selection import CLIPS
from dashboard.testing import click_patch, decode_figure
from tests.dashboard.support import assert_drawn, assert_works, open_small, small_trace
from vit_engine.report.colours import COLOUR_SCALES, colour_stops

CHARTS = (keys.OVERLAY, keys.HEAD_GRID, keys.MOSAIC)


@pytest.mark.parametrize("head", [1, "mean"])
def test_on_its_own_scale_every_head_uses_all_colours(head: int | str) -> None:
    at = open_small(layer="2", head=str(head))
    assert_drawn(at, small_trace(), layer=2, head=head)
    at.segmented_control(key=keys.SCALE).set_value("own").run()
    assert_drawn(at, small_trace(), layer=2, head=head, own_scale=True)
    at.segmented_control(key=keys.SCALE).set_value("shared").run()
    assert_drawn(at, small_trace(), layer=2, head=head)


def test_on_the_shared_scale_the_same_colour_is_the_same_weight_in_every_head() -> None:
    ends = {
        decode_figure(open_small(layer="2", head=head), keys.OVERLAY)["attention"]["zmax"] for head in ("0", "1", "2")
    }
    assert len(ends) == 1


@pytest.mark.parametrize("clip", CLIPS)
def test_the_scale_ends_at_the_percentile_that_was_chosen(clip: float) -> None:
    at = open_small(layer="1", head="0")
    at.select_slider(key=keys.CLIP).set_value(clip).run()
    assert_drawn(at, small_trace(), layer=1, head=0, clip=clip)


def test_opacity_is_that_of_the_attention_over_the_picture() -> None:
    at = open_small()
    for percent in (0, 40, 100):
        at.slider(key=keys.OPACITY).set_value(percent).run()
        assert decode_figure(at, keys.OVERLAY)["attention"]["opacity"] == percent / 100
        assert decode_figure(at, keys.MOSAIC)["attention"]["opacity"] == 1


@pytest.mark.parametrize("name", COLOUR_SCALES)
def test_colours_are_the_same_scale_in_every_chart(name: str) -> None:
    at = open_small()
    at.selectbox(key=keys.COLOURS).set_value(name).run()
    for key in CHARTS:
        assert [tuple(stop) for stop in decode_figure(at, key)["attention"]["colorscale"]] == colour_stops(name)


def test_the_legend_says_where_the_scale_of_the_large_map_ends() -> None:
    at = open_small(layer="2", head="1", scale="own")
    end = decode_figure(at, keys.OVERLAY)["attention"]["zmax"]
    (legend,) = [html.value for html in at.html if 'class="legend"' in html.value]
    assert f"{end:.2%}" in legend


def test_beside_the_picture_the_map_and_the_clicks_are_the_same() -> None:
    at = open_small(layer="2", head="1")
    at.segmented_control(key=keys.VIEW).set_value("beside").run()
    assert_drawn(at, small_trace(), layer=2, head=1)
    assert "images" in decode_figure(at, keys.OVERLAY)["layout"]
    assert_drawn(click_patch(at, row=3, col=6), small_trace(), layer=2, head=1, query=(3, 6))


def test_the_guide_opens_and_coming_back_finds_everything_as_it_was() -> None:
    at = click_patch(open_small(layer="1", head="2", clip="95", scale="own", view="beside"), row=3, col=6)
    before = dict(at.query_params)
    at.query_params.clear()  # as a browser does on the way to another page
    at.switch_page("views/guide.py").run()
    assert not at.exception
    assert at.sidebar.get_by_key(keys.MODEL).key == keys.MODEL
    assert any("Guide" in text.value for text in at.main.markdown)
    at.query_params.clear()
    at.switch_page("views/explore.py").run()
    assert_drawn(at, small_trace(), layer=1, head=2, query=(3, 6), own_scale=True, clip=95)
    assert at.segmented_control(key=keys.VIEW).value == "beside"
    assert at.query_params == before


def test_what_is_changed_on_the_guide_is_drawn_on_the_way_back() -> None:
    at = open_small()
    at.switch_page("views/guide.py").run()
    at.selectbox(key=keys.SIZE).set_value(160).run()
    at.switch_page("views/explore.py").run()
    assert_drawn(at, small_trace(size=160), layer=5)


def test_a_model_with_fewer_layers_and_heads_shows_its_own_last_ones() -> None:
    at = open_small(model="random_vit_tiny_p16", layer="11", head="2")
    assert_drawn(at, small_trace(model="random_vit_tiny_p16"), layer=11, head=2)
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert_drawn(at, small_trace(), layer=5, head=2)
    at.segmented_control(key=keys.HEAD).set_value("3").run()
    at.selectbox(key=keys.MODEL).set_value("random_vit_tiny_p16").run()  # three heads: 0 to 2
    assert_drawn(at, small_trace(model="random_vit_tiny_p16"), layer=11, head="mean")
    at.slider(key=keys.LAYER).set_value(4).run()
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()  # a layer that is not the last keeps its number
    assert_drawn(at, small_trace(), layer=4)


def test_every_model_can_be_chosen_in_the_sidebar() -> None:
    at = open_small()
    titles = at.selectbox(key=keys.MODEL).options
    assert len(set(titles)) == len(titles)
    assert sorted(titles) == sorted(spec.title for spec in ve.list_models())
    assert_works(at)


def test_all_charts_have_a_description_for_those_who_cannot_see_them() -> None:
    at = open_small(layer="2", head="1")
    for key in (*CHARTS, keys.ENTROPY_BY_DEPTH):
        assert at.get_by_key(key).proto.alt
    assert "layer 2 · head 1 · query CLS" in at.get_by_key(keys.OVERLAY).proto.alt
