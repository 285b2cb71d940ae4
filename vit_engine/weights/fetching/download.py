"""Fetching a weight file: once, whoever wants it; whole or not at all; going on from where a download broke.

What has come is kept beside the target until it is whole, under a lock (partial.py). The rest is asked for with a
Range request, which holds only for the version that the part is of; a server that has another one, or knows no ranges,
sends the file from its beginning. With VIT_ENGINE_MIRROR=https://mirror.example/weights, https://host/path/file is
asked for at https://mirror.example/weights/path/file first; it may hold several, with whitespace between them. A mirror
need not be trusted where the sha256 is known beforehand.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from vit_engine.errors import DownloadError
from vit_engine.progress import Progress
from vit_engine.weights.fetching.checksum import Expected, record_sha256
from vit_engine.weights.fetching.connection import Answer, Broken, Failure, ask
from vit_engine.weights.fetching.partial import STEP, DiskFailure, Partial, PartialInfo, disk_failures, exclusive

MIRROR_VARIABLE = "VIT_ENGINE_MIRROR"
WAITS = (1.0, 3.0, 9.0)  # seconds before each new attempt; so many in a row may bring nothing
_NO_SUCH_PART = 416


def download(url: str, target: Path, *, expected: Expected | None = None, progress: Progress | None = None) -> Path:
    """Fetch a URL into a file, which appears whole or not at all, and record its sha256 beside it.

    A file that is there already is left as it is: another thread or process may have fetched it just now. What
    progress(fraction, message) raises cancels the download, and what has come is kept for the next. Proxies and mirrors
    are taken from the environment. Raises DownloadError, naming the URL and where the file may be put by hand.
    """
    report = progress or (lambda fraction, message: None)
    try:
        urls = addresses(url)
        with exclusive(target, report):
            if not target.exists():
                _fetch(urls, Partial(target), expected, report)
    except Failure as failure:
        raise DownloadError(
            f"could not download {url}: {failure}. Without internet, fetch it elsewhere and put it "
            f"into {target.parent} as {target.name}."
        ) from failure
    return target


def addresses(url: str) -> tuple[str, ...]:
    """The URLs to try, in order; Failure where one of them is neither http nor https."""
    _check_http(url, "a download's URL")
    parts = urlsplit(url)
    rest = urlunsplit(("", "", parts.path, parts.query, ""))
    mirrors = os.environ.get(MIRROR_VARIABLE, "").split()
    for mirror in mirrors:
        _check_http(mirror, f"{MIRROR_VARIABLE}'s base URLs, with whitespace between them,")
    return tuple(dict.fromkeys([*(mirror.rstrip("/") + rest for mirror in mirrors), url]))


def _check_http(url: str, what: str) -> None:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:  # brackets that do not close
        fine = False
    if not fine:
        raise Failure(f"{what} must begin with http:// or https:// and name a host; got {url!r}")


def _fetch(urls: Sequence[str], part: Partial, expected: Expected | None, report: Progress) -> None:
    """From the first address that gives the file; Failure with the reasons of all where none does."""
    reasons = []
    try:
        for url in urls:
            try:
                _complete(url, part, report)
                return _keep(part, expected, report)
            except DiskFailure:
                raise
            except Failure as failure:
                reasons.append(str(failure) if len(urls) == 1 else f"{url}: {failure}")
    finally:
        part.tidy()
    raise Failure("; ".join(reasons))


def _keep(part: Partial, expected: Expected | None, report: Progress) -> None:
    """Into the target's place, its sha256 first; Failure where that is not the expected one."""
    got = part.sha256(report)
    if expected is not None and not expected.allows(got):
        part.remove()
        raise Failure(expected.complaint(part.target.name, got, "It was thrown away: try again later"))
    with disk_failures(part.target):
        record_sha256(part.target, got)
    part.finish()


def _complete(url: str, part: Partial, report: Progress) -> None:
    """Attempts until all is here; Broken once nothing has come at all, or nothing more in as many as WAITS."""
    came, reached, waits = part.came, part.size, iter(WAITS)
    while True:
        try:
            return _attempt(url, part, report)
        except Broken:
            if part.size > reached:
                reached, waits = part.size, iter(WAITS)
            wait = next(waits, None) if part.came > came else None
            if wait is None:
                raise
            _pause(wait, part, report)


def _pause(seconds: float, part: Partial, report: Progress) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        report(part.share, f"the connection broke; again in {left:.0f} s")
        time.sleep(min(left, STEP))


def _attempt(url: str, part: Partial, report: Progress) -> None:
    """Ask for what is missing and append it; Broken where the answer ends before it should."""
    info = part.info()
    if info and info.url == url and info.total == part.size:  # its process was killed just before the end
        return
    answer = _ask(url, part, report)
    with answer.response:
        total = _prepare(url, part, answer)
        with part.open() as file:
            for piece in answer.pieces():
                part.append(file, piece)
                _tell(part, total, report)
    if total is not None and part.size != total:
        raise Broken(f"the connection ended after {part.size} of {total} bytes")


def _ask(url: str, part: Partial, report: Progress) -> Answer:
    """An answer that goes on where the part ends, or begins at the beginning."""
    info = part.info()
    host = urlsplit(url).hostname
    if info is None or info.url != url:
        report(0.0, f"connecting to {host}")
        return ask(url)
    part.sha256(report)
    report(part.share, f"connecting to {host}")
    try:
        answer = ask(url, start=part.size, validator=info.validator)
    except Failure as failure:
        if failure.status != _NO_SUCH_PART:
            raise
    else:
        if answer.start in {0, part.size} and (answer.start == 0 or answer.total in {None, info.total}):
            return answer
        answer.response.close()
    return ask(url)  # it has another file by now


def _prepare(url: str, part: Partial, answer: Answer) -> int | None:
    """Make the part ready for an answer's body, and return how many bytes the file will have, if that is known."""
    info = part.info()
    if info is not None and answer.start:
        part.check_room(None if info.total is None else info.total - part.size)
        return info.total
    part.check_room(answer.total)
    part.begin(PartialInfo(url, answer.validator, answer.total))
    return answer.total


def _tell(part: Partial, total: int | None, report: Progress) -> None:
    done = part.size
    size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
    report(min(done / total, 1.0) if total else 0.0, f"downloading {part.target.name}: {size}")
