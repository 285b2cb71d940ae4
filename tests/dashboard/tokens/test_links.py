"""Links of the page Tokens name every choice, and tell what they cannot have."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.testing import click_token
from tests.dashboard.support import SMALL, open_small
from tests.dashboard.tokens.fixtures_tokens import EXPLORE, TOKENS, open_small_tokens

CHANGED = {"tokens": "norms", "facet": "value", "token_head": "2", "token_layer": "3", "foreground": "low"}


def change_all(at: AppTest) -> AppTest:
    at.selectbox(key=keys.FOREGROUND).set_value("low")
    at.selectbox(key=keys.FACET).set_value("value").run()
    at.selectbox(key=keys.TOKEN_HEAD).set_value("2")
    at.slider(key=keys.TOKEN_LAYER).set_value(3)
    return at.segmented_control(key=keys.TOKENS_VIEW).set_value("norms").run()


def assert_same(at: AppTest, other: AppTest) -> None:
    assert not at.exception
    assert not at.warning
    assert at.get_by_key(keys.TOKEN_MAP).proto.spec == other.get_by_key(keys.TOKEN_MAP).proto.spec
    assert at.query_params == other.query_params


def test_a_link_names_what_is_chosen_and_nothing_else() -> None:
    at = open_small_tokens()
    assert at.query_params == SMALL
    assert change_all(at).query_params == SMALL | CHANGED


def test_reopening_a_link_gives_the_same_page() -> None:
    at = change_all(open_small_tokens(query="0.4,0.7", token_zoom="0.0000,0.2500,0.5000,0.7500"))
    assert_same(open_small_tokens(**at.query_params), at)


def test_a_click_is_in_the_link() -> None:
    at = click_token(open_small_tokens(facet="key", token_head="1"), row=4, col=1)
    assert at.query_params["tokens"] == "similarity"
    assert_same(open_small_tokens(**at.query_params), at)


def test_what_is_set_back_to_the_default_leaves_the_link() -> None:
    at = open_small_tokens(**CHANGED)
    at.segmented_control(key=keys.TOKENS_VIEW).set_value("pca").run()
    at.selectbox(key=keys.FOREGROUND).set_value("")
    at.selectbox(key=keys.FACET).set_value("token")
    at.slider(key=keys.TOKEN_LAYER).set_value(5).run()
    assert at.query_params == SMALL


def test_coming_back_from_another_page_finds_everything_as_it_was() -> None:
    at = change_all(open_small_tokens())
    before = at.get_by_key(keys.TOKEN_MAP).proto.spec
    at.query_params.clear()  # as a browser does on the way to another page
    at.switch_page(EXPLORE).run()
    assert not at.exception
    at.query_params.clear()
    at.switch_page(TOKENS).run()
    assert at.get_by_key(keys.TOKEN_MAP).proto.spec == before
    assert at.query_params == SMALL | CHANGED


def test_what_explore_chose_is_kept() -> None:
    at = open_small(layer="2", head="1", query="0.4,0.7")
    before = dict(at.query_params)
    at.switch_page(TOKENS).run()
    assert at.query_params == before
    assert at.slider(key=keys.TOKEN_LAYER).value == 5


@pytest.mark.parametrize(
    ("link", "key", "value", "words"),
    [
        ({"tokens": "umap"}, keys.TOKENS_VIEW, "pca", "the view 'umap'"),
        ({"facet": "output"}, keys.FACET, "token", "facet 'output'"),
        ({"facet": "key", "token_head": "9"}, keys.TOKEN_HEAD, "3", "using 3"),
        ({"facet": "key", "token_head": "x"}, keys.TOKEN_HEAD, "all", "using all"),
        ({"token_head": "1"}, None, None, "tokens belong to no head"),
        ({"token_layer": "77"}, keys.TOKEN_LAYER, 5, "asks for layer '77'"),
        ({"foreground": "middle"}, keys.FOREGROUND, "", "using all patches"),
        ({"token_zoom": "1,1,0,0"}, None, None, "the whole picture"),
    ],
)
def test_a_stale_link_tells_what_replaced_it(
    link: dict[str, str], key: str | None, value: str | int | None, words: str
) -> None:
    at = open_small_tokens(**link)
    (notice,) = at.warning
    assert words in notice.value
    if key is not None:
        assert at.get_by_key(key).value == value
    at.run()
    assert not at.warning


def test_a_layer_may_be_counted_from_the_last() -> None:
    assert open_small_tokens(token_layer="-2").slider(key=keys.TOKEN_LAYER).value == 4


def test_a_head_that_another_model_does_not_have_becomes_all() -> None:
    at = open_small_tokens(facet="key", token_head="3")
    at.selectbox(key=keys.MODEL).set_value("random_vit_tiny_p16").run()
    assert not at.exception
    assert at.selectbox(key=keys.TOKEN_HEAD).value == "all"
