"""A link reopens what it was made from; what it cannot have is told once and brought to what there is."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.links import browser
from dashboard.links.selection import DEFAULT
from dashboard.services import pictures
from dashboard.testing import click_layer_and_head, click_patch, open_app
from tests.dashboard.support import (
    SMALL,
    assert_drawn,
    assert_works,
    engine_trace,
    ignore,
    noise_png,
    open_small,
    small_trace,
)


def test_reopening_a_link_gives_the_same_drawing() -> None:
    at = click_patch(click_layer_and_head(open_small(), layer=3, head=1), row=4, col=6)
    at.slider(key=keys.OPACITY).set_value(35)
    at.segmented_control(key=keys.VIEW).set_value("beside")
    at.segmented_control(key=keys.SCALE).set_value("own")
    at.selectbox(key=keys.COLOURS).set_value("turbo")
    at.select_slider(key=keys.CLIP).set_value(98).run()
    again = open_app(**at.query_params)
    assert_drawn(again, small_trace(), layer=3, head=1, query=(4, 6), own_scale=True, clip=98)
    for key in (keys.OVERLAY, keys.HEAD_GRID, keys.MOSAIC):
        assert again.get_by_key(key).proto.spec == at.get_by_key(key).proto.spec
    assert again.query_params == at.query_params
    assert not again.warning


def test_a_link_names_what_is_chosen_and_nothing_else() -> None:
    at = open_small()
    assert at.query_params == SMALL
    at.slider(key=keys.LAYER).set_value(2).run()
    assert at.query_params == {**SMALL, "layer": "2"}
    at.segmented_control(key=keys.HEAD).set_value("max").run()
    assert at.query_params == {**SMALL, "layer": "2", "head": "max"}


def test_what_is_set_back_to_the_default_leaves_the_link() -> None:
    at = open_small(layer="2", head="1", opacity="30", scale="own", clip="90", colours="turbo", view="beside")
    at.slider(key=keys.LAYER).set_value(5)
    at.segmented_control(key=keys.HEAD).set_value(DEFAULT.head)
    at.slider(key=keys.OPACITY).set_value(DEFAULT.opacity)
    at.segmented_control(key=keys.SCALE).set_value(DEFAULT.scale)
    at.select_slider(key=keys.CLIP).set_value(DEFAULT.clip)
    at.selectbox(key=keys.COLOURS).set_value(DEFAULT.colours)
    at.segmented_control(key=keys.VIEW).set_value(DEFAULT.view).run()
    assert at.query_params == SMALL


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"layer": "99"}, {"layer": 5}),
        ({"layer": "-99"}, {"layer": 0}),
        ({"layer": "nan"}, {"layer": 5}),
        ({"head": "4"}, {"layer": 5, "head": 3}),
        ({"head": "all"}, {"layer": 5}),
        ({"query": "2,-1"}, {"layer": 5, "query": (5, 0)}),
        ({"query": "here"}, {"layer": 5}),
        ({"clip": "91"}, {"layer": 5, "clip": 90}),
        ({"scale": "log"}, {"layer": 5}),
        ({"view": ""}, {"layer": 5}),
        ({"opacity": "層"}, {"layer": 5}),
        ({"size": "97"}, {"layer": 5}),
    ],
)
def test_what_a_link_cannot_have_is_clamped_and_told_once(asked: dict[str, str], shown: dict) -> None:
    at = open_small(**asked)
    (name,), (value,) = asked.keys(), asked.values()
    (notice,) = at.warning
    assert name in notice.value
    assert value in notice.value
    assert_drawn(at, small_trace(), **shown)
    at.run()
    assert not at.warning
    assert_drawn(at, small_trace(), **shown)


def test_a_clamped_link_becomes_one_that_needs_no_notice() -> None:
    at = open_small(layer="99", head="77", query="9,9", opacity="900", size="100")
    assert at.query_params == {**SMALL, "head": "3", "query": "1.0000,1.0000", "opacity": "100"}
    assert not open_app(**at.query_params).warning


def test_an_unknown_model_becomes_the_default_with_a_notice() -> None:
    at = open_small(model="gpt-7")
    (notice,) = at.warning
    assert "gpt-7" in notice.value
    assert DEFAULT.model in notice.value.replace("\\", "")
    assert_drawn(at, small_trace(model=DEFAULT.model), layer=5)


def test_many_faults_are_told_together() -> None:
    at = open_small(model="gpt-7", layer="x", head="y", size="z", picture="w")
    (notice,) = at.warning
    assert all(f"'{fault}'" in notice.value for fault in ("gpt-7", "x", "y", "z", "w"))
    assert_works(at)


@pytest.mark.parametrize("name", ["picture", "model", "head", "query", "view"])
def test_a_link_cannot_put_pictures_or_markup_on_the_page(name: str) -> None:
    (notice,) = open_small(**{name: "![x](http://a.example/b.png):red[c]$d$"}).warning
    for markup in ("![x]", "](", ":red[", "$d$"):
        assert markup not in notice.value.replace("\\]", "")


def test_unknown_parameters_are_no_fault() -> None:
    assert not open_small(utm_source="mail").warning


def test_a_link_to_a_held_upload_shows_it_in_another_session() -> None:
    data = noise_png(40)
    picture = pictures.keep_upload(data, ignore)
    at = open_small(picture=f"sha256:{picture.sha256}")
    assert_drawn(at, engine_trace(data, "demo_vit_p16", 96), layer=5)
    assert not at.warning
    assert at.query_params["picture"] == f"sha256:{picture.sha256}"
    assert at.segmented_control(key=keys.SOURCE).value == "upload"


def test_a_link_to_an_upload_that_is_gone_says_so_and_shows_a_sample() -> None:
    at = open_small(picture="sha256:" + "ab" * 32)
    (notice,) = at.warning
    assert "upload it again" in notice.value
    assert_drawn(at, small_trace(picture=DEFAULT.picture), layer=5)
    at.run()
    assert not at.warning


def test_the_sha256_alone_is_no_picture() -> None:
    picture = pictures.keep_upload(noise_png(41), ignore)
    at = open_small(picture=picture.sha256)
    assert len(at.warning) == 1
    assert_drawn(at, small_trace(picture=DEFAULT.picture), layer=5)


def test_a_new_link_in_a_session_resets_what_it_leaves_out() -> None:
    at = open_small(layer="1", head="2")
    at.query_params.clear()
    for name, value in {**SMALL, "layer": "3"}.items():
        at.query_params[name] = value
    at.run()
    assert_drawn(at, small_trace(), layer=3)


def test_a_bare_address_as_after_a_change_of_page_keeps_everything() -> None:
    at = open_small(layer="1", head="2")
    at.query_params.clear()
    at.run()
    assert_drawn(at, small_trace(), layer=1, head=2)


def test_a_bare_address_that_the_browser_went_back_to_is_what_this_page_began_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_app()
    assert at.query_params == {}
    at.segmented_control(key=keys.HEAD).set_value("1").run()
    assert at.query_params == {"head": "1"}
    monkeypatch.setattr(browser, "went_back", lambda: True)
    at.query_params.clear()
    at.switch_page("views/models.py").run()  # which writes no address: the bare one says nothing there
    assert at.session_state[keys.HEAD] == "1"
    at.query_params.clear()
    at.switch_page("views/explore.py").run()
    assert at.segmented_control(key=keys.HEAD).value == "mean"
    assert at.query_params == {}


def test_a_step_back_on_compare_keeps_what_its_links_do_not_name(monkeypatch: pytest.MonkeyPatch) -> None:
    at = open_small(layer="1", head="2").switch_page("views/compare.py").run()
    older = dict(at.query_params)
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("mask").run()
    monkeypatch.setattr(browser, "went_back", lambda: True)
    come_back(at, older).run()
    assert at.segmented_control(key=keys.COMPARE_SHOW).value == "map"
    monkeypatch.undo()
    at.query_params.clear()
    assert_drawn(at.switch_page("views/explore.py").run(), small_trace(), layer=1, head=2)


def test_parameters_of_others_stay_in_the_address() -> None:
    at = open_small(utm_source="mail", layer="1")
    at.slider(key=keys.LAYER).set_value(2).run()
    assert at.query_params["utm_source"] == "mail"
    assert at.query_params["layer"] == "2"


def come_back(at: AppTest, link: dict[str, str]) -> AppTest:
    """An address as the browser sends it with what it does next."""
    at.query_params.clear()
    for name, value in link.items():
        at.query_params[name] = value
    return at


def test_an_older_address_that_comes_with_an_input_is_no_link() -> None:
    at = open_small(layer="1")
    older = dict(at.query_params)
    at.slider(key=keys.LAYER).set_value(2).run()
    come_back(at, older).segmented_control(key=keys.HEAD).set_value("3").run()
    assert_drawn(at, small_trace(), layer=2, head=3)
    assert at.query_params == {**SMALL, "layer": "2", "head": "3"}


def test_an_older_address_of_a_browser_that_has_not_got_the_last_one_is_no_link() -> None:
    at = open_small(layer="1")
    older, seen = dict(at.query_params), at.number_input(key=keys.ADDRESS_SEEN).value
    at.slider(key=keys.LAYER).set_value(2).run()
    come_back(at, older).number_input(key=keys.ADDRESS_SEEN).set_value(seen).run()
    assert_drawn(at, small_trace(), layer=2)
    assert at.query_params == {**SMALL, "layer": "2"}


def test_an_older_address_that_comes_alone_is_a_link() -> None:
    at = open_small(layer="1")
    older = dict(at.query_params)
    at.slider(key=keys.LAYER).set_value(2).run()
    come_back(at, older).run()
    assert_drawn(at, small_trace(), layer=1)
    assert at.query_params == older


def test_an_older_address_is_a_link_where_the_browser_went_there_through_its_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = open_small(layer="1")
    older, seen = dict(at.query_params), at.number_input(key=keys.ADDRESS_SEEN).value
    at.slider(key=keys.LAYER).set_value(2).run()
    monkeypatch.setattr(browser, "went_back", lambda: True)
    come_back(at, older).number_input(key=keys.ADDRESS_SEEN).set_value(seen).run()
    assert_drawn(at, small_trace(), layer=1)


def test_a_link_that_nobody_wrote_yet_is_one_also_beside_an_input() -> None:
    at = open_small(layer="1")
    come_back(at, {**SMALL, "layer": "4"}).run()
    assert_drawn(at, small_trace(), layer=4)


def test_an_address_that_may_be_under_way_is_written_again() -> None:
    at = open_small(layer="1")
    at.slider(key=keys.LAYER).set_value(2).run()
    first = dict(at.query_params)
    come_back(at, SMALL | {"layer": "1"}).slider(key=keys.LAYER).set_value(1).run()
    assert at.query_params == SMALL | {"layer": "1"} != first
    assert_drawn(at, small_trace(), layer=1)
