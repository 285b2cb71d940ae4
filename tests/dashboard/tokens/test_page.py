"""The page Tokens draws the engine's components, similarity and lengths, and never runs the model twice for them."""

import numpy as np
import pytest

import vit_engine as ve
from dashboard import keys
from dashboard.testing import click, click_token, decode_figure
from tests.dashboard.support import assert_drawn, hover_texts, open_small, small_trace
from tests.dashboard.tokens.fixtures_tokens import (
    CLOSE,
    EXPLORE,
    LAST,
    TOKENS,
    assert_says,
    components,
    drawn,
    engine_features,
    keys_of,
    open_small_tokens,
    texts,
)


def test_the_page_opens_by_itself_with_the_picture_and_its_components() -> None:
    at = open_small_tokens()
    assert not at.exception
    assert not at.warning
    assert not at.error
    expected = ve.pca_map(engine_features())
    np.testing.assert_allclose(components(at), expected.components, atol=0.02 * np.abs(expected.components).max())
    assert len(drawn(at)["layout"]["images"]) == 2  # the picture, and the colours
    assert_says(at, f"explain **{sum(expected.explained):.0%}** of the variance")
    assert_says(at, "6×8 patches")
    assert at.slider(key=keys.TOKEN_LAYER).value == LAST
    assert keys.TOKEN_PROFILE not in keys_of(at)
    assert keys.TOKEN_HEAD not in keys_of(at)
    at.run()
    assert not at.exception
    assert at.sidebar.get_by_key(keys.MODEL).key == keys.MODEL


def test_colours_of_a_layer_are_those_of_the_engine() -> None:
    at = open_small_tokens()
    at.slider(key=keys.TOKEN_LAYER).set_value(2).run()
    expected = ve.pca_map(engine_features(), layer=2)
    np.testing.assert_allclose(components(at), expected.components, atol=0.02 * np.abs(expected.components).max())


@pytest.mark.parametrize("side", ["high", "low"])
def test_the_foreground_alone_is_coloured_and_its_share_told(side: str) -> None:
    at = open_small_tokens()
    at.selectbox(key=keys.FOREGROUND).set_value(side).run()
    expected = ve.pca_map(engine_features(), foreground=side)
    assert expected.foreground is not None
    np.testing.assert_array_equal(np.isfinite(components(at)[0]), expected.foreground)
    assert_says(at, f"within the foreground, {expected.foreground.mean():.0%} of the patches")


@pytest.mark.parametrize("facet", ["query", "key", "value"])
@pytest.mark.parametrize("head", [None, 2])
def test_every_facet_can_be_looked_at_whole_or_of_one_head(facet: str, head: int | None) -> None:
    at = open_small_tokens(tokens="similarity", query="0.4,0.7")
    at.selectbox(key=keys.FACET).set_value(facet).run()
    if head is not None:
        at.selectbox(key=keys.TOKEN_HEAD).set_value(str(head)).run()
    assert at.selectbox(key=keys.TOKEN_HEAD).options == ["All", "0", "1", "2", "3"]
    expected = ve.similarity_map(engine_features(facet), (2, 5), head=head)
    np.testing.assert_allclose(drawn(at)["tokens"]["z"], expected.values, **CLOSE)


def test_a_click_in_the_components_asks_for_what_is_like_that_patch() -> None:
    at = click_token(open_small_tokens(), row=4, col=6)
    assert at.segmented_control(key=keys.TOKENS_VIEW).value == "similarity"
    figure, expected = drawn(at), ve.similarity_map(engine_features(), (4, 6)).values
    np.testing.assert_allclose(figure["tokens"]["z"], expected, **CLOSE)
    assert figure["tokens"]["zmin"] == pytest.approx(np.percentile(expected, 1), abs=5e-3)
    assert figure["tokens"]["zmax"] == pytest.approx(1, abs=1e-3)
    assert set(zip(figure["query"]["y"], figure["query"]["x"], strict=True)) == {(4, 6)}
    assert_says(at, "Query: **patch row 4, col 6** · most similar elsewhere: patch row ")
    told = hover_texts({**figure["tokens"], "customdata": figure["picture"]["customdata"]})
    assert told[4, 6] == "patch row 4, col 6<br>cosine similarity 1.000"


def test_hover_over_the_picture_tells_what_it_tells_over_the_map() -> None:
    picture = drawn(open_small_tokens(tokens="similarity"))["picture"]
    assert picture["hovertemplate"] == (
        "patch row %{y}, col %{x}<br>cosine similarity %{customdata[0]:.3f}<extra></extra>"
    )


def test_without_a_click_similarity_is_the_cls_tokens() -> None:
    at = open_small_tokens(tokens="similarity")
    np.testing.assert_allclose(drawn(at)["tokens"]["z"], ve.similarity_map(engine_features(), "cls").values, **CLOSE)
    assert "query" not in drawn(at)
    assert_says(at, "Query: **CLS token** · most similar: patch row ")
    assert keys.RESET_QUERY not in keys_of(at)


def test_one_click_leads_back_to_the_cls_token() -> None:
    at = open_small_tokens(tokens="similarity", query="0.4,0.7")
    at.button(key=keys.RESET_QUERY).click().run()
    assert "query" not in drawn(at)
    assert "query" not in at.query_params


def test_a_query_means_the_same_patch_on_explore() -> None:
    at = click_token(open_small_tokens(), row=2, col=5)
    assert_drawn(at.switch_page(EXPLORE).run(), small_trace(), layer=LAST, query=(2, 5))
    at.switch_page(TOKENS).run()
    assert set(drawn(at)["query"]["y"]) == {2}


@pytest.mark.parametrize("layer", [LAST, 0])
def test_norms_are_those_of_the_engine_with_their_outliers_ringed(layer: int) -> None:
    at = open_small_tokens(tokens="norms", token_layer=str(layer))
    norms, figure = ve.token_norms(engine_features(), layer=layer), drawn(at)
    np.testing.assert_allclose(figure["tokens"]["z"], norms.values, rtol=2e-3)
    ringed = figure.get("outliers", {"y": np.array([]), "x": np.array([])})
    assert list(zip(ringed["y"].tolist(), ringed["x"].tolist(), strict=True)) == list(norms.outliers)
    assert_says(at, f"Median length **{norms.median:.1f}** · largest **{norms.values.max():.1f}**")
    assert_says(at, "longer than 3 × the median")


def test_a_layer_with_outliers_is_among_those_that_are_tested() -> None:
    assert any(ve.token_norms(engine_features(), layer=layer).outliers for layer in (LAST, 0))


def test_a_click_in_the_norms_tells_that_patchs_length_and_stays() -> None:
    at = click_token(open_small_tokens(tokens="norms"), row=1, col=3)
    norms = ve.token_norms(engine_features())
    assert at.segmented_control(key=keys.TOKENS_VIEW).value == "norms"
    times = norms.values[1, 3] / norms.median
    assert_says(at, f"patch row 1, col 3: {norms.values[1, 3]:.1f} ({times:.2f} × the median)")


def test_the_profile_tells_lengths_by_depth_and_a_click_chooses_a_layer() -> None:
    at = open_small_tokens(tokens="norms", facet="key", token_head="1")
    profile = decode_figure(at, keys.TOKEN_PROFILE)
    norms = [ve.token_norms(engine_features("key"), layer=layer, head=1) for layer in range(6)]
    np.testing.assert_allclose(profile["median"]["y"], [each.median for each in norms], rtol=2e-3)
    np.testing.assert_allclose(profile["longest"]["y"], [each.values.max() for each in norms], rtol=2e-3)
    np.testing.assert_allclose(profile["CLS"]["y"], [each.prefix[0] for each in norms], rtol=2e-3)
    np.testing.assert_allclose(profile["3 × the median"]["y"], [each.limit for each in norms], rtol=2e-3)
    low = [np.percentile(each.values, 5) for each in norms]
    np.testing.assert_allclose(profile["5th percentile"]["y"], low, rtol=2e-3)
    assert profile["layers"]["customdata"][0, :, 6].tolist() == [len(each.outliers) for each in norms]
    click(at, keys.TOKEN_PROFILE, x=2.3, y=1)
    assert at.slider(key=keys.TOKEN_LAYER).value == 2
    assert at.query_params["token_layer"] == "2"


@pytest.mark.usefixtures("fresh_caches")
def test_the_model_is_run_once_for_each_facet(token_runs: list[str]) -> None:
    at = open_small_tokens()
    at.slider(key=keys.TOKEN_LAYER).set_value(1).run()
    click_token(at, row=2, col=2)
    at.segmented_control(key=keys.TOKENS_VIEW).set_value("norms").run()
    assert token_runs == ["token"]
    at.selectbox(key=keys.FACET).set_value("key").run()
    at.selectbox(key=keys.TOKEN_HEAD).set_value("3").run()
    at.selectbox(key=keys.FACET).set_value("token").run()
    assert not at.exception
    assert token_runs == ["token", "key"]


def test_the_colours_of_the_sidebar_are_those_of_the_map() -> None:
    at = open_small_tokens(tokens="similarity", colours="turbo")
    first = drawn(at)["tokens"]["colorscale"]
    at.selectbox(key=keys.COLOURS).set_value("cividis").run()
    assert drawn(at)["tokens"]["colorscale"] != first
    assert keys.OPACITY not in keys_of(at)


def test_a_zoom_stays_for_the_next_map_and_one_click_shows_the_whole_picture() -> None:
    at = open_small_tokens(token_zoom="0.0000,0.2500,0.5000,0.7500")
    layout = drawn(at)["layout"]
    assert (layout["xaxis"]["range"], layout["yaxis"]["range"]) == ([1.5, 5.5], [2.5, -0.5])
    assert (layout["xaxis2"]["matches"], layout["yaxis2"]["matches"]) == ("x", "y")
    click_token(at, row=1, col=3)
    assert drawn(at)["layout"]["xaxis"]["range"] == [1.5, 5.5]
    at.button(key=keys.TOKEN_RESET_ZOOM).click().run()
    assert drawn(at)["layout"]["xaxis"]["range"] == [-0.5, 7.5]


def test_another_models_last_layer_is_shown_first() -> None:
    at = open_small_tokens()
    at.selectbox(key=keys.MODEL).set_value("random_vit_tiny_p16").run()
    assert at.slider(key=keys.TOKEN_LAYER).value == 11
    assert_says(at, "random weights")


def test_a_heads_keys_open_from_explore() -> None:
    at = open_small(layer="3", head="1")
    at.button(key=keys.OPEN_KEYS).click().run()
    at.switch_page(TOKENS).run()  # the test does not follow a page's own switch by itself
    assert at.query_params["facet"] == "key"
    assert (at.query_params["token_head"], at.query_params["token_layer"]) == ("1", "3")
    expected = ve.pca_map(engine_features("key"), layer=3, head=1).components
    np.testing.assert_allclose(components(at), expected, atol=0.02 * np.abs(expected).max())


def test_the_mean_of_all_heads_has_no_keys_of_its_own() -> None:
    assert keys.OPEN_KEYS not in keys_of(open_small())


def test_each_number_has_a_unit_or_a_word() -> None:
    for view in ("pca", "similarity", "norms"):
        said = " ".join(texts(open_small_tokens(tokens=view, query="0.4,0.7")))
        assert {"pca": "of the variance", "similarity": "most similar", "norms": "length"}[view] in said
