"""From the bytes of a picture file to an upright RGB picture.

Neither this file nor what it imports needs PyTorch, so that a process of its own starts at once: the dashboard decodes
there what strangers send, where it can be ended. NumPy is imported for deep greys and masks only.
"""

import hashlib
import io
import math
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING

from PIL import Image, ImageCms

from vit_engine.containers import check_parts, webp_size, without_metadata
from vit_engine.errors import ImageError

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 64_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # no others: Pillow reads EPS by running Ghostscript
EXPECTED = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_STRIP = 256  # rows
_TILE = 512  # pixels a side
_Convert = Callable[[Image.Image], Image.Image]
_EXIF_ORIENTATION = 0x0112
# In which black is 0; others, palettes among them, are converted.
_PLAIN_MODES = {"1", "L", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "F"}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)
# What Pillow raises for EXIF that is none, or not whole.
_MALFORMED = (SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, OSError, AssertionError, Warning)


class TooManyPixelsError(ImageError):
    """A picture of more pixels than are allowed."""


def decode(
    data: bytes,
    name: str = "the picture file",
    *,
    most_pixels: int = MAX_PIXELS,
    convert: _Convert | None = None,
) -> Image.Image:
    """An upright picture; its info holds the sha256 of the bytes and nothing else.

    convert: from the upright picture, of any mode, to what is wanted of it; None is to_rgb().

    Made and refused as in open_image(); name: of the file, in errors. Raises ImageError also for what needs more memory
    than there is; TooManyPixelsError for more than `most_pixels`. All but damage is seen before anything is decoded.
    """
    if not data:
        raise ImageError(f"{name} is empty (0 bytes); expected a {EXPECTED} picture.")
    check_parts(data, name)
    try:
        result = _decode_whole(data, name, most_pixels, convert or to_rgb)
    except TooManyPixelsError:
        raise
    except MemoryError as error:
        raise ImageError(f"{name} needs more memory to decode than there is; scale it down first.") from error
    except ImageError:
        if (plain := _decode_plain(data, most_pixels, convert or to_rgb)) is None:
            raise
        result = plain
    result.info = {"sha256": hashlib.sha256(data).hexdigest()}
    return result


def _decode_plain(data: bytes, most_pixels: int, convert: _Convert) -> Image.Image | None:
    """A picture without the metadata that may be what is malformed; None where it cannot be decoded either."""
    for plainer in without_metadata(data):
        if len(plainer) < len(data):
            with suppress(ImageError):
                return _decode_whole(plainer, "", most_pixels, convert)
    return None


def _decode_whole(data: bytes, name: str, most_pixels: int, convert: _Convert) -> Image.Image:
    picture = _open(data, name, most_pixels)
    try:
        picture.load()
        return _to_upright(picture, convert)
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged bytes raise whatever they stumble over
        raise ImageError(f"{name} is damaged or cut off: {error}. Save or copy it again.") from error


def _open(data: bytes, name: str, most_pixels: int) -> Image.Image:
    """The picture, of which only the header is read yet."""
    _check_pixels(*webp_size(data), name, most_pixels)
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except _BOMB as error:
        raise TooManyPixelsError(
            f"{name} has more pixels than the limit of {most_pixels:,}; scale it down first."
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{name} is not a picture that can be read; expected {EXPECTED}.") from error
    _check_pixels(picture.width, picture.height, name, most_pixels)
    return picture


def _check_pixels(width: int, height: int, name: str, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise TooManyPixelsError(
            f"{name} is {width}×{height} = {width * height:,} pixels; the limit is {most_pixels:,}. "
            "Scale it down first."
        )


def reduced(picture: Image.Image, most_pixels: int) -> Image.Image:
    """A picture that has more pixels than these at the same aspect ratio with so many; any other as it is."""
    pixels = picture.width * picture.height
    if pixels <= most_pixels:
        return picture
    scale = math.sqrt(most_pixels / pixels)
    width = max(1, int(picture.width * scale))
    height = max(1, min(int(picture.height * scale), most_pixels // width))
    return picture.resize((min(width, most_pixels // height), height), Image.Resampling.LANCZOS)


def _to_upright(picture: Image.Image, convert: _Convert) -> Image.Image:
    """As EXIF says. ImageOps.exif_transpose writes all of EXIF anew, and fails where a tag is malformed."""
    turn = None
    with suppress(*_MALFORMED, struct.error):
        turn = _UPRIGHT.get(picture.getexif().get(_EXIF_ORIENTATION, 1))
    result = convert(picture if turn is None else picture.transpose(turn))
    return result.copy() if result is picture else result  # a plain picture, without what its decoder holds


def to_rgb(picture: Image.Image) -> Image.Image:
    """A picture of any mode in sRGB: its profile is converted, transparency laid on white, deep greys are scaled."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep_grey(picture)
    profile = picture.info.get("icc_profile")
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = _on_white(picture)
    elif picture.mode == "P":
        picture = picture.convert("RGB")
    if profile and picture.mode in {"RGB", "CMYK", "L"}:
        with suppress(ImageCms.PyCMSError, OSError):  # a broken profile says nothing about the pixels
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            picture = ImageCms.profileToProfile(picture, source, target, outputMode="RGB") or picture
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def to_mask(picture: Image.Image) -> Image.Image:
    """255 where a pixel is neither black nor transparent, else 0; by stored values, so that labels 1, 2, … count."""
    import numpy as np  # noqa: PLC0415

    if picture.mode not in _PLAIN_MODES or "transparency" in picture.info:
        picture = picture.convert("RGBA")
    values = np.atleast_3d(np.asarray(picture))
    bands = len(picture.getbands()) - ("A" in picture.getbands())
    counts = (values[..., :bands] != 0).any(axis=-1) & (values[..., bands:] > 0).all(axis=-1)
    return Image.fromarray(counts.astype(np.uint8) * 255)


def _on_white(picture: Image.Image) -> Image.Image:
    """Transparency laid on white, some rows at a time: whole layers would take three times the picture's memory."""
    result = Image.new("RGB", picture.size)
    for top in range(0, picture.height, _STRIP):
        layer = picture.crop((0, top, picture.width, min(top + _STRIP, picture.height))).convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        result.paste(Image.alpha_composite(white, layer).convert("RGB"), (0, top))
    return result


def _from_deep_grey(picture: Image.Image) -> Image.Image:
    """16 and 32 bit greys: of the type's range where the values use 16 bits, else from their own extremes.

    Tile by tile: at the limit of pixels, whole copies in floating point would take gigabytes.
    """
    import numpy as np  # noqa: PLC0415  (most pictures need none, and it takes longer to start than to decode)

    low, high = _extremes(picture)
    darkest, brightest = _range(low, high, whole=picture.mode.startswith("I"))
    span = brightest - darkest
    result = Image.new("L", picture.size)
    for corner, tile in _tiles(picture):
        values = np.nan_to_num(tile, nan=low, posinf=high, neginf=low)
        grey = (values - darkest) * (255 / span) if span else np.clip(values, 0, 255)
        result.paste(Image.fromarray(grey.round().astype(np.uint8)), corner)
    return result.convert("RGB")


def _range(low: float, high: float, *, whole: bool) -> tuple[float, float]:
    """The values that become black and white."""
    if whole and low >= 0 and 255 < high <= 65535:
        return 0.0, 65535.0
    if low >= 0 and 1 < high <= 255:
        return 0.0, 255.0
    return low, high


def _extremes(picture: Image.Image) -> tuple[float, float]:
    """The least and the largest finite value; zeros where none is finite."""
    import numpy as np  # noqa: PLC0415

    low, high = math.inf, -math.inf
    for _, tile in _tiles(picture):
        finite = np.isfinite(tile)
        low = min(low, tile.min(where=finite, initial=math.inf))
        high = max(high, tile.max(where=finite, initial=-math.inf))
    return (low, high) if low <= high else (0.0, 0.0)


def _tiles(picture: Image.Image) -> Iterator[tuple[tuple[int, int], "np.ndarray"]]:
    """Parts of a picture as float64 (height, width), each with its corner (x, y)."""
    import numpy as np  # noqa: PLC0415

    width, height = picture.size
    for top, left in product(range(0, height, _TILE), range(0, width, _TILE)):
        box = (left, top, min(left + _TILE, width), min(top + _TILE, height))
        yield (left, top), np.asarray(picture.crop(box), dtype=np.float64)
