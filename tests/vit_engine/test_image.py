"""From files to what a model sees: decoding."""

import hashlib
import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from vit_engine.decoding import MAX_PIXELS
from vit_engine.errors import ImageError
from vit_engine.image import open_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
EXIF_ORIENTATION = 0x0112


def quarters() -> Image.Image:
    """4 rows × 6 columns: red above left, green above right, blue below left, white below right."""
    pixels = np.empty((4, 6, 3), dtype=np.uint8)
    pixels[:2, :3], pixels[:2, 3:], pixels[2:, :3], pixels[2:, 3:] = RED, GREEN, BLUE, WHITE
    return Image.fromarray(pixels)


def encoded(picture: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def pixels_of(source: str | Path | bytes) -> np.ndarray:
    picture = open_image(source)
    assert picture.mode == "RGB"
    return np.asarray(picture)


@pytest.mark.parametrize("suffix", ["png", "webp", "gif", "bmp", "tif"])
@pytest.mark.parametrize("as_text", [True, False])
def test_lossless_files_keep_every_pixel(tmp_path: Path, suffix: str, as_text: bool) -> None:
    path = tmp_path / f"picture.{suffix}"
    quarters().save(path, lossless=True)
    np.testing.assert_array_equal(pixels_of(str(path) if as_text else path), np.asarray(quarters()))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_jpegs_keep_their_colours_nearly(mode: str) -> None:
    data = encoded(quarters().resize((48, 32), 0).convert(mode), "JPEG", quality=95, subsampling=0)
    got = pixels_of(data)
    assert got.shape == (32, 48, 3)
    for row, col, colour in ((8, 8, RED), (8, 40, GREEN), (24, 8, BLUE), (24, 40, WHITE)):
        np.testing.assert_allclose(got[row, col], colour, atol=6)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours_are_brought_to_rgb(mode: str) -> None:
    picture = Image.fromarray(np.uint8([[0, 255, 255], [255, 0, 0]])).convert(mode)
    expected = np.repeat(np.uint8([[0, 255, 255], [255, 0, 0]])[..., None], 3, axis=2)
    np.testing.assert_array_equal(pixels_of(encoded(picture, "PNG")), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    grey, alpha = Image.new("L", (3, 1), 100), Image.fromarray(np.uint8([[255, 0, 51]]))
    bands = [grey, alpha] if mode == "LA" else [grey, grey, grey, alpha]
    got = pixels_of(encoded(Image.merge(mode, bands), "PNG"))
    np.testing.assert_allclose(got[0, :, 1], [100, 255, 0.2 * 100 + 0.8 * 255], atol=1)


@pytest.mark.parametrize("format_name", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(format_name: str) -> None:
    picture = Image.fromarray(np.uint8([[0, 1], [1, 0]])).convert("P")
    picture.putpalette([200, 10, 20, 30, 40, 50])
    got = pixels_of(encoded(picture, format_name, transparency=1))
    np.testing.assert_array_equal(got[0], [[200, 10, 20], [255, 255, 255]])


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_sixteen_bit_greys_are_scaled_from_their_type(format_name: str) -> None:
    picture = Image.fromarray(np.uint16([[0, 257 * 100, 257 * 200]]))
    assert pixels_of(encoded(picture, format_name))[0, :, 0].tolist() == [0, 100, 200]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.4, 1.0], [0, 102, 255]),  # from their own extremes
        ([-2.0, 0.0, 3.0], [0, 102, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),  # as they are
        ([0.0, np.inf, np.nan, 1.0, -np.inf], [0, 255, 0, 255, 0]),
        ([np.nan, np.nan], [0, 0]),
        ([7.0, 7.0], [7, 7]),
    ],
)
def test_float_greys_are_scaled_by_what_they_hold(values: list[float], expected: list[int]) -> None:
    assert pixels_of(encoded(Image.fromarray(np.float32([values])), "TIFF"))[0, :, 2].tolist() == expected


@pytest.mark.parametrize("kind", ["16 bit", "32 bit", "float", "big endian"])
def test_deep_greys_are_the_same_tile_by_tile(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    values = np.random.default_rng(0).integers(0, 60_000, (7, 11))
    dtype = {"16 bit": np.uint16, "32 bit": np.int32, "float": np.float32, "big endian": np.uint16}[kind]
    values = values * 1000 if kind == "32 bit" else values
    picture = Image.fromarray(values.astype(dtype))
    if kind == "big endian":
        picture = Image.frombytes("I;16B", (11, 7), values.astype(">u2").tobytes())
    data = encoded(picture, "TIFF")
    low, high = (0, 65535) if dtype == np.uint16 else (values.min(), values.max())
    monkeypatch.setattr("vit_engine.decoding._TILE", 3)
    np.testing.assert_array_equal(pixels_of(data)[..., 1], np.round((values - low) * (255 / (high - low))))


def test_deep_greys_are_never_whole_in_floating_point() -> None:
    data = encoded(Image.fromarray(np.full((3000, 3100), 257 * 70, dtype=np.uint16)), "PNG")
    tracemalloc.start()
    try:
        picture = open_image(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert picture.getpixel((3099, 2999)) == (70, 70, 70)
    assert peak < 3000 * 3100 * 2  # bytes; in float32 it would be twice as many, and Pillow's own are not counted


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in (GREEN, RED)]
    got = pixels_of(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert got.shape == (4, 6, 3)
    assert (got == GREEN).all()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corners"),  # of the upright picture: above left, above right, below left, below right
    [
        (1, (RED, GREEN, BLUE, WHITE)),
        (2, (GREEN, RED, WHITE, BLUE)),
        (3, (WHITE, BLUE, GREEN, RED)),
        (4, (BLUE, WHITE, RED, GREEN)),
        (5, (RED, BLUE, GREEN, WHITE)),
        (6, (BLUE, RED, WHITE, GREEN)),
        (7, (WHITE, GREEN, BLUE, RED)),
        (8, (GREEN, WHITE, RED, BLUE)),
    ],
)
def test_exif_orientation_is_applied(format_name: str, orientation: int, corners: tuple[tuple[int, ...], ...]) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    lossless = {"lossless": True} if format_name == "WEBP" else {"quality": 95, "subsampling": 0}
    got = pixels_of(encoded(quarters().resize((48, 32), 0), format_name, exif=exif, **lossless))
    assert got.shape == ((32, 48, 3) if orientation < 5 else (48, 32, 3))
    for colour, (row, col) in zip(corners, ((4, 4), (4, -5), (-5, 4), (-5, -5)), strict=True):
        np.testing.assert_allclose(got[row, col], colour, atol=6)


def test_a_malformed_exif_tag_does_not_cost_the_picture() -> None:
    # Orientation 6, and a resolution that is a string and no fraction.
    entries = struct.pack("<HHIHH", EXIF_ORIENTATION, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x011A, 2, 4, b"72/\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    assert pixels_of(encoded(quarters(), "JPEG", exif=exif)).shape == (6, 4, 3)


def wide_gamut_profile() -> bytes:
    """sRGB with its red and blue columns exchanged: nothing looks the same after conversion."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert profile.count(b"rXYZ") == profile.count(b"bXYZ") == 1
    return profile.replace(b"rXYZ", b"tmp ").replace(b"bXYZ", b"rXYZ").replace(b"tmp ", b"bXYZ")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_an_embedded_colour_profile_is_converted_to_srgb(mode: str) -> None:
    picture = Image.new("RGB", (2, 1), RED).convert(mode)
    got = pixels_of(encoded(picture, "PNG", icc_profile=wide_gamut_profile()))
    np.testing.assert_allclose(got, [[BLUE, BLUE]], atol=3)


@pytest.mark.parametrize("mode", ["RGB", "L", "LA"])
@pytest.mark.parametrize("profile", [b"not a profile", wide_gamut_profile()[:200]])
def test_a_broken_profile_is_ignored(mode: str, profile: bytes) -> None:
    picture = Image.new("L", (2, 1), 77).convert(mode)
    assert pixels_of(encoded(picture, "PNG", icc_profile=profile)).tolist() == [[[77] * 3] * 2]


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3)])
def test_odd_sizes_are_opened_as_they_are(size: tuple[int, int]) -> None:
    assert open_image(encoded(Image.new("RGB", size), "PNG")).size == size


def test_the_checksum_is_that_of_the_source() -> None:
    data = encoded(quarters(), "PNG")
    assert open_image(data).info == {"sha256": hashlib.sha256(data).hexdigest()}
    assert open_image(bytearray(data)).info == open_image(memoryview(data)).info == open_image(data).info


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_file_that_was_cut_off_is_refused(format_name: str, part: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    data = encoded(noise, format_name)
    with pytest.raises(ImageError, match=r"damaged or cut off|not a picture that can be read"):
        open_image(data[: int(len(data) * part)])


def test_damage_anywhere_is_an_image_error_or_a_picture() -> None:
    data = encoded(quarters(), "JPEG", exif=b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0))
    for position in range(len(data)):
        for value in (0, 255, data[position] ^ 1):
            damaged = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                assert open_image(damaged).mode == "RGB"
            except ImageError as error:
                assert "picture" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html></html>",
        b"%PDF-1.7\n%...",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"P6 1 1 255\n\0\0\0",  # a picture, but of a format that is not among the promised ones
        b"\0",
    ],
)
def test_what_is_no_picture_is_refused_with_the_formats_that_are(data: bytes) -> None:
    with pytest.raises(ImageError, match="not a picture that can be read; expected PNG, JPEG, WebP, GIF, BMP or TIFF"):
        open_image(data)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png' is empty \(0 bytes\)"):
        open_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match=r"the picture file is empty \(0 bytes\)"):
        open_image(b"")


@pytest.mark.parametrize("name", ["missing.png", ".", "nul\0byte.png"])
def test_a_path_that_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=r"cannot be read: .*\. Check the path"):
        open_image(tmp_path / name)


def png_with_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8000, 8001), (10_000, 10_000), (60_000, 60_000), (MAX_PIXELS + 1, 1)])
def test_a_giant_picture_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=r"64,000,000.*cale it down first"):
        open_image(png_with_header(width, height))


def test_the_limit_itself_is_allowed_and_only_its_data_is_missing() -> None:
    with pytest.raises(ImageError, match="damaged or cut off"):
        open_image(png_with_header(8000, 8000))
