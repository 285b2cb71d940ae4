"""Text in pictures: a font that has the letters, and lines that fit."""

import functools

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PLAIN = str.maketrans({"×": "x", "−": "-", "–": "-", "→": ">"})  # what Pillow's own font lacks
_OTHERS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")  # asked for where names need more letters
_ABSENT = "\ufffe"  # no character: drawn as every font draws what it lacks


@functools.cache
def font_of(size: int, name: str = "") -> Font | None:
    """A font by its file's name, or Pillow's own; None where this machine lacks it."""
    try:
        return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)
    except OSError:
        return None


def lettering(text: str, size: int) -> tuple[str, Font]:
    """A text as it can be written, and the font for it: Pillow's own, or, for names that it lacks letters for, another.

    What no font has is drawn as that font's box.
    """
    own = font_of(size)
    assert own is not None
    plain = text.translate(_PLAIN)
    if _has(own, plain):
        return plain, own
    others = [font for font in (font_of(size, name) for name in _OTHERS) if font is not None]
    return text, next((font for font in others if _has(font, text)), others[0] if others else own)


def _has(font: Font, text: str) -> bool:
    box = bytes(font.getmask(_ABSENT))
    return all(character.isspace() or bytes(font.getmask(character)) != box for character in set(text))


def wrapped(text: str, font: Font, width: int) -> list[str]:
    """Lines no wider than this, in pixels: broken at " · " if they can be, else at spaces, else within a word."""
    parts: list[str] = []
    for part in text.replace(" · ", " ·\0").split("\0"):
        parts += [part] if font.getlength(part) <= width else part.split()
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} {part}" if lines else part
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines += _pieces(part, font, width)
    return lines


def _pieces(word: str, font: Font, width: int) -> list[str]:
    """A word in parts no wider than this, at least a letter each."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
