"""Pictures of strangers, decoded in a process of their own: it has limits, and ends when nobody waits for it."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

import vit_engine as ve
from dashboard.services import limits
from vit_engine.progress import Progress

_POLL = 0.05  # seconds between two looks at a process
_PATIENCE = 6  # seconds on the clock for each of the processor's: on a busy machine a process gets a share of it
_MEMORY, _OF_FILE, _OF_PIXEL = 1 << 27, 4, 20  # bytes: of Python and Pillow; for each of the file's; for each pixel
_SCRIPT = Path(__file__).with_name("picture_process.py")
# What Python needs to start. The rest of the server's environment, secrets among it, is no concern of a decoder.
_ENVIRONMENT = ("PATH", "HOME", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_log = logging.getLogger(__name__)


class LargerPictureError(Exception):
    """A picture of more pixels than were allowed, that may be decoded where more are."""


def memory_limit(file_bytes: int, most_pixels: int) -> int:
    """Bytes that a process may take: the costliest of the formats, WebP, needs 16 a pixel."""
    return _MEMORY + _OF_FILE * file_bytes + _OF_PIXEL * most_pixels


def decode(data: bytes, report: Progress, *, most_pixels: int, mask: bool = False) -> np.ndarray:
    """uint8 (height, width, 3), read-only: an upright RGB picture, reduced to limits.KEPT_PIXELS at most.

    mask: (height, width, 1) instead, 255 where a pixel is neither black nor transparent, 0 elsewhere; greys between
    them where it was reduced.
    What report raises ends the process. ImageError for what is no picture or takes more time or memory than is
    allowed, LargerPictureError for more than `most_pixels`.
    """
    with _start(len(data), most_pixels, "mask" if mask else "picture") as process:
        try:
            _feed(process, data)
            output, errors = _watch(process, report)
        finally:
            process.kill()
    if process.returncode != 0:
        raise ve.ImageError(_ended(process.returncode, errors))
    return _pixels(output)


def _start(file_bytes: int, most_pixels: int, kind: str) -> subprocess.Popen[bytes]:
    """-P: the script's folder is no place to import from."""
    numbers = (most_pixels, limits.KEPT_PIXELS, limits.PICTURE_SECONDS, memory_limit(file_bytes, most_pixels))
    command = [sys.executable, "-P", str(_SCRIPT), str(Path(ve.__file__).parent), *map(str, numbers), kind]
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    except OSError as error:  # too many processes, say: why is for the log, not for a browser
        _log.error("no process for a picture: %s", error)
        raise ve.ImageError("The server has no room to decode a picture now: upload it again in a minute.") from error


def _watch(process: subprocess.Popen[bytes], report: Progress) -> tuple[bytes, bytes]:
    """What the process writes; ImageError where it does not end in time."""
    deadline = time.monotonic() + _PATIENCE * limits.PICTURE_SECONDS
    while True:
        report(0.0, "reading the picture")
        try:
            return process.communicate(timeout=_POLL)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise ve.ImageError(_too_slow()) from None


def _feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Hand a process its file, from a thread: communicate() forgets what it has not yet sent when it times out."""
    stream, process.stdin = process.stdin, None
    assert stream is not None

    def write() -> None:
        with suppress(OSError), stream:  # a process that has ended reads no more
            stream.write(data)

    threading.Thread(target=write, daemon=True).start()


def _ended(code: int, errors: bytes) -> str:
    """Why a process ended without an answer."""
    if code == -getattr(signal, "SIGXCPU", 0):
        return _too_slow()
    _log.error("a picture's process ended with %d: %s", code, errors[-2000:].decode(errors="replace"))
    problem = "the picture file could not be decoded: it is damaged, or too large for this server."
    return f"{problem} Save it again, or smaller."


def _too_slow() -> str:
    problem = f"the picture file takes more than {limits.PICTURE_SECONDS} s to decode, which is the limit here."
    return f"{problem} Save it again as a baseline JPEG or a PNG, or smaller."


def _pixels(output: bytes) -> np.ndarray:
    """What a process wrote, as it is: a large picture is not copied once more."""
    end = output.index(b"\n")
    answer = json.loads(output[:end])
    if answer.get("larger"):
        raise LargerPictureError
    if "problem" in answer:
        raise ve.ImageError(answer["problem"])
    return np.frombuffer(output, np.uint8, offset=end + 1).reshape(answer["height"], answer["width"], -1)
