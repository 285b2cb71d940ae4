"""A link to Heads reopens just this page; the page keeps what was chosen; stale links are clamped with a notice."""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.services import catalogue
from dashboard.services.checkpoints import folder
from dashboard.testing import decode_figure, open_app
from tests.dashboard.checkpoints import HEADS as HEADS_THERE
from tests.dashboard.checkpoints import engine_trace_of, save_checkpoint
from tests.dashboard.heads.fixtures_heads import CLOSE, EXPLORE, HEADS, click_cell, open_heads, statistic_of
from tests.dashboard.support import SMALL, assert_drawn, open_small, small_trace

CHARTS = (keys.STATISTIC_MAP, keys.PROFILE, keys.SIMILARITY)


def change_all(at: AppTest) -> AppTest:
    at.selectbox(key=keys.HEADS_STATISTIC).set_value("distance_px")
    at.segmented_control(key=keys.HEADS_PROFILE).set_value("entropy")
    at.multiselect(key=keys.HEADS_OVERLAY).set_value(["demo_vit_p8", "random_vit_tiny_p16"])
    at.segmented_control(key=keys.HEADS_RANKING).set_value("unlike")
    at.slider(key=keys.HEADS_LAYER).set_value(3)
    at.segmented_control(key=keys.HEADS_ORDER).set_value("number")
    return at.select_slider(key=keys.HEADS_REDUNDANT).set_value(0.2).run()


CHANGED = {
    "statistic": "distance_px",
    "profile": "entropy",
    "overlay": ["demo_vit_p8", "random_vit_tiny_p16"],
    "ranking": "unlike",
    "similar_layer": "3",
    "similar_order": "number",
    "redundant": "0.2",
}


def assert_same(one: AppTest, other: AppTest) -> None:
    assert not one.exception
    for key in CHARTS:
        assert one.get_by_key(key).proto.spec == other.get_by_key(key).proto.spec
    assert one.query_params == other.query_params


def test_a_link_names_what_is_chosen_and_nothing_else() -> None:
    at = open_heads()
    assert at.query_params == SMALL
    assert change_all(at).query_params == {**SMALL, **CHANGED}


def test_reopening_a_link_gives_the_same_page() -> None:
    at = change_all(open_heads(query="0.4,0.7", layer="2", head="1"))
    again = open_heads(**at.query_params)
    assert_same(again, at)
    assert not again.warning


def test_the_scope_is_in_the_link() -> None:
    at = open_heads()
    at.segmented_control(key=keys.HEADS_SCOPE).set_value("all").run()
    assert at.query_params == {**SMALL, "similar": "all"}
    assert_same(open_heads(similar="all"), at)


def test_what_is_set_back_to_the_default_leaves_the_link() -> None:
    at = open_heads(statistic="distance_px", similar_layer="2", overlay=["demo_vit_p8"])
    at.selectbox(key=keys.HEADS_STATISTIC).set_value("cls_entropy_normalised")
    at.multiselect(key=keys.HEADS_OVERLAY).set_value([])
    at.slider(key=keys.HEADS_LAYER).set_value(5).run()
    assert at.query_params == SMALL


def test_coming_back_from_another_page_finds_everything_as_it_was() -> None:
    at = change_all(open_heads())
    before = {key: at.get_by_key(key).proto.spec for key in CHARTS}
    at.query_params.clear()  # as a browser does on the way to another page
    assert_drawn(at.switch_page(EXPLORE).run(), small_trace(), layer=5)
    at.query_params.clear()
    at.switch_page(HEADS).run()
    assert {key: at.get_by_key(key).proto.spec for key in CHARTS} == before
    assert at.query_params == {**SMALL, **CHANGED}


def test_what_explore_chose_is_kept() -> None:
    at = open_small(layer="2", head="1", query="0.4,0.7")
    before = dict(at.query_params)
    at.switch_page(HEADS).run()
    assert at.query_params == before
    assert before.keys() == SMALL.keys() | {"layer", "head", "query"}
    assert_drawn(at.switch_page(EXPLORE).run(), small_trace(), layer=2, head=1, query=(2, 5))


def test_a_method_without_heads_is_shown_as_raw_attention_and_comes_back_in_explore() -> None:
    at = open_small(method="rollout", options="fuse=max")
    at.query_params.clear()
    at.switch_page(HEADS).run()
    assert at.selectbox(key=keys.METHOD).value == "raw"
    assert any(
        "Attention rollout has no heads of its own: these are of raw attention." in each.value for each in at.caption
    )
    at.query_params.clear()
    at.switch_page(EXPLORE).run()
    assert at.selectbox(key=keys.METHOD).value == "rollout"
    assert (at.query_params["method"], at.query_params["options"]) == ("rollout", "fuse=max")


def test_a_method_without_heads_comes_back_in_explore_after_a_reload_of_heads() -> None:
    at = open_small(method="rollout", options="fuse=max")
    at.query_params.clear()
    at.switch_page(HEADS).run()
    link = {**SMALL, "method": "rollout", "options": "fuse=max"}
    assert at.query_params == link
    again = open_heads(**{name: value for name, value in link.items() if name not in SMALL})
    assert again.selectbox(key=keys.METHOD).value == "raw"
    assert again.query_params == link
    assert not again.warning
    again.query_params.clear()
    again.switch_page(EXPLORE).run()
    assert again.selectbox(key=keys.METHOD).value == "rollout"
    assert again.query_params == link


def test_a_method_that_is_chosen_on_heads_stays_and_so_does_the_raw_attention_of_a_head_that_is_opened() -> None:
    at = open_heads(method="rollout")
    at.selectbox(key=keys.METHOD).set_value("column").run()
    at.selectbox(key=keys.METHOD).set_value("raw").run()
    assert not any("no heads of its own" in each.value for each in at.caption)
    at.selectbox(key=keys.METHOD).set_value("column").run()
    assert at.switch_page(EXPLORE).run().selectbox(key=keys.METHOD).value == "column"
    opened = click_cell(open_heads(method="rollout"), keys.STATISTIC_MAP, 3, 1)
    assert_drawn(opened, small_trace(), layer=3, head=1)


def test_what_a_link_cannot_have_is_told_once_together_with_the_rest() -> None:
    at = open_heads(layer="99", statistic="x", overlay=["gpt-7"], similar_layer="77")
    (notice,) = at.warning
    assert all(f"'{fault}'" in notice.value for fault in ("99", "x", "gpt-7", "77"))
    assert at.slider(key=keys.HEADS_LAYER).value == 5
    assert at.query_params == SMALL
    at.run()
    assert not at.warning


def test_a_link_cannot_put_markup_on_the_page() -> None:
    (notice,) = open_heads(statistic="![x](http://a.example/b.png):red[c]").warning
    assert "![x]" not in notice.value
    assert ":red[" not in notice.value


@pytest.mark.usefixtures("fresh_caches")
def test_an_own_checkpoint_is_opened_again_and_one_that_is_gone_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    save_checkpoint(tmp_path / "run" / "last.pth")
    there, gone = f"file:run/last.pth@{HEADS_THERE}", "file:run/gone.pth@2"
    at = open_heads(overlay=[there, gone])
    (notice,) = at.warning
    assert "there is no checkpoint" in notice.value
    assert f"overlay '{gone}'" in notice.value.replace("\\", "")
    assert at.multiselect(key=keys.HEADS_OVERLAY).value == [there]
    values = statistic_of("cls_entropy_normalised", engine_trace_of(tmp_path / "run" / "last.pth"))
    drawn = decode_figure(at, keys.PROFILE)[f"heads of {catalogue.models()[there].title}"]
    np.testing.assert_allclose(drawn["y"], values.ravel(), **CLOSE)


@pytest.mark.parametrize(("model", "layer"), [("random_vit_tiny_p16", 11), ("demo_vit_p16", 5)])
def test_the_matrixs_layer_is_the_last_unless_chosen(model: str, layer: int) -> None:
    assert open_heads(model=model).slider(key=keys.HEADS_LAYER).value == layer


def test_a_layer_that_another_model_does_not_have_becomes_its_last() -> None:
    at = open_heads(model="random_vit_tiny_p16", similar_layer="9")
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert not at.exception
    assert at.slider(key=keys.HEADS_LAYER).value == 5
    at.selectbox(key=keys.MODEL).set_value("random_vit_tiny_p16").run()
    assert at.slider(key=keys.HEADS_LAYER).value == 5


def test_parameters_of_others_stay_in_the_address() -> None:
    at = open_heads(utm_source="mail", ranking="local")
    at.segmented_control(key=keys.HEADS_RANKING).set_value("focused").run()
    assert at.query_params == {**SMALL, "utm_source": "mail"}


def test_a_link_to_explore_knows_nothing_of_heads() -> None:
    assert not open_app(**SMALL, statistic="nonsense").warning
