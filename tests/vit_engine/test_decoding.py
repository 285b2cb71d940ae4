"""Decoding within limits, without PyTorch, and the same pixels however it is cut up."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_engine import decoding
from vit_engine.decoding import TooManyPixelsError, decode, reduced
from vit_engine.errors import ImageError

ENGINE = Path(decoding.__file__).parent


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_pictures_are_decoded_without_pytorch() -> None:
    """By way of an empty package, as the dashboard's process does it."""
    code = (
        "import sys, types; package = types.ModuleType('vit_engine'); package.__path__ = [sys.argv[1]]; "
        "sys.modules['vit_engine'] = package; from vit_engine import decoding; "
        "print(decoding.decode(sys.stdin.buffer.read()).size, {'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    data = encoded(Image.new("RGBA", (5, 3)))
    done = subprocess.run([sys.executable, "-P", "-c", code, str(ENGINE)], input=data, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"(5, 3) set()\n", b"")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L"])
def test_transparency_is_laid_on_white_the_same_strip_by_strip(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (11, 7, 4), dtype=np.uint8)
    picture = Image.fromarray(noise).convert("P" if mode == "PA" else mode)
    if mode == "PA":
        picture = picture.convert("PA")
    elif "A" not in mode:
        picture.info["transparency"] = picture.getpixel((3, 5))
    whole = picture.convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    monkeypatch.setattr(decoding, "_STRIP", 4)
    np.testing.assert_array_equal(np.asarray(decoding.to_rgb(picture)), np.asarray(expected))


def test_more_pixels_than_asked_for_are_told_from_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (10, 7)))
    assert decode(data, most_pixels=70).size == (10, 7)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(TooManyPixelsError, match=r"10×7 = 70 pixels; the limit is 69\. Scale it down first"):
        decode(data, most_pixels=69)


def test_a_lack_of_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(ImageError, match="needs more memory to decode than there is; scale it down first"):
        decode(encoded(Image.new("RGB", (10, 7))))


@pytest.mark.parametrize(
    ("size", "most", "expected"),
    [
        ((80, 60), 4800, (80, 60)),
        ((80, 60), 1200, (40, 30)),
        ((60, 80), 1000, (27, 36)),  # √(1000 / 4800) of each side, rounded down
        ((1000, 1), 100, (100, 1)),
        ((1, 1000), 100, (1, 100)),
    ],
)
def test_a_large_picture_is_reduced_to_so_many_pixels(
    size: tuple[int, int], most: int, expected: tuple[int, int]
) -> None:
    """Of a slope the middle stays grey, and neither end is lost."""
    slope = np.linspace(0, 255, max(size)).round().astype(np.uint8)
    long = np.broadcast_to(slope[:, None] if size[1] > size[0] else slope, (size[1], size[0]))
    found = reduced(Image.fromarray(np.repeat(long[..., None], 3, axis=2)), most)
    assert found.size == expected
    pixels = np.asarray(found)
    assert pixels.mean() == pytest.approx(127.5, abs=2)
    assert int(pixels.min()) <= 8
    assert int(pixels.max()) >= 247
