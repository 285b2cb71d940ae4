"""From the bytes of a picture file to an upright RGB picture.

Needs Pillow, imports PyTorch and this package nowhere, and can so be run in a process of its own that starts at once:
the dashboard decodes what strangers send there, where it can be ended. NumPy is imported for deep greys only.
"""

import hashlib
import io
import math
import re
import struct
from collections.abc import Collection, Iterator
from itertools import product
from typing import TYPE_CHECKING

from PIL import Image, ImageCms

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 64_000_000
MAX_SCANNED_PIXELS = 20 * MAX_PIXELS  # pixels × scans of a JPEG: each scan of a progressive one goes over all pixels
MAX_PARTS = 100_000  # segments of a JPEG, chunks of a PNG: Pillow reads them one by one, in Python
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # no others: Pillow reads EPS by running Ghostscript
EXPECTED = "PNG, JPEG, WebP, GIF, BMP or TIFF"
_STRIP = 256  # rows
_TILE = 512  # pixels a side
_EXIF_ORIENTATION = 0x0112
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
_MALFORMED = (
    SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, OSError, AssertionError, struct.error, Warning,
)  # fmt: skip

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# What is kept of a file where something in it that is no pixel is malformed: first what may turn or colour the
# picture too, then the pixels alone. APP1: EXIF. APP2: colour profile. APP14: how colours are coded.
_PNG_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_PNG_KEPT = (_PNG_PIXELS | {b"iCCP", b"eXIf"}, _PNG_PIXELS)
_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_JPEG_KEPT = (frozenset((_APP1, _APP2, _APP14)), frozenset((_APP14,)), frozenset())
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_WITHOUT_LENGTH = frozenset((0x01, 0xD8))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15: C4, C8 and CC are others
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # none of those that stand within a scan's data


class UndecodableError(Exception):
    """A file that is no picture, is damaged, or is too large; says which, and what to do."""


def decode(data: bytes, name: str = "the picture file") -> Image.Image:
    """An upright RGB picture; its info holds the sha256 of the bytes and nothing else.

    EXIF orientation is applied, embedded colour profiles are converted to sRGB, 16-bit greys are scaled,
    transparency is laid on white, and of an animation the first frame is taken. What describes the picture
    (EXIF, colour profile, texts, resolution) is ignored where it is malformed. name: of the file, in errors.
    Raises UndecodableError for what is no picture, is damaged, has more than MAX_PIXELS pixels or would take
    MAX_SCANNED_PIXELS or MAX_PARTS (these before anything is decoded); MemoryError.
    """
    if not data:
        raise UndecodableError(f"{name} is empty (0 bytes); expected a {EXPECTED} picture.")
    _check_parts(data, name)
    try:
        result = _decode_whole(data, name)
    except UndecodableError:
        plainer = (each for each in _without_metadata(data) if len(each) < len(data))
        result = next((each for each in map(_decode_plain, plainer) if each is not None), None)
        if result is None:
            raise
    result.info = {"sha256": hashlib.sha256(data).hexdigest()}
    return result


def _decode_plain(data: bytes) -> Image.Image | None:
    """A picture; None where it cannot be decoded either."""
    try:
        return _decode_whole(data, "")
    except UndecodableError:
        return None


def _decode_whole(data: bytes, name: str) -> Image.Image:
    picture = _open(data, name)
    try:
        picture.load()
        return _to_upright(picture)
    except MemoryError:
        raise
    except Exception as error:  # decoders of damaged bytes raise whatever they stumble over
        raise UndecodableError(f"{name} is damaged or cut off: {error}. Save or copy it again.") from error


def _open(data: bytes, name: str) -> Image.Image:
    """The picture, of which only the header is read yet."""
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except _BOMB as error:
        raise UndecodableError(
            f"{name} has more pixels than the limit of {MAX_PIXELS:,}; scale it down first."
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise UndecodableError(f"{name} is not a picture that can be read; expected {EXPECTED}.") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UndecodableError(
            f"{name} is {width}×{height} = {width * height:,} pixels; the limit is {MAX_PIXELS:,}. Scale it down first."
        )
    return picture


def _check_parts(data: bytes, name: str) -> None:
    """UndecodableError for a file in so many pieces that it would keep a decoder busy for minutes."""
    scans, pixels = 0, 0
    for number, (kind, start, _) in enumerate(_parts(data)):
        if number >= MAX_PARTS:
            raise UndecodableError(f"{name} has more than {MAX_PARTS:,} parts. Save it again as another PNG or JPEG.")
        scans += kind == _START_OF_SCAN
        if kind in _FRAMES:
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 5, start + 7))
            pixels = max(pixels, height * width)
    if scans * pixels > MAX_SCANNED_PIXELS:
        raise UndecodableError(
            f"{name} is a progressive JPEG of {scans:,} scans of {pixels:,} pixels each; at most "
            f"{MAX_SCANNED_PIXELS // pixels:,} scans of so many are decoded. Save it again as a baseline JPEG or a PNG."
        )


def _parts(data: bytes) -> Iterator[tuple[int | bytes, int, int]]:
    """Kind, start and end of each segment of a JPEG or chunk of a PNG; nothing of other formats."""
    if data.startswith(_JPEG):
        yield from _jpeg_segments(data)
    elif data.startswith(_PNG):
        yield from _png_chunks(data)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG's first picture; of a scan, without its data."""
    at = 2
    while (marker := _MARKER.search(data, at)) is not None:
        kind, end = data[marker.end() - 1], marker.end()
        if kind == _END_OF_IMAGE:
            break
        at = end if kind in _WITHOUT_LENGTH else end + int.from_bytes(data[end : end + 2], "big")
        yield kind, marker.start(), at


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk of a PNG."""
    at = len(_PNG)
    while at < len(data):
        start, at = at, at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[start + 4 : start + 8], start, at


def _without_metadata(data: bytes) -> Iterator[bytes]:
    """A PNG or JPEG with less and less of what is no pixel; nothing of other formats."""
    if data.startswith(_PNG):
        for kept in _PNG_KEPT:
            yield _PNG + b"".join(data[start:end] for kind, start, end in _png_chunks(data) if kind in kept)
    elif data.startswith(_JPEG):
        for kept in _JPEG_KEPT:
            yield _jpeg_with(data, kept)


def _jpeg_with(data: bytes, kept: Collection[int]) -> bytes:
    """A JPEG without comments and application segments but for these."""
    pieces, copied = [], 0
    for kind, start, end in _jpeg_segments(data):
        if (_APP0 <= kind <= _APP15 or kind == _COMMENT) and kind not in kept:
            pieces.append(data[copied:start])
            copied = end
    return b"".join([*pieces, data[copied:]])


def _to_upright(picture: Image.Image) -> Image.Image:
    turn = _turn(picture)
    result = to_rgb(picture if turn is None else picture.transpose(turn))
    return result.copy() if result is picture else result  # a plain picture, without what its decoder holds


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What EXIF says. ImageOps.exif_transpose writes all of EXIF anew, and fails where a tag is malformed."""
    try:
        return _UPRIGHT.get(picture.getexif().get(_EXIF_ORIENTATION, 1))
    except _MALFORMED:
        return None


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
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a broken profile says nothing about the pixels
        if converted is not None:
            return converted
    return picture if picture.mode == "RGB" else picture.convert("RGB")


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
