"""Downloads run in the background: every session sees them, any can stop them, and the next goes on from there."""

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import catalogue, downloads, jobs, memory, pictures
from dashboard.testing import choose_model, open_app, open_models
from tests.dashboard.downloads import HELD, NAME, PATH, PATIENCE, TITLE, UNDER_WAY, Watched, weights
from tests.dashboard.support import SMALL, assert_drawn, engine_trace, ignore
from tests.vit_engine.weights.serving import Server
from vit_engine.weights import fetch


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
    assert downloads.find_download(NAME) is None
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
    picture = pictures.sample_picture(SMALL["picture"]).data
    assert_drawn(at, engine_trace(picture, NAME, 96), layer=5)
    assert memory.load_report(NAME).format == "DINO"


@pytest.mark.usefixtures("fresh_caches", "server")
def test_a_model_whose_download_ends_while_a_page_asks_for_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_ended(name: str) -> None:
        fetch(catalogue.models()[name])

    monkeypatch.setattr(catalogue, "find_download", find_ended)
    assert catalogue.find_row(NAME).origin == "downloaded"


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
    assert catalogue.is_ready(catalogue.models()[NAME])


@pytest.mark.usefixtures("fresh_caches")
def test_an_analysis_never_downloads_by_itself(server: Server) -> None:
    with pytest.raises(ve.CheckpointError, match=r"not here yet: download them on the page Models"):
        memory.load_model(NAME, ignore)
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


def full_disk(_: object) -> Any:
    return shutil._ntuple_diskusage(1, 1, 0)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize("trouble", ["not writable", "no folder", "full", "checksum", "record"])
def test_a_failure_names_no_folder_of_the_server(
    server: Server, watched: Watched, trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home of John Doe"
    home.mkdir()
    monkeypatch.setenv("VIT_ENGINE_HOME", str(home))
    expected = {
        "not writable": "Read-only file system",
        "no folder": "File exists",
        "full": "5 MB are needed in the cache folder and 0 MB are free",
        "checksum": f"expected {'a' * 64}, as recorded in fetched_vit.pth.sha256 when it first came",
        "record": "fetched_vit.pth.sha256 must begin with the 64 hex digits",
    }[trouble]
    if trouble == "not writable":
        monkeypatch.setattr(Path, "mkdir", ignoring_read_only)
    elif trouble == "no folder":
        monkeypatch.setenv("VIT_ENGINE_HOME", str(home / "file"))
        (home / "file").touch()
    elif trouble == "full":
        monkeypatch.setattr(shutil, "disk_usage", full_disk)
    else:
        (home / "fetched_vit.pth.sha256").write_text("a" * 64 if trouble == "checksum" else "nonsense")
    at = opened()
    if trouble != "record":
        at.button(key=keys.DOWNLOAD_MODEL).click().run()
        assert isinstance(watched.wait_for_the_end(), ve.DownloadError)
        at = opened()
    (error,) = at.main.error
    shown = error.value.replace("\\", "")
    assert expected in shown
    assert "John" not in shown
    assert str(tmp_path) not in shown
    assert "/" not in shown.replace(server.url + PATH, "")


def ignoring_read_only(self: Path, *_: object, **__: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system", str(self))


@pytest.mark.usefixtures("fresh_caches", "server")
def test_weights_that_are_not_those_that_first_came_name_no_folder(tmp_path: Path) -> None:
    """In Explore, whose analysis loads the model."""
    (tmp_path / "fetched_vit.pth").write_bytes(weights())
    (tmp_path / "fetched_vit.pth.sha256").write_text("b" * 64)
    at = open_app(**SMALL | {"model": NAME})
    (error,) = at.main.error
    assert f"expected {'b' * 64}" in error.value
    assert "etched_vit.pth has sha256" in error.value.replace("\\", "")
    assert str(tmp_path) not in error.value


@pytest.mark.usefixtures("fresh_caches", "server")
def test_what_a_model_was_loaded_from_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "fetched_vit.pth").write_bytes(weights())
    assert memory.load_model(NAME, ignore).report.source == "fetched_vit.pth"
