"""Mask files in every mode that people have, scaled and cropped as their picture is."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from vit_engine.analysis.worth.masks import mask_coverage
from vit_engine.spec import ModelSpec

SHAPE = (23, 31)  # of the picture; a short side of 46 makes it 46×62, of which 44×60 are whole patches
SIZE = 46
TRUTH = np.zeros(SHAPE, dtype=bool)
TRUTH[5:9, 11:20] = True


def saved(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def palette() -> Image.Image:
    """Black is its colour 1."""
    picture = Image.fromarray(np.where(TRUTH, 0, 1).astype(np.uint8))
    picture.putpalette([128, 0, 0, 0, 0, 0])
    return picture


def colour_key() -> Image.Image:
    """A file of three channels whose grey is declared transparent."""
    picture = Image.fromarray(np.where(TRUTH[..., None], 200, 9).repeat(3, axis=2).astype(np.uint8))
    return Image.open(io.BytesIO(saved(picture, transparency=(9, 9, 9))))


def on_transparency() -> Image.Image:
    colours = np.full((*SHAPE, 4), 255, dtype=np.uint8)
    colours[..., 3] = np.where(TRUTH, 1, 0)
    return Image.fromarray(colours)


MODES = {
    "white": Image.fromarray(np.where(TRUTH, 255, 0).astype(np.uint8)),
    "bits": Image.fromarray(TRUTH),
    "label 1": Image.fromarray(TRUTH.astype(np.uint8)),
    "label 300 of 16 bits": Image.fromarray(np.where(TRUTH, 300, 0).astype(np.uint16)),
    "blue": Image.fromarray((TRUTH[..., None] * np.array([0, 0, 1])).astype(np.uint8)),
    "palette": palette(),
    "colour key": colour_key(),
    "transparent ground": on_transparency(),
}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_neither_black_nor_transparent_counts(small_spec: ModelSpec, mode: str) -> None:
    mask = ve.open_mask(saved(MODES[mode]), SHAPE, small_spec, size=SIZE)
    twice = TRUTH.repeat(2, axis=0).repeat(2, axis=1)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, twice[:44, :60])


def test_a_mask_of_the_prepared_picture_is_taken_as_it_is(small_spec: ModelSpec, tmp_path: Path) -> None:
    prepared = np.random.default_rng(0).random((44, 60)) < 0.3
    path = tmp_path / "mask.png"
    path.write_bytes(saved(Image.fromarray(prepared)))
    np.testing.assert_array_equal(ve.open_mask(path, SHAPE, small_spec, size=SIZE), prepared)


def test_it_lies_on_the_picture_as_the_picture_is_prepared(small_spec: ModelSpec) -> None:
    """A picture that is its own mask, at a size that is no multiple of its own."""
    picture = Image.fromarray(np.where(TRUTH, 255, 0).astype(np.uint8)).convert("RGB")
    prepared = ve.prepare_image(picture, small_spec, size=57)
    mask = ve.open_mask(saved(picture), SHAPE, small_spec, size=57)
    assert (mask == (prepared.pixels[..., 0] > 127)).mean() > 0.995


@pytest.mark.parametrize("shape", [(31, 23), (46, 62), (22, 31)])
def test_another_size_is_refused_with_those_that_fit(small_spec: ModelSpec, shape: tuple[int, int]) -> None:
    other = saved(Image.new("L", (shape[1], shape[0]), 255))
    message = rf"23×31 px .* 44×60 px; the picture file has {shape[0]}×{shape[1]} px"
    with pytest.raises(ve.ImageError, match=message):
        ve.open_mask(other, SHAPE, small_spec, size=SIZE)


def test_no_picture_and_no_mask_are_refused(small_spec: ModelSpec) -> None:
    with pytest.raises(ve.ImageError, match="not a picture"):
        ve.open_mask(b"mask", SHAPE, small_spec)
    with pytest.raises(ve.SpecError, match="must be bool"):
        ve.fit_mask(TRUTH.astype(np.uint8), small_spec)


@pytest.mark.parametrize("mask", ["mask.png", None, (0, 0, 1), np.zeros(4), [[True], [True, False]]])
def test_what_is_neither_pixels_nor_a_box_is_refused(mask: object) -> None:
    with pytest.raises(ve.SpecError, match=r"must be bool \(height, width\), or a box \(y0, x0, y1, x1\)"):
        mask_coverage(mask, ve.TokenGrid(1, 5, 7, 4))  # type: ignore[arg-type]
