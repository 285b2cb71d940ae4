"""A stranger's picture is decoded where it can be ended: exactly, within limits, by a process that is gone after."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from dashboard.services import decoder, limits
from dashboard.services.decoder import LargerPictureError, decode
from dashboard.services.jobs import AbandonedError
from tests.dashboard.slow import HOURS, Processes, slow_bmp
from tests.dashboard.support import ignore, noise_png
from vit_engine.progress import Progress

MOST = 64_000_000
NOISE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (83, 61, 4), dtype=np.uint8))


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    seen = Processes()
    monkeypatch.setattr(decoder.subprocess, "Popen", seen)
    return seen


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(NOISE.convert("RGB"), "JPEG", exif=exif)


FILES: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: encoded(NOISE.convert("RGB"), "PNG"),
    "transparent PNG": lambda: encoded(NOISE, "PNG"),
    "turned JPEG": turned,
    "CMYK": lambda: encoded(NOISE.convert("CMYK"), "JPEG"),
    "GIF": lambda: encoded(NOISE.convert("P"), "GIF"),
    "WebP": lambda: encoded(NOISE, "WEBP"),
    "BMP": lambda: encoded(NOISE.convert("RGB"), "BMP"),
    "16 bit TIFF": lambda: encoded(Image.fromarray(np.asarray(NOISE)[..., 0].astype(np.uint16) * 99), "TIFF"),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_exactly_those_of_the_engine(name: str) -> None:
    data = FILES[name]()
    pixels = decode(data, ignore, most_pixels=limits.KEPT_PIXELS)
    np.testing.assert_array_equal(pixels, np.asarray(ve.open_image(data)))
    assert (pixels.dtype, pixels.flags.writeable) == (np.uint8, False)


def test_a_file_larger_than_what_a_pipe_holds_arrives_whole() -> None:
    data = noise_png(1, height=700, width=900)
    assert len(data) > 1 << 20
    np.testing.assert_array_equal(decode(data, ignore, most_pixels=MOST), np.asarray(ve.open_image(data)))


def test_more_pixels_than_allowed_here_are_another_process_and_what_is_kept_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "KEPT_PIXELS", 4000)
    data = noise_png(2, height=60, width=80)
    with pytest.raises(LargerPictureError):
        decode(data, ignore, most_pixels=4799)
    assert decode(data, ignore, most_pixels=4800).shape == (54, 73, 3)  # √(4000 / 4800) of each side


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"<svg/>", "not a picture that can be read"),
        (noise_png(3)[:2000], "damaged or cut off"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x1f\x40\0\0\x1f\x41\x08\2\0\0\0\x14\x8d\x05\x0e",
            "64,008,000 pixels|not a",
        ),
    ],
)
def test_what_is_wrong_is_said_as_the_engine_says_it(data: bytes, message: str) -> None:
    with pytest.raises(ve.ImageError, match=message):
        decode(data, ignore, most_pixels=MOST)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds no CPU time")
def test_a_picture_that_takes_too_long_is_given_up(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PICTURE_SECONDS", 1)
    monkeypatch.setattr("dashboard.services.decoder._PATIENCE", 1e6)  # the clock of a busy machine ends it too
    with pytest.raises(ve.ImageError, match=r"more than 1 s to decode, .*Save it again as a baseline JPEG or a PNG"):
        decode(HOURS, ignore, most_pixels=MOST)
    assert processes.started[0].returncode == -signal.SIGXCPU


def test_on_the_clock_too_where_a_process_gets_no_processor(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "_PATIENCE", 0)
    with pytest.raises(ve.ImageError, match="takes more than 10 s to decode"):
        decode(HOURS, ignore, most_pixels=MOST)
    assert_gone(processes)


def assert_gone(processes: Processes) -> None:
    """Killed, waited for, and no zombie."""
    (process,) = processes.started
    assert process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_process_ends_at_once_when_nobody_waits_for_it(processes: Processes) -> None:
    def leave(_: float, message: str) -> None:
        if processes.started:
            raise AbandonedError(message)

    with pytest.raises(AbandonedError, match="reading the picture"):
        decode(HOURS, leave, most_pixels=MOST)
    assert_gone(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bound no address space")
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (4000, 3000)), "PNG")  # 48 MB in Pillow
    assert decode(data, ignore, most_pixels=MOST).shape == (3000, 4000, 3)
    monkeypatch.setattr(decoder, "_OF_PIXEL", 0)
    monkeypatch.setattr(decoder, "_MEMORY", 60_000_000)
    with pytest.raises(ve.ImageError, match="needs more memory to decode than there is"):
        decode(data, ignore, most_pixels=MOST)


def test_the_bound_on_memory_is_the_stated_one() -> None:
    """128 MiB, four times the file, 20 bytes a pixel."""
    assert decoder.memory_limit(1000, 16_000_000) == 134_217_728 + 4000 + 320_000_000


def test_a_process_that_dies_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decoder, "_SCRIPT", decoder._SCRIPT.with_name("absent.py"))
    with pytest.raises(ve.ImageError, match="could not be decoded: it is damaged, or too large for this server"):
        decode(noise_png(4), ignore, most_pixels=MOST)
    assert "can't open file" in caplog.text


def test_a_process_that_cannot_start_is_said_without_paths(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(decoder.sys, "executable", "/srv/secret/python")
    with pytest.raises(ve.ImageError, match=r"^The server has no room to decode a picture now: upload it again"):
        decode(noise_png(4), ignore, most_pixels=MOST)
    assert "No such file" in caplog.text


def test_secrets_of_the_server_are_none_of_a_decoders(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    decode(noise_png(4), ignore, most_pixels=MOST)
    assert "HF_TOKEN" not in processes.environments[0]


def test_what_c_libraries_say_of_a_file_is_neither_logged_nor_gathered(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, gathered = decoder._watch, []

    def watched(process: subprocess.Popen[bytes], report: Progress) -> tuple[bytes, bytes]:
        gathered.append(watch(process, report))
        return gathered[0]

    monkeypatch.setattr(decoder, "_watch", watched)
    data = bytearray(encoded(NOISE.convert("RGB"), "TIFF", compression="tiff_adobe_deflate"))
    data[8:200] = bytes(192)  # the pixels come first: they are no longer what zlib wrote
    with pytest.raises(ve.ImageError):
        ve.open_image(bytes(data))
    assert "ZIPDecode" in capfd.readouterr().err  # libtiff's own line, where nothing holds it back
    with pytest.raises(ve.ImageError, match="damaged or cut off"):
        decode(bytes(data), ignore, most_pixels=MOST)
    assert capfd.readouterr().err == ""
    assert gathered[0][1] == b""


def test_the_slow_picture_is_a_picture() -> None:
    assert decode(slow_bmp(10), ignore, most_pixels=MOST).shape == (40, 40, 3)
