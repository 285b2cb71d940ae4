"""Uploaded pictures: decoded once and elsewhere, kept as pixels alone, none in the way of another."""

import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from dashboard.services import decoder, jobs, limits, pictures
from dashboard.services.pictures import Picture
from tests.dashboard.slow import HOURS, Processes
from tests.dashboard.support import SMALL, analyse, ignore, noise_png, request
from vit_engine.progress import Progress

PATIENCE = 60  # seconds until a test that hangs fails
SECRET = b"SECRET"

pytestmark = pytest.mark.usefixtures("fresh_caches")


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    seen = Processes()
    monkeypatch.setattr(decoder.subprocess, "Popen", seen)
    return seen


@pytest.fixture
def sessions() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Held:
    """decode, held for some files until they are let go."""

    def __init__(self, decode: Callable[..., np.ndarray], *slow: bytes) -> None:
        self.decode, self.slow = decode, slow
        self.started, self.go_on = threading.Semaphore(0), threading.Event()

    def __call__(self, data: bytes, report: Progress, *, most_pixels: int) -> np.ndarray:
        if data in self.slow:
            if len(data) > 30_000 and most_pixels == limits.KEPT_PIXELS:  # a large one, for the other lane
                raise decoder.LargerPictureError
            self.started.release()
            assert self.go_on.wait(PATIENCE)
        return self.decode(data, report, most_pixels=most_pixels)


def hold(monkeypatch: pytest.MonkeyPatch, *slow: bytes) -> Held:
    held = Held(decoder.decode, *slow)
    monkeypatch.setattr(pictures, "decode", held)
    return held


def test_a_slow_picture_holds_up_no_other(monkeypatch: pytest.MonkeyPatch, sessions: ThreadPoolExecutor) -> None:
    slow = [noise_png(seed, height=31, width=41) for seed in range(limits.PICTURES_AT_ONCE - 1)]
    held = hold(monkeypatch, *slow)
    waiting = [sessions.submit(pictures.keep_upload, data, ignore) for data in slow]
    assert all(held.started.acquire(timeout=PATIENCE) for _ in slow)
    quick = sessions.submit(pictures.keep_upload, noise_png(9), ignore).result(PATIENCE)
    assert quick.shape == (113, 149)
    assert not any(future.done() for future in waiting)
    held.go_on.set()
    assert [future.result(PATIENCE).shape for future in waiting] == [(31, 41)] * len(slow)


def test_as_many_slow_pictures_as_have_places_hold_up_no_small_one(
    monkeypatch: pytest.MonkeyPatch, sessions: ThreadPoolExecutor
) -> None:
    """Slow by its scans, by its bytes, by its pixels, and one whose headers say nothing."""
    monkeypatch.setattr(limits, "PICTURES_AT_ONCE", 4)
    slow = [with_scans(80), bytes(11_000_000), noise_png(1, height=1, width=1), b"BM"]
    slow[2] = slow[2][:16] + (5000).to_bytes(4, "big") * 2 + slow[2][24:]
    started, go_on = threading.Semaphore(0), threading.Event()

    def held(data: bytes, *_: object, **__: object) -> np.ndarray:
        if data in slow:
            started.release()
            assert go_on.wait(PATIENCE)
        return np.zeros((1, 2, 3), np.uint8)

    monkeypatch.setattr(pictures, "decode", held)
    waiting = [sessions.submit(pictures.keep_upload, data, ignore) for data in slow]
    assert all(started.acquire(timeout=PATIENCE) for _ in slow)
    more = sessions.submit(pictures.keep_upload, slow[0] + b"more", ignore)
    assert sessions.submit(pictures.keep_upload, noise_png(9), ignore).result(PATIENCE).shape == (1, 2)
    assert not any(future.done() for future in (*waiting, more))
    go_on.set()
    assert [future.result(PATIENCE).shape for future in (*waiting, more)] == [(1, 2)] * 5


def with_scans(count: int) -> bytes:
    """A JPEG of a few bytes that states 4000×4000 pixels and has so many scans, all but one of them empty."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    data = buffer.getvalue()
    frame = data.index(b"\xff\xc0") + 5
    scans = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" * (count - 1)
    return data[:frame] + (4000).to_bytes(2, "big") * 2 + data[frame + 4 : -2] + scans + data[-2:]


def test_large_pictures_wait_for_one_another_and_hold_up_no_small_one(
    monkeypatch: pytest.MonkeyPatch, sessions: ThreadPoolExecutor
) -> None:
    """Also where small ones have a single place."""
    monkeypatch.setattr(limits, "PICTURES_AT_ONCE", 1)
    large = [noise_png(seed) for seed in (10, 11, 12)]
    held = hold(monkeypatch, *large)
    told = threading.Event()

    def progress(_: float, message: str) -> None:
        if message == "waiting for other large pictures":
            told.set()

    waiting = [sessions.submit(pictures.keep_upload, data, progress) for data in large]
    assert held.started.acquire(timeout=PATIENCE)
    assert told.wait(PATIENCE)
    assert pictures.keep_upload(noise_png(13, height=31, width=41), ignore).shape == (31, 41)
    assert not held.started.acquire(blocking=False)
    held.go_on.set()
    assert [future.result(PATIENCE).shape for future in waiting] == [(113, 149)] * 3


def test_a_picture_is_decoded_once_for_all_sessions_and_models(
    processes: Processes, sessions: ThreadPoolExecutor
) -> None:
    data = noise_png(14)
    kept = list(sessions.map(lambda _: pictures.keep_upload(data, ignore), range(8)))
    assert all(picture is kept[0] for picture in kept)
    for model in ("demo_vit_p8", "demo_vit_p16"):
        analyse(kept[0], model, 96, ignore)
    assert pictures.keep_upload(data, ignore) is kept[0]
    assert len(processes.started) == 1


def test_the_servers_own_process_decodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("it was opened here"))
    picture = pictures.keep_upload(noise_png(15), ignore)
    found = analyse(picture, SMALL["model"], 96, ignore)
    monkeypatch.undo()
    opened = ve.open_image(noise_png(15))
    expected = ve.prepare_image(opened, found.trace.spec, size=96)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.trace.image_sha256 == opened.info["sha256"]


class Left(BaseException):
    """As Streamlit ends a script."""


def test_who_closes_a_tab_ends_the_decoding(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, popen_kill = threading.Event(), decoder.subprocess.Popen.popen.kill

    def kill(process: object) -> None:
        popen_kill(process)
        ended.set()

    monkeypatch.setattr(processes.popen, "kill", kill)

    def leave(_: float, message: str) -> None:
        if processes.started:
            monkeypatch.setattr(jobs, "GRACE", -1.0)  # not before: on a busy machine a watcher may look late
            raise Left(message)

    with pytest.raises(Left):
        pictures.keep_upload(HOURS, leave)
    assert ended.wait(PATIENCE)
    (process,) = processes.started
    assert process.wait(PATIENCE) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def with_metadata() -> bytes:
    exif = Image.Exif()
    exif[0x013B] = exif[0x010F] = SECRET.decode()
    buffer = io.BytesIO()
    Image.open(io.BytesIO(noise_png(16))).save(buffer, "JPEG", exif=exif, comment=SECRET, quality=95)
    assert SECRET in buffer.getvalue()
    return buffer.getvalue()


def test_of_an_upload_only_its_pixels_are_kept() -> None:
    data = with_metadata()
    picture = pictures.keep_upload(data, ignore)
    assert SECRET not in picture.data
    assert not any(isinstance(value, bytes) for value in vars(picture).values())
    with Image.open(io.BytesIO(picture.data)) as png:
        png.load()
        assert (png.format, png.mode, png.info) == ("PNG", "RGB", {})
    np.testing.assert_array_equal(np.asarray(ve.open_image(picture.data)), np.asarray(ve.open_image(data)))
    assert picture.open().info == {"sha256": picture.sha256}


def test_a_picture_is_opened_as_the_engine_opens_its_file() -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    picture = Picture(pixels, "ab" * 32, "by hand")
    assert picture.shape == (4, 5)
    np.testing.assert_array_equal(np.asarray(picture.open()), pixels)


def test_uploads_are_bounded_in_bytes_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """31 × 41 × 3 = 3813 bytes each: two fit."""
    monkeypatch.setattr(limits, "UPLOAD_BYTES", 3 * 3813 - 1)
    kept = [pictures.keep_upload(noise_png(seed, height=31, width=41), ignore) for seed in (17, 18, 19)]
    assert [pictures.find_upload(each.sha256) is None for each in kept] == [True, False, False]


def test_a_picture_over_the_bound_is_reduced_and_analysed(monkeypatch: pytest.MonkeyPatch) -> None:
    """√(5000 / (113 × 149)) = 0.545 of each side; cost and run agree about what is left."""
    monkeypatch.setattr(limits, "KEPT_PIXELS", 5000)
    picture = pictures.keep_upload(noise_png(20), ignore)
    assert picture.shape == (61, 81)
    found = analyse(picture, SMALL["model"], 48, ignore)
    assert found.trace.grid == request(picture, SMALL["model"], 48).cost.grid
    assert found.frame == (48, 63)
