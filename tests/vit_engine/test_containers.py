"""What a file is made of is seen before anything of it is decoded."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from vit_engine import containers
from vit_engine.containers import check_parts, decoded_pixels, webp_size, without_metadata
from vit_engine.decoding import TooManyPixelsError, decode
from vit_engine.errors import ImageError

SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"  # header only
SLOPE = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8)


def jpeg(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SLOPE).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def with_scans(data: bytes, count: int) -> bytes:
    """With so many more scans at its end, that refine nothing."""
    assert data.endswith(b"\xff\xd9")
    return data[:-2] + SCAN * count + b"\xff\xd9"


def with_size(data: bytes, height: int, width: int) -> bytes:
    """A JPEG whose frame states another size."""
    frame = next(data.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data)
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*more: bytes, after: bytes = b"") -> bytes:
    """A PNG of 48×40 with these chunks before its pixels, and some behind."""
    rows = b"".join(b"\0" + row.tobytes() for row in SLOPE)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 40, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + body + after + chunk(b"IEND", b"")


def refuse_to_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.Image.open", lambda *_, **__: pytest.fail("it was opened"))


@pytest.mark.parametrize(("height", "width", "most"), [(8000, 8000, 20), (4000, 4000, 80), (1000, 2000, 640)])
def test_scans_times_pixels_are_bounded(height: int, width: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,280,000,000 / 64,000,000 = 20, and so on."""
    data = with_size(jpeg(progressive=True), height, width)
    has = data.count(b"\xff\xda")
    check_parts(with_scans(data, most - has), "the picture file")
    refuse_to_decode(monkeypatch)
    message = rf"is a JPEG of {most + 1} scans of {height * width:,} pixels each; at most {most} scans"
    with pytest.raises(ImageError, match=message):
        decode(with_scans(data, most + 1 - has))


def test_pixels_that_decoding_goes_over_are_told_by_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_to_decode(monkeypatch)
    assert decoded_pixels(with_size(jpeg(), 300, 200)) == 60_000
    assert decoded_pixels(with_scans(with_size(jpeg(), 300, 200), 2)) == 180_000
    assert decoded_pixels(png()) == 48 * 40
    assert decoded_pixels(b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\x09\0\0\x13\0\0") == 10 * 20
    assert decoded_pixels(b"BM" + bytes(60)) is None
    monkeypatch.setattr(containers, "MAX_PARTS", 10)
    assert decoded_pixels(with_scans(jpeg(), 10)) is None


def test_ordinary_progressive_pictures_of_the_largest_size_have_few_enough_scans() -> None:
    check_parts(with_size(jpeg(progressive=True), 8000, 8000), "the picture file")


@pytest.mark.parametrize("where", ["in a segment", "behind the end"])
def test_what_only_looks_like_scans_is_not_counted(where: str) -> None:
    """A photograph's thumbnail, and the film that phones append to it."""
    data, scans = jpeg(), SCAN * 1000
    comment = b"\xff\xfe" + struct.pack(">H", len(scans) + 2) + scans
    odd = data[:2] + comment + data[2:] if where == "in a segment" else data + scans
    assert np.array_equal(decode(with_size(odd, 40, 48)), decode(data))
    check_parts(with_size(odd, 8000, 8000), "the picture file")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_parts_are_bounded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    many = b"\xff\xfe\x00\x02" if kind == "JPEG" else chunk(b"teXt", b"")
    data = jpeg() if kind == "JPEG" else png()
    head = 2 if kind == "JPEG" else 33
    crowded = data[:head] + many * containers.MAX_PARTS + data[head:]
    refuse_to_decode(monkeypatch)
    with pytest.raises(ImageError, match="has more than 100,000 parts"):
        decode(crowded)


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("alpha", [True, False])
def test_the_size_that_a_webp_states_is_read(lossless: bool, alpha: bool) -> None:
    buffer = io.BytesIO()
    picture = Image.new("RGBA" if alpha else "RGB", (300, 207), (200, 100, 0, 7)[: 4 if alpha else 3])
    picture.save(buffer, "WEBP", lossless=lossless)
    assert webp_size(buffer.getvalue()) == (300, 207)
    assert webp_size(png()) == (0, 0)


def test_a_giant_webp_is_refused_before_its_canvas_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """46 bytes, 8000×8000 pixels of one colour: opening it takes half a gigabyte."""
    small = bytes.fromhex(
        "524946462600000057454250 5650384c1a000000 2f3fdfcf17074020698bb7fd0a01044041d38226c44744f43f00"
    )
    assert webp_size(small) == (8000, 8000)
    refuse_to_decode(monkeypatch)
    with pytest.raises(TooManyPixelsError, match=r"8000×8000 = 64,000,000 pixels; the limit is 16,000,000"):
        decode(small, most_pixels=16_000_000)


TEXT = b"XML:com.adobe.xmp\0\0\0\0\0<broken"
DAMAGED = chunk(b"tEXt", b"a\0b")[:-4] + b"\0\0\0\0"  # its checksum is wrong
MALFORMED = {
    "exif": chunk(b"eXIf", b"garbage"),
    "exif without a directory": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "exif cut off": chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x09\x01\x12"),
    "exif in a text": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  3\nno hex"),
    "resolution": chunk(b"pHYs", b"\0\0"),
    "gamma": chunk(b"gAMA", b"\0"),
    "white point": chunk(b"cHRM", b"\0"),
    "rendering intent": chunk(b"sRGB", b""),
    "profile, no profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile")),
    "profile, not deflated": chunk(b"iCCP", b"name\0\0garbage"),
    "profile, method unknown": chunk(b"iCCP", b"name\0\7garbage"),
    "profile, empty": chunk(b"iCCP", b""),
    "profile, endless": chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(5_000_000))),
    "text, not deflated": chunk(b"zTXt", b"name\0\0garbage"),
    "text, method unknown": chunk(b"zTXt", b"name\0\7garbage"),
    "text, endless": chunk(b"zTXt", b"name\0\0" + zlib.compress(bytes(5_000_000))),
    "text, other than UTF-8": chunk(b"iTXt", b"name\0\0\0\0\0\xff\xfe\xff"),
    "text, checksum": DAMAGED,
    "xmp": chunk(b"iTXt", TEXT),
    "animation": chunk(b"acTL", b"\0"),
    "frame": chunk(b"fcTL", b"\0"),
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_png_is_taken_whatever_is_malformed_but_its_pixels(name: str, behind: bool) -> None:
    data = png(after=MALFORMED[name]) if behind else png(MALFORMED[name])
    np.testing.assert_array_equal(np.asarray(decode(data))[..., 1], SLOPE)


def orientation(value: int) -> bytes:
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)


def test_a_malformed_text_does_not_cost_the_orientation() -> None:
    data = png(chunk(b"eXIf", orientation(6)), MALFORMED["resolution"])
    np.testing.assert_array_equal(np.asarray(decode(data))[..., 1], np.rot90(SLOPE, -1))


def test_damaged_pixels_are_refused_as_before() -> None:
    data = bytearray(png(MALFORMED["exif"]))
    data[data.index(b"IDAT") + 40] ^= 255
    with pytest.raises(ImageError, match="damaged or cut off"):
        decode(bytes(data))


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", 0xFF00 | marker, len(body) + 2) + body


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xE0, b"JFIF\0"),
        segment(0xE1, b"Exif\0\0garbage"),
        segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<broken"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"ICC_PROFILE\0\1\1garbage"),
        segment(0xE2, b"MPF\0garbage"),
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
        segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\1\0"),
        segment(0xEE, b"Adobe"),
        segment(0xFE, b""),
    ],
    ids=lambda odd: repr(odd[4:24]),
)
def test_a_jpeg_is_taken_whatever_is_malformed_but_its_pixels(odd: bytes) -> None:
    data = jpeg()
    found = decode(data[:2] + odd + data[2:])
    np.testing.assert_array_equal(np.asarray(found), np.asarray(decode(data)))


def test_without_its_metadata_a_jpeg_keeps_its_orientation_first() -> None:
    data = jpeg(exif=b"Exif\0\0" + orientation(6))
    odd = data[:2] + segment(0xE0, b"JFIF\0") + data[2:]
    assert decode(odd).size == (40, 48)
    assert [b"Exif" in less for less in without_metadata(odd)] == [True, False, False]


def in_webp(exif: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SLOPE).save(buffer, "WEBP", lossless=True, exif=exif, icc_profile=b"garbage", xmp=b"<broken")
    return buffer.getvalue()


def in_tiff(exif: bytes) -> bytes:
    """As EXIF of its own a TIFF has a directory that a tag points at: here at nothing."""
    buffer = io.BytesIO()
    Image.fromarray(SLOPE).save(buffer, "TIFF", tiffinfo={0x8769: len(exif) * 1_000_000, 0x010F: "maker"})
    return buffer.getvalue()


@pytest.mark.parametrize("build", [in_webp, in_tiff])
@pytest.mark.parametrize("exif", [b"garbage", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x09\x01\x12"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_malformed_exif_costs_neither_a_webp_nor_a_tiff(build: Callable[[bytes], bytes], exif: bytes) -> None:
    np.testing.assert_array_equal(np.asarray(decode(build(exif)))[..., 1], SLOPE)
