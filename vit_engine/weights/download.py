"""Fetching a weight file: streamed to a temporary name beside its target, then renamed.

A socket's timeout is for each address and each byte, and none is for the name's look-up: behind a
firewall that answers nothing they add up to minutes. So the connection is made in a thread of its own,
which is waited for no longer than CONNECT_WITHIN.
"""

import http.client
import os
import secrets
import urllib.error
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import BinaryIO
from urllib.parse import urlsplit

from vit_engine.errors import DownloadError
from vit_engine.progress import Progress

CONNECT_WITHIN = 8.0  # seconds until the answer begins, all addresses together
TIMEOUT = 10.0  # seconds without a byte
PIECE = 1 << 20


def download(url: str, target: Path, *, progress: Progress | None = None) -> Path:
    """Fetch a URL into a file, which appears whole or not at all; proxies are taken from the environment.

    progress(fraction, message) is called before the connection is made and as the file grows; what it
    raises cancels the download. Raises DownloadError, naming the URL and where the file may be put by hand.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
        try:
            with part.open("xb") as file:  # with the mode that the umask gives, as tempfile's would not have
                if progress is not None:
                    progress(0.0, f"connecting to {urlsplit(url).hostname or url}")
                with _connect(url) as answer:
                    _copy(answer, file, target.name, progress)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection open
        raise DownloadError(_explain(url, target, error)) from error
    return target


def _connect(url: str) -> http.client.HTTPResponse:
    """The answer to a request, its body unread; TimeoutError after CONNECT_WITHIN seconds."""
    answer: Future[http.client.HTTPResponse] = Future()
    Thread(target=_request, args=(url, answer), name="vit-engine download", daemon=True).start()
    try:
        return answer.result(timeout=CONNECT_WITHIN)
    except TimeoutError:
        if not answer.cancel():  # it is there by now, or failed by itself
            return answer.result()
        raise TimeoutError(f"no answer within {CONNECT_WITHIN:g} seconds") from None


def _request(url: str, answer: Future[http.client.HTTPResponse]) -> None:
    """What comes after the one who asked has gone is closed at once."""
    try:
        response = urllib.request.urlopen(url, timeout=TIMEOUT)
    except Exception as error:  # noqa: BLE001
        # It is raised where the answer is waited for.
        if answer.set_running_or_notify_cancel():
            answer.set_exception(error)
        elif isinstance(error, urllib.error.HTTPError):
            error.close()
        return
    if answer.set_running_or_notify_cancel():
        answer.set_result(response)
    else:
        response.close()


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, name: str, progress: Progress | None) -> None:
    total = int(answer.headers.get("Content-Length") or 0)
    done = 0
    while piece := answer.read(PIECE):
        file.write(piece)
        done += len(piece)
        if progress is not None:
            size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
            progress(min(done / total, 1.0) if total else 0.0, f"downloading {name}: {size}")
    if total and done != total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _explain(url: str, target: Path, error: Exception) -> str:
    reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
    return f"could not download {url}: {reason}. Without internet, fetch it elsewhere and put it at {target}."
