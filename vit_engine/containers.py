"""How the files of pictures are put together: what there is before anything of it is decoded, and without its metadata.

Needs nothing but the standard library, as vit_engine.decoding does, for the same reason.
"""

import re
from collections.abc import Collection, Iterator
from itertools import chain, islice

from vit_engine.errors import ImageError

MAX_SCANNED_PIXELS = 1_280_000_000  # pixels × scans of a JPEG: each scan of a progressive one goes over all pixels
MAX_PARTS = 100_000  # segments of a JPEG, chunks of a PNG: Pillow reads them one by one, in Python
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# What is kept of a file where something in it that is no pixel is malformed: first what may turn or colour the
# picture too, then the pixels alone. APP1: EXIF. APP2: colour profile. APP14: how colours are coded.
_PNG_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
_PNG_KEPT = (_PNG_PIXELS | {b"iCCP", b"eXIf"}, _PNG_PIXELS)
_APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_JPEG_KEPT: tuple[frozenset[int], ...] = (frozenset((_APP1, _APP2, _APP14)), frozenset((_APP14,)), frozenset())
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA
_WITHOUT_LENGTH = frozenset((0x01, 0xD8))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15: C4, C8 and CC are others
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # none of those that stand within a scan's data


def check_parts(data: bytes, name: str) -> None:
    """ImageError for a file in so many pieces that it would keep a decoder busy for minutes."""
    if _too_many_parts(data):
        raise ImageError(f"{name} has more than {MAX_PARTS:,} parts. Save it again as another PNG or JPEG.")
    scans, pixels = _scans(data)
    if scans * pixels > MAX_SCANNED_PIXELS:
        raise ImageError(
            f"{name} is a JPEG of {scans:,} scans of {pixels:,} pixels each; at most "
            f"{MAX_SCANNED_PIXELS // pixels:,} scans of so many are decoded. Save it again as a baseline JPEG or a PNG."
        )


def decoded_pixels(data: bytes) -> int | None:
    """Pixels that decoding goes over, those of a JPEG once for each scan; None where headers do not tell.

    Nothing is decoded. The headers may lie: this is for estimates of time, not for limits.
    """
    if data.startswith(_JPEG):
        if _too_many_parts(data):
            return None
        scans, pixels = _scans(data)
        return scans * pixels
    if data.startswith(_PNG):
        return int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    width, height = webp_size(data)
    return width * height or None


def _scans(data: bytes) -> tuple[int, int]:
    """How many scans a JPEG has, and how many pixels each goes over; (0, 0) of other files."""
    scans, pixels = 0, 0
    for kind, start, _ in _jpeg_segments(data):
        scans += kind == _START_OF_SCAN
        if kind in _FRAMES:
            height, width = (int.from_bytes(data[at : at + 2], "big") for at in (start + 5, start + 7))
            pixels = max(pixels, height * width)
    return scans, pixels


def _too_many_parts(data: bytes) -> bool:
    parts = chain(_jpeg_segments(data), png_chunks(data))
    return next(islice(parts, MAX_PARTS, None), None) is not None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG's first picture; of a scan, without its data. Else nothing."""
    at = 2 if data.startswith(_JPEG) else len(data)
    while (marker := _MARKER.search(data, at)) is not None:
        kind, end = data[marker.end() - 1], marker.end()
        if kind == _END_OF_IMAGE:
            break
        at = end if kind in _WITHOUT_LENGTH else end + int.from_bytes(data[end : end + 2], "big")
        yield kind, marker.start(), at


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk of a PNG; nothing of other files."""
    at = len(_PNG) if data.startswith(_PNG) else len(data)
    while at < len(data):
        start, at = at, at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[start + 4 : start + 8], start, at


def without_metadata(data: bytes) -> Iterator[bytes]:
    """A PNG or JPEG with less and less of what is no pixel; nothing of other formats."""
    if data.startswith(_PNG):
        for chunks in _PNG_KEPT:
            yield _PNG + b"".join(data[start:end] for kind, start, end in png_chunks(data) if kind in chunks)
    elif data.startswith(_JPEG):
        for segments in _JPEG_KEPT:
            yield _jpeg_with(data, segments)


def _jpeg_with(data: bytes, kept: Collection[int]) -> bytes:
    """A JPEG without comments and application segments but for these."""
    pieces, copied = [], 0
    for kind, start, end in _jpeg_segments(data):
        if (_APP0 <= kind <= _APP15 or kind == _COMMENT) and kind not in kept:
            pieces.append(data[copied:start])
            copied = end
    return b"".join([*pieces, data[copied:]])


def webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) that a WebP states, whose canvas is allocated twice as it is opened; (0, 0) of other files."""
    if not (data.startswith(b"RIFF") and data[8:12] == b"WEBP"):
        return 0, 0
    if data[12:16] == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    return width, height
