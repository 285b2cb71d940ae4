"""A model whose weights are not here: nothing is downloaded before somebody asks for it, and the rest goes on."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import downloads, jobs, pictures
from dashboard.testing import open_app
from tests.dashboard.downloads import HELD, NAME, PATH, PATIENCE, TITLE, UNDER_WAY, Watched
from tests.dashboard.support import SMALL, assert_drawn, assert_works, engine_trace, open_small, small_trace
from tests.vit_engine.weights.serving import Server

pytestmark = pytest.mark.usefixtures("fresh_caches")


def opened_by_link() -> AppTest:
    return open_small(model=NAME, layer="3")


def chosen_in_the_sidebar() -> AppTest:
    return open_small().selectbox(key=keys.MODEL).set_value(NAME).run()


def on_heads() -> AppTest:
    return open_app(**SMALL | {"model": NAME}).switch_page("views/heads.py").run()


@pytest.mark.parametrize("come", [opened_by_link, chosen_in_the_sidebar, on_heads])
def test_it_is_offered_with_its_size_and_licence_and_nothing_is_downloaded(
    server: Server, come: Callable[[], AppTest]
) -> None:
    at = come()
    assert not at.exception
    (offer,) = at.main.info
    assert TITLE in offer.value
    assert "about 5.17 MB" in offer.value
    assert "Licence: MIT" in offer.value
    assert at.button(key=keys.DOWNLOAD_MODEL).label == "Download"
    assert not at.main.error
    at.run()
    assert server.asked == []
    assert downloads.find_download(NAME) is None


def test_it_is_drawn_once_it_was_asked_for_and_came(server: Server, watched: Watched) -> None:
    at = opened_by_link()
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert watched.wait_for_the_end() is None
    at.run()
    assert len(server.asked) == 1
    assert not at.main.info
    assert at.query_params["layer"] == "3"
    assert_drawn(at, engine_trace(pictures.sample_picture(SMALL["picture"]).data, NAME, 96), layer=3)


def test_a_download_under_way_is_shown_and_can_be_cancelled(server: Server, watched: Watched) -> None:
    server.files[PATH].held = HELD
    at = opened_by_link()
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert watched.halfway.wait(PATIENCE)
    at.run()
    (bar,) = at.main.get("progress")
    assert UNDER_WAY.fullmatch(bar.proto.text)
    at.button(key=keys.CANCEL_DOWNLOAD).click().run()
    server.gate.set()
    assert isinstance(watched.wait_for_the_end(), jobs.StoppedError)
    at.run()
    assert at.button(key=keys.DOWNLOAD_MODEL).label == "Resume download"


def test_a_failure_says_why_can_be_tried_again_and_others_still_work(server: Server, watched: Watched) -> None:
    server.files[PATH].status = 404
    at = opened_by_link()
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert isinstance(watched.wait_for_the_end(), ve.DownloadError)
    at.run()
    (error,) = at.main.error
    assert "there is no such file" in error.value
    assert_works(at)
    assert at.button(key=keys.DOWNLOAD_MODEL).label == "Try again"
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert not at.error
    assert_drawn(at, small_trace(), layer=3)


@pytest.mark.usefixtures("server")
def test_the_sidebar_says_that_it_needs_a_download_and_how_large() -> None:
    at = opened_by_link()
    assert any("download" in caption.value and " MB" in caption.value for caption in at.sidebar.caption)
    at.selectbox(key=keys.MODEL).set_value("demo_vit_p16").run()
    assert not any("download" in caption.value for caption in at.sidebar.caption)
