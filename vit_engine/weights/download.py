"""Fetching a weight file: streamed to a temporary name beside its target, then renamed."""

import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from vit_engine.errors import DownloadError
from vit_engine.progress import Progress

TIMEOUT = 10.0  # seconds without an answer or a byte
PIECE = 1 << 20


def download(url: str, target: Path, *, progress: Progress | None = None) -> Path:
    """Fetch a URL into a file, which appears whole or not at all; proxies are taken from the environment.

    progress(fraction, message) is called as it grows; what it raises cancels the download. Raises
    DownloadError, naming the URL and where the file may be put by hand.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                _copy(answer, file, target.name, progress)
            os.replace(name, target)
        finally:
            Path(name).unlink(missing_ok=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection open
        raise DownloadError(_explain(url, target, error)) from error
    return target


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
