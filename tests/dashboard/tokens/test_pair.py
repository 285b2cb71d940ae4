"""Two pictures on the page Tokens: lines are the engine's correspondences, colours are fitted to both, a click asks."""

import numpy as np
import pytest

import vit_engine as ve
from dashboard import keys
from dashboard.testing import click, click_pair, click_token
from tests.dashboard.support import SMALL
from tests.dashboard.tokens.fixtures_pair import (
    FIRST,
    OTHER,
    as_pairs,
    engine_matches,
    engine_pair,
    open_pair,
    pair_figure,
    pairs,
    rings,
)
from tests.dashboard.tokens.fixtures_tokens import (
    CLOSE,
    assert_says,
    components,
    drawn,
    engine_features,
    keys_of,
    open_small_tokens,
)

ASKED = (2, 5)


def test_without_a_second_picture_there_is_no_figure_of_two() -> None:
    at = open_small_tokens()
    assert not {keys.TOKEN_PAIR, keys.MATCHES, keys.RATIO, keys.SECOND_SAMPLE, keys.SECOND_SIZE} & keys_of(at)
    assert at.segmented_control(key=keys.SECOND_SOURCE).value == "none"


def test_lines_are_the_engines_best_matches_and_the_numbers_are_told() -> None:
    at = open_pair(matches="5")
    assert not at.exception
    assert not at.warning
    expected = engine_matches()
    assert len(expected) > 5
    assert pairs(at) == as_pairs(expected.best(5))
    assert_says(at, f"**{len(expected)}** of {expected.candidates} mutual nearest neighbours are clear (ratio ≤ 0.8)")
    assert_says(at, "the best 5 are drawn")
    assert_says(at, "Left: Motorcycle, 6×8 patches of 16 px · right: Motorcycle, right eye, 6×8 patches of 16 px")


def test_the_controls_draw_more_or_fewer_lines() -> None:
    at = open_pair()
    at.select_slider(key=keys.RATIO).set_value(1).run()
    at.select_slider(key=keys.MATCHES).set_value(10).run()
    assert pairs(at) == as_pairs(engine_matches(ratio=1).best(10))
    assert (at.query_params["ratio"], at.query_params["matches"]) == ("1", "10")
    at.select_slider(key=keys.MATCHES).set_value(0).run()
    assert pairs(at) == set()
    assert_says(at, "none is drawn")


@pytest.mark.parametrize("facet", ["key", "value"])
def test_lines_follow_features_and_layer(facet: str) -> None:
    at = open_pair(facet=facet, token_layer="2", matches="200")
    assert pairs(at) == as_pairs(engine_matches(facet=facet, layer=2))


def test_components_are_fitted_to_both_pictures_in_both_figures() -> None:
    at = open_pair()
    first, second = ve.pca_map(engine_pair())
    alone = ve.pca_map(engine_pair()[0])
    near = {"atol": 0.02 * np.abs(first.components).max()}
    assert not np.allclose(first.components, alone.components, **near)
    np.testing.assert_allclose(components(at), first.components, **near)
    figure = pair_figure(at)
    for name, expected in (("first", first), ("second", second)):
        np.testing.assert_allclose(figure[name]["customdata"][..., :3], expected.components.transpose(1, 2, 0), **near)
    at.segmented_control(key=keys.SECOND_SOURCE).set_value("none").run()
    np.testing.assert_allclose(components(at), alone.components, **near)


def test_a_click_in_the_first_picture_shows_what_is_like_it_in_both() -> None:
    at = click_pair(open_pair(), "first", row=2, col=5)
    assert not at.exception
    assert at.segmented_control(key=keys.TOKENS_VIEW).value == "similarity"
    first, second = engine_pair()
    figure = pair_figure(at)
    np.testing.assert_allclose(figure["first"]["z"], ve.similarity_map(first, ASKED).values, **CLOSE)
    expected = ve.similarity_map(first, ASKED, second).values
    np.testing.assert_allclose(figure["second"]["z"], expected, **CLOSE)
    assert figure["first"]["zmin"] == figure["second"]["zmin"]
    best = np.unravel_index(expected.argmax(), expected.shape)
    assert rings(at) == {"query": ("first", *ASKED), "best match": ("second", *map(int, best))}
    assert "asks" not in at.query_params
    assert set(zip(drawn(at)["query"]["y"], drawn(at)["query"]["x"], strict=True)) == {ASKED}
    assert_says(at, f"cosine similarity **{expected.max():.2f}**")


def test_a_click_in_the_second_picture_asks_there_and_leaves_the_firsts_point() -> None:
    at = click_pair(open_pair(query="0.9,0.1"), "second", row=2, col=5)
    first, second = engine_pair()
    figure, expected = pair_figure(at), ve.similarity_map(second, ASKED, first).values
    np.testing.assert_allclose(figure["first"]["z"], expected, **CLOSE)
    np.testing.assert_allclose(drawn(at)["tokens"]["z"], expected, **CLOSE)
    np.testing.assert_allclose(figure["second"]["z"], ve.similarity_map(second, ASKED).values, **CLOSE)
    best = np.unravel_index(expected.argmax(), expected.shape)
    assert rings(at) == {"query": ("second", *ASKED), "best match": ("first", *map(int, best))}
    assert at.session_state[keys.QUERY] == (0.9, 0.1)
    assert "query" not in drawn(at)
    assert_says(at, "patch row 2, col 5 of the second picture")


def test_the_newest_click_is_the_query() -> None:
    at = click_pair(open_pair(query="0.9,0.1"), "second", row=2, col=5)
    assert rings(click_pair(at, "first", row=1, col=1))["query"] == ("first", 1, 1)
    assert rings(click_pair(at, "second", row=4, col=6))["query"] == ("second", 4, 6)
    assert rings(click_token(at, row=1, col=1))["query"] == ("first", 1, 1)  # the same point as before


def test_a_point_of_explore_takes_the_place_of_one_in_the_second_picture() -> None:
    at = click_pair(open_pair(), "second", row=2, col=5)
    at.query_params.clear()  # as a browser does on the way to another page
    at.switch_page("views/explore.py").run()
    click(at, keys.OVERLAY, x=3, y=4)
    at.query_params.clear()
    at.switch_page("views/tokens.py").run()
    assert rings(at)["query"] == ("first", 4, 3)


def test_one_click_leads_back_to_the_cls_token_from_either_picture() -> None:
    for at in (
        click_pair(open_pair(), "first", row=2, col=5),
        click_pair(open_pair(query="0.9,0.1"), "second", row=2, col=5),
    ):
        at.button(key=keys.RESET_QUERY).click().run()
        assert rings(at) == {}
        expected = ve.similarity_map(*engine_pair()[:1], "cls").values
        np.testing.assert_allclose(pair_figure(at)["first"]["z"], expected, **CLOSE)
        assert not {"query", "asks"} & at.query_params.keys()


def test_a_click_between_the_pictures_changes_nothing() -> None:
    at = open_pair()
    figure = pair_figure(at)
    before, gap = dict(at.query_params), figure["second"]["x0"] - figure["second"]["dx"] / 2 - 1
    click(at, keys.TOKEN_PAIR, x=gap, y=20)
    assert dict(at.query_params) == before


def test_lengths_have_one_scale_in_both_pictures() -> None:
    at = open_pair(tokens="norms")
    figure = pair_figure(at)
    lengths = [ve.token_norms(each).values for each in engine_pair()]
    for name, values in zip(("first", "second"), lengths, strict=True):
        np.testing.assert_allclose(figure[name]["z"], values, rtol=2e-3)
        assert figure[name]["zmax"] == pytest.approx(max(map(np.max, lengths)), rel=2e-3)


@pytest.mark.usefixtures("fresh_caches")
def test_the_model_runs_once_a_picture_and_pairs_are_compared_once(
    token_runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare, compared = ve.correspondences, []
    monkeypatch.setattr(ve, "correspondences", lambda *each, **options: compared.append(1) or compare(*each, **options))
    at = open_pair()
    click_pair(at, "second", row=2, col=5)
    for ratio in (0.6, 1):
        at.select_slider(key=keys.RATIO).set_value(ratio).run()
    at.select_slider(key=keys.MATCHES).set_value(100).run()
    assert (token_runs, len(compared)) == (["token", "token"], 1)
    at.slider(key=keys.TOKEN_LAYER).set_value(2).run()
    at.slider(key=keys.TOKEN_LAYER).set_value(5).run()
    assert (token_runs, len(compared)) == (["token", "token"], 2)


def test_none_clear_says_what_to_change() -> None:
    scenes = [engine_features(picture=name) for name in ("scene_1", "scene_3")]
    expected = ve.correspondences(*scenes, ratio=0.6)
    assert len(expected) == 0
    at = open_pair(picture="scene_1", **{"with": "scene_3"}, ratio="0.6")
    (warning,) = at.warning
    assert f"None of {expected.candidates} pairs" in warning.value
    assert "Allow a larger ratio" in warning.value
    assert pairs(at) == set()


def test_a_picture_beside_itself_says_so_unless_at_another_size() -> None:
    at = open_pair(**{"with": FIRST})
    (note,) = at.info
    assert "one picture at one size" in note.value
    at.selectbox(key=keys.SECOND_SIZE).set_value(128).run()
    assert not at.info
    larger = ve.correspondences(engine_pair()[0], engine_features(picture=FIRST, size=128))
    assert pairs(at) == as_pairs(larger.best(30))
    assert_says(at, "6×8 patches of 16 px · right: Motorcycle, 8×11 patches of 16 px")
    assert at.query_params["with_size"] == "128"
    asked = rings(click_pair(at, "second", row=7, col=10))
    assert asked["query"] == ("second", 7, 10)


def test_the_link_names_the_second_picture_and_reopens_the_same_view() -> None:
    at = click_pair(open_pair(with_size="128", matches="10", ratio="0.9"), "second", row=2, col=5)
    link = dict(at.query_params)
    expected = SMALL | {
        "picture": FIRST,
        "with": OTHER,
        "with_size": "128",
        "matches": "10",
        "ratio": "0.9",
        "tokens": "similarity",
    }
    assert link.items() >= expected.items()
    again = open_small_tokens(**link)
    assert again.get_by_key(keys.TOKEN_PAIR).proto.spec == at.get_by_key(keys.TOKEN_PAIR).proto.spec
    assert not again.warning
    assert dict(again.query_params) == link
