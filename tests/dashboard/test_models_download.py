"""Downloads run in the background: every session sees them, any can stop them, and the next goes on from there."""

import dataclasses
import errno
import io
import shutil
import threading
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import jobs, keys, services
from dashboard.testing import choose_model, open_app, open_models
from tests.dashboard.support import SMALL, assert_drawn, engine_trace, ignore
from tests.vit_engine.weights.serving import Served, Server, running
from vit_engine import registry
from vit_engine.spec import Weights

PATIENCE = 30  # seconds until a test that hangs fails
NAME, TITLE, PATH = "fetched_vit", "Fetched ViT", "/fetched_vit.pth"
HELD = 2_500_000  # bytes, of about 4.8 million: two pieces of a million come through


def weights() -> bytes:
    """A weight file of several pieces, in DINO's layout."""
    model = ve.VisionTransformer(patch_size=16, dim=128, depth=6, heads=4, image_size=(96, 96))
    model.initialise(torch.Generator().manual_seed(7))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return file.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Weights on the loopback, and a model of the registry whose weights they are."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("VIT_ENGINE_MIRROR", raising=False)
    monkeypatch.setattr("vit_engine.weights.fetching.download.WAITS", (0.0, 0.0, 0.0))
    with running() as server:
        server.files[PATH] = Served(weights())
        spec = ve.ModelSpec(
            NAME, TITLE, "dino", patch_size=16, dim=128, depth=6, heads=4, native_size=(96, 96), resampling="dino",
            weights=Weights(url=server.url + PATH), licence="MIT", description="For tests.",
        )  # fmt: skip
        monkeypatch.setattr(registry, "MODELS", (*registry.MODELS, spec))
        yield server


@dataclasses.dataclass
class Watched:
    """What happens in the background: some bytes came, and each download's end with what it raised."""

    halfway: threading.Event = dataclasses.field(default_factory=threading.Event)
    ends: list[BaseException | None] = dataclasses.field(default_factory=list)
    ended: threading.Semaphore = dataclasses.field(default_factory=lambda: threading.Semaphore(0))

    def wait_for_the_end(self) -> BaseException | None:
        assert self.ended.acquire(timeout=PATIENCE)
        return self.ends[-1]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen, work, report = Watched(), jobs.Jobs._work, jobs.Job.report

    def working(some: jobs.Jobs, key: Hashable, job: jobs.Job, make: Callable) -> Any:
        error: BaseException | None = None
        try:
            return work(some, key, job, make)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if key == NAME:
                seen.ends.append(error)
                seen.ended.release()

    def reporting(job: jobs.Job, fraction: float, message: str) -> None:
        report(job, fraction, message)
        if fraction > 0.3:
            seen.halfway.set()

    monkeypatch.setattr(jobs.Jobs, "_work", working)
    monkeypatch.setattr(jobs.Job, "report", reporting)
    return seen


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
    assert progress(at) == ["Downloading fetched\\_vit.pth\\: 2 of 5 MB"]
    assert status(at) == "… downloading"
    assert keys.DOWNLOAD_MODEL not in button_keys(at)

    other = opened()
    assert progress(other) == progress(at)
    other.button(key=keys.CANCEL_DOWNLOAD).click().run()
    assert services.find_download(NAME) is None
    server.gate.set()
    assert isinstance(watched.wait_for_the_end(), jobs.StoppedError)

    at.run()
    assert not at.error
    assert "MB of about" in status(at)
    assert at.button(key=keys.DOWNLOAD_MODEL).label == "Go on downloading"
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
def test_explore_waits_for_the_same_download_and_is_told_when_somebody_stops_it(
    server: Server, watched: Watched
) -> None:
    server.files[PATH].held = HELD
    stopped: list[str] = []

    def stop(fraction: float, message: str) -> None:
        if fraction > 0.3 and not stopped:
            stopped.append(message)
            services.cancel_download(NAME)

    services.start_download(services.models()[NAME])
    with pytest.raises(ve.DownloadError, match=r"was cancelled.*page Models"):
        services.load_model(NAME, stop)
    assert len(server.asked) == 1
    server.gate.set()
    assert isinstance(watched.wait_for_the_end(), jobs.StoppedError)
    assert services.load_model(NAME, ignore).spec.name == NAME


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
    assert services.load_model(NAME, ignore).report.source == "fetched_vit.pth"
