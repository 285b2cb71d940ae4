"""No server path in anything that a browser shows: of a file its name is enough."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import vit_engine as ve
from vit_engine.weights import cache_folder

# Two parts at least, and no URL: in "https://host/path" a slash follows a colon, a slash, or a letter.
_PATH = re.compile(r"(?<![\w:/.])(?:/[^\s/'\"`,;()]+)+/(?P<name>[^\s/'\"`,;()]*)")


def without_paths(text: str) -> str:
    """A message with the last part of each absolute path in it alone; the cache folder is called that.

    Folders that are known come first, because a path may have spaces in it.
    """
    for folder, words in _known():
        text = re.sub(rf"{re.escape(folder)}/(?=[^\s/])", "", text)
        text = re.sub(rf"{re.escape(folder)}/?(?![\w/])", words, text)
    return _PATH.sub(lambda match: match["name"], text)


def _known() -> list[tuple[str, str]]:
    """Folders that messages may name, and what to call each; the longest first, as one may be in another."""
    folders = {
        Path.home(): "the home folder",
        Path(tempfile.gettempdir()): "the temporary folder",
        Path(ve.__file__).parent: "the engine's folder",
        cache_folder(): "the cache folder",
    }
    known = {str(each): words for folder, words in folders.items() for each in (folder, folder.resolve())}
    return sorted((each for each in known.items() if each[0].count("/") > 1), key=lambda each: -len(each[0]))


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
