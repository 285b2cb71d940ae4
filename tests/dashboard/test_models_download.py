"""Downloads run in the background: every session sees them, any can stop them, and the next goes on from there."""

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import jobs, keys, services
from dashboard.testing import choose_model, open_app, open_models
from tests.dashboard.downloads import HELD, NAME, PATH, PATIENCE, TITLE, UNDER_WAY, Watched
from tests.dashboard.support import SMALL, assert_drawn, engine_trace, ignore
from tests.vit_engine.weights.serving import Server


def opened() -> AppTest:
    return choose_model(open_models(**SMALL), TITLE)


def button_keys(at: AppTest) -> set[str | None]:
    return {button.key for button in at.button}


def status(at: AppTest) -> str:
    return at.dataframe(key=keys.MODELS_TABLE).value.set_index("model").loc[TITLE, "status"]


def progress(at: AppTest) -> list[str]:
    return [bar.proto.text for bar in at.main.get("progress") if "ownloading" in bar.proto.text]


@pytest.mark.usefixtures("fresh_caches")
def test_a_download_is_seen_stopped_by_any_session_and_goes_on_from_where_it_was(
    server: Server, watched: Watched
) -> None:
    server.files[PATH].held = HELD
    at = opened()
    assert "not here" in status(at)
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert watched.halfway.wait(PATIENCE)
    at.run()
    (shown,) = progress(at)
    assert UNDER_WAY.fullmatch(shown)
    assert status(at) == "… downloading"
    assert keys.DOWNLOAD_MODEL not in button_keys(at)

    other = opened()
    assert len(progress(other)) == 1
    other.button(key=keys.CANCEL_DOWNLOAD).click().run()
    assert services.find_download(NAME) is None
    server.gate.set()
    assert isinstance(watched.wait_for_the_end(), jobs.StoppedError)

    at.run()
    assert not at.error
    assert "MB of about" in status(at)
    assert at.button(key=keys.DOWNLOAD_MODEL).label == "Resume download"
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert watched.wait_for_the_end() is None
    assert server.asked[0].range is None
    assert int(server.asked[1].range.removeprefix("bytes=").rstrip("-")) >= 2_000_000
    at.run()
    assert status(at) == "✓ ready · downloaded"
    at.button(key=keys.OPEN_MODEL).click().run()
    picture = services.sample_picture(SMALL["picture"]).data
    assert_drawn(at, engine_trace(picture, NAME, 96), layer=5)
    assert services.load_report(NAME).format == "DINO"


@pytest.mark.usefixtures("fresh_caches")
def test_a_download_goes_on_while_nobody_watches(
    server: Server, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files[PATH].held = HELD
    at = opened()
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    at.switch_page("views/guide.py").run()
    assert watched.halfway.wait(PATIENCE)
    monkeypatch.setattr(jobs, "GRACE", -1.0)  # nobody's last look is recent enough
    server.gate.set()
    assert watched.wait_for_the_end() is None
    assert services.is_ready(services.models()[NAME])


@pytest.mark.usefixtures("fresh_caches")
def test_an_analysis_never_downloads_by_itself(server: Server) -> None:
    with pytest.raises(ve.CheckpointError, match=r"not here yet: download them on the page Models"):
        services.load_model(NAME, ignore)
    assert server.asked == []


@pytest.mark.usefixtures("fresh_caches")
def test_a_failure_says_why_and_can_be_tried_again(server: Server, watched: Watched) -> None:
    server.files[PATH].status = 404
    at = opened()
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert isinstance(watched.wait_for_the_end(), ve.DownloadError)
    at = opened()
    (error,) = at.main.error
    assert "there is no such file" in error.value
    assert status(at) == "✕ download failed"
    server.files[PATH].status = 200
    assert at.button(key=keys.DOWNLOAD_MODEL).label == "Try again"
    at.button(key=keys.DOWNLOAD_MODEL).click().run()
    assert watched.wait_for_the_end() is None
    at.run()
    assert not at.error
    assert status(at) == "✓ ready · downloaded"


@pytest.mark.usefixtures("fresh_caches", "server")
def test_the_sidebar_offers_it_before_it_is_here() -> None:
    at = open_app(**SMALL)
    assert TITLE in at.selectbox(key=keys.MODEL).options
