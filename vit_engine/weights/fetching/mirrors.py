"""Where a file is asked for: at the mirrors that the environment names, and at its own host last.

VIT_ENGINE_MIRROR holds base URLs with whitespace between them. A file's path (and query) is appended to
each: with VIT_ENGINE_MIRROR=https://mirror.example/weights, https://host/path/file is asked for at
https://mirror.example/weights/path/file first. What a mirror gives is held to the same sha256, so a
mirror need not be trusted where that is known beforehand.
"""

import os
from urllib.parse import urlsplit, urlunsplit

from vit_engine.weights.fetching.failures import Failure

MIRROR_VARIABLE = "VIT_ENGINE_MIRROR"


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
