"""Text in pictures: the letters that the font has, and lines that fit."""

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import get_font
from PIL import ImageFont

FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # of Matplotlib, so there on every machine
_ABSENT = "□"


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(FONT).get_charmap())


@cache
def _measure(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)


def printable(text: str) -> str:
    """A text as it can be written: names from strangers' files may have letters that the font lacks."""
    return "".join(letter if ord(letter) in _letters() else _ABSENT for letter in text)


def length(text: str, size: int) -> float:
    """How wide a line is, in the pixels in which letters are `size` high."""
    return _measure(size).getlength(text)


def wrapped(text: str, size: int, width: float) -> list[str]:
    """Lines no wider than this, in pixels: broken at " · " if they can be, else at spaces, else within a word."""
    parts: list[str] = []
    for part in printable(text).replace(" · ", " ·\0").split("\0"):
        parts += [part] if length(part, size) <= width else part.split()
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} {part}" if lines else part
        if lines and length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines += _pieces(part, size, width)
    return lines


def _pieces(word: str, size: int, width: float) -> list[str]:
    """A word in parts no wider than this, at least a letter each."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and length(pieces[-1] + letter, size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
