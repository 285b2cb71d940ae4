"""What a bare address opens: a real model where its weights are here; links mean what they meant without it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.compare.presets import REAL as REAL_MODEL
from dashboard.links.selection import DEFAULT, Selection
from dashboard.services import opening
from dashboard.testing import open_app
from tests.dashboard.support import assert_drawn, small_trace
from vit_engine.registry import find_model
from vit_engine.weights import weights_path

FIRST = Selection(picture="cat", model="demo_vit_p16", size=96, layer=2, head="1")


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> Selection:
    """A first view as small as can be, in the place of the real model's."""
    monkeypatch.setattr(opening, "REAL", FIRST)
    return FIRST


def assert_shows(at: AppTest, selection: Selection) -> None:
    trace = small_trace(picture=selection.picture, model=selection.model, size=selection.size)
    layer = trace.spec.depth - 1 if selection.layer is None else selection.layer
    head = selection.head if selection.one_head is None else selection.one_head
    assert_drawn(at, trace, layer=layer, head=head, own_scale=selection.scale == "own")
    assert (at.selectbox(key=keys.MODEL).value, at.selectbox(key=keys.SIZE).value) == (selection.model, selection.size)
    assert at.slider(key=keys.LAYER).value == layer


def test_a_bare_address_opens_the_first_view_and_stays_bare(first: Selection) -> None:
    at = open_app()
    assert_shows(at, first)
    assert at.query_params == {}
    assert_shows(at.run(), first)
    assert at.query_params == {}


def test_another_view_has_a_link_that_opens_it_again(first: Selection) -> None:
    at = open_app()
    at.slider(key=keys.LAYER).set_value(3).run()
    link = {"picture": "cat", "model": "demo_vit_p16", "size": "96", "layer": "3", "head": "1"}
    assert at.query_params == link
    again = open_app(**link)
    assert again.slider(key=keys.LAYER).value == 3
    again.slider(key=keys.LAYER).set_value(2).run()
    assert_shows(again, first)
    assert again.query_params == {}


def test_a_link_means_what_it_meant(first: Selection) -> None:
    at = open_app(layer="2")
    assert (at.selectbox(key=keys.MODEL).value, at.selectbox(key=keys.SIZE).value) == (DEFAULT.model, DEFAULT.size)
    at.slider(key=keys.LAYER).set_value(5).run()
    assert at.query_params == {"model": DEFAULT.model}  # bare, it would be the first view
    assert first.model != DEFAULT.model


@pytest.mark.usefixtures("first")
def test_a_link_to_another_page_does_not_open_the_first_view() -> None:
    at = open_app(pane=["demo_vit_p8:5:mean", "demo_vit_p16:5:mean"]).switch_page("views/compare.py").run()
    assert at.selectbox(key=keys.SIZE).value == DEFAULT.size


def test_without_its_weights_a_first_visit_opens_in_a_demo_model() -> None:
    assert opening.selection() == DEFAULT


@pytest.mark.usefixtures("real_weights")
def test_with_its_weights_too_large_for_this_server_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening.selection() == opening.REAL
    monkeypatch.setattr("dashboard.services.limits.MODEL_BYTES", 10_000_000)
    assert opening.selection() == DEFAULT


@pytest.mark.usefixtures("fresh_caches")
def test_a_weight_file_that_cannot_be_loaded_is_told_once_and_opens_no_later_visit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    path = weights_path(find_model(opening.REAL.model))
    path.write_bytes(b"<html>")
    at = open_app()
    assert path.name in at.error.values[0]
    assert at.query_params["model"] == opening.REAL.model
    assert_shows(open_app(), DEFAULT)
    path.write_bytes(b"<html></html>")  # another file may be whole
    assert opening.selection() == opening.REAL


@pytest.mark.usefixtures("fresh_caches")
def test_a_first_visit_shows_a_real_model_on_a_photograph(real_weights: Path) -> None:
    at = open_app()
    assert real_weights.exists()
    assert_shows(at, opening.REAL)
    assert not at.warning
    at.switch_page("views/compare.py").run()
    assert [pane.model for pane in at.session_state[keys.PANES]] == [REAL_MODEL, "demo_vit_p16", "random_dinov2_vits14"]
