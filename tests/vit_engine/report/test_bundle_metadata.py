"""What a picture's file says of its owner leaves with no bundle."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.vit_engine.report.builders import SIZE, STATISTIC, a_picture
from vit_engine.analysis.comparison import Comparison
from vit_engine.containers import png_chunks
from vit_engine.report.bundle import files
from vit_engine.report.style import Style

SECRET = "SECRETPLACE"
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator>{SECRET}</dc:creator></x:xmpmeta>'.encode()
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x10\x1c\x02\x50\0\x0b" + SECRET.encode()


def secretive(kind: str) -> dict[str, object]:
    """Options to save a picture with all that its format can say of its owner."""
    exif = Image.Exif()
    exif[0x013B] = exif[0x010F] = SECRET  # artist, maker
    exif.get_ifd(0x8825)[29] = SECRET  # GPS date
    texts = PngInfo()
    texts.add_text("Author", SECRET)
    texts.add_itxt("Comment", SECRET, zip=False)
    options: dict[str, dict[str, object]] = {
        "JPEG": {"comment": SECRET, "xmp": XMP, "extra": b"\xff\xed" + (len(IPTC) + 2).to_bytes(2, "big") + IPTC},
        "PNG": {"pnginfo": texts},
        "WEBP": {"xmp": XMP, "lossless": True},
        "TIFF": {"description": SECRET},
    }
    return {**options.get(kind, {}), **({} if kind in {"GIF", "BMP"} else {"exif": exif})} | (
        {"comment": SECRET} if kind == "GIF" else {}
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_what_a_picture_says_of_its_owner_is_in_no_file(kind: str, comparison: Comparison) -> None:
    picture = a_picture(kind, **secretive(kind))
    sha256 = picture.info["sha256"]
    shown = tuple(replace(one, trace=replace(one.trace, image_sha256=sha256)) for one in comparison.results)
    found = files(
        replace(comparison, results=shown), Style(), picture=picture, size=SIZE, statistic=STATISTIC, all_layers=False
    )
    assert len(found) == 10
    assert not [name for name, data in found.items() if SECRET.encode() in data]
    for name in ("picture.png", "comparison.png"):
        chunks = {chunk for chunk, _, _ in png_chunks(found[name])}
        assert chunks == {b"IHDR", b"IDAT", b"IEND"}
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found["picture.png"]))), np.asarray(picture))
