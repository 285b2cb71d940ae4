"""No server path in anything that a browser shows: of a file its name is enough."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants

import vit_engine as ve
from dashboard.services.checkpoints.folder import VARIABLE, checkpoint_folder
from vit_engine.weights import cache_folder

_MIRRORS = "VIT_ENGINE_MIRROR"
_PART = r"[^\s/\\'\"`,;()]"  # a character of a folder's name
_TEXT = re.compile(
    "|".join(
        (
            r"(?P<url>\b(?!file:)[a-z][a-z0-9+.-]{1,20}://[^\s'\"`]*)",  # stays
            # Between quotes a path may have spaces in it; of the last part the name is what no slash follows.
            r"(?<!\w)(?P<quote>['\"`])(?:file:)?(?=[\\/]|[a-z]:[\\/])(?P<quoted>(?:(?!(?P=quote))[^\n])+)(?P=quote)",
            rf"\bfile:/+(?:{_PART}+/+)*(?P<file>{_PART}*)",
            rf"(?<!\w)(?:[a-z]:[\\/]|\\\\(?=\w))(?:{_PART}+[\\/]+)*(?P<windows>{_PART}*)",
            rf"(?<![\w/.])(?:/{_PART}+)+/(?P<name>{_PART}*)",  # two parts at least: not of "and/or", "/4"
        )
    ),
    re.IGNORECASE,
)


def without_paths(text: str) -> str:
    """A message with the last part of each absolute path alone, and known folders called what they are; URLs stay."""
    for folder, words in _known():  # first, because a path may have spaces in it
        text = re.sub(rf"{re.escape(folder)}/(?=[^\s/])", "", text)
        text = re.sub(rf"{re.escape(folder)}/?(?![\w/])", words, text)
    return _TEXT.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    """What a browser sees of a path or a URL."""
    if match["quoted"] is None:
        return match["url"] or match["file"] or match["windows"] or match["name"] or ""
    parts = [part for part in re.split(r"[\\/]+", match["quoted"]) if part]
    return match[0] if len(parts) < 2 else f"{match['quote']}{parts[-1]}{match['quote']}"


def _known() -> list[tuple[str, str]]:
    """Folders that messages may name, and what to call each; the longest first, as one may be in another."""
    folders = {
        Path.home(): "the home folder",
        Path(tempfile.gettempdir()): "the temporary folder",
        Path(ve.__file__).parent: "the engine's folder",
        cache_folder(): "the cache folder",
        Path(constants.HF_HUB_CACHE): "the hub's cache",
    }
    if checkpoints := os.environ.get(VARIABLE):
        folders[Path(os.path.expanduser(checkpoints))] = "the checkpoint folder"
    for mirror in os.environ.get(_MIRRORS, "").split():
        if (path := re.sub("^file:/*", "/", mirror, flags=re.IGNORECASE)).startswith("/"):
            folders[Path(path)] = "the mirror"
    known = {str(each): words for folder, words in folders.items() for each in (folder, folder.resolve())}
    absolute = (each for each in known.items() if each[0].startswith("/") and each[0].count("/") > 1)
    return sorted(absolute, key=lambda each: -len(each[0]))


@contextmanager
def errors_without_paths() -> Iterator[None]:
    """Errors of the engine as they may be shown."""
    try:
        yield
    except ve.VitEngineError as error:
        text = without_paths(str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error


@contextmanager
def errors_naming(path: Path, title: str) -> Iterator[None]:
    """Errors that speak of a path, or of one beside it, speak of its name on the screen instead."""
    try:
        yield
    except ve.VitEngineError as error:
        words = str(error).replace(str(path), title)
        for folder in (path.parent, checkpoint_folder()):
            words = words.replace(f"{folder}/", "") if folder else words
        raise type(error)(without_paths(words)) from error
