"""From pictures to what a model sees: sizes, the crop to whole patches, normalisation."""

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vit_engine.errors import ImageError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage, prepare_image
from vit_engine.spec import INTERPOLATIONS, ModelSpec, Preprocessing


def spec(**options: Any) -> ModelSpec:
    return ModelSpec(
        name="m",
        title="M",
        family="test",
        patch_size=8,
        dim=12,
        depth=2,
        heads=3,
        **{"native_size": (48, 56), "registers": 2, **options},
    )


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.mark.parametrize(
    ("of", "size", "expected"),  # of: (width, height); expected: (height, width) in whole patches
    [
        ((200, 100), 64, (64, 128)),
        ((100, 200), 64, (128, 64)),
        ((150, 100), 37, (32, 48)),  # 37×55, cropped
        ((100, 150), 37, (48, 32)),
        ((100, 100), 8, (8, 8)),
        ((300, 100), 30, (24, 88)),  # exactly 90 wide, not 89
        ((1, 1), 16, (16, 16)),
        ((5, 3), 24, (24, 40)),  # smaller than one patch
        ((200, 100), None, (48, 96)),  # the short side of the native size
        ((200, 100), (40, 24), (40, 24)),
        ((200, 100), [47, 31], (40, 24)),
        ((200, 100), np.int64(64), (64, 128)),
        ((3, 5000), (40, 24), (40, 24)),
        ((120, 10), 8, (8, 96)),  # 12 times as long: the limit itself
    ],
)
def test_sizes(of: tuple[int, int], size: Any, expected: tuple[int, int]) -> None:
    prepared = prepare_image(picture(*of), spec(), size=size)
    assert prepared.grid == TokenGrid(3, expected[0] // 8, expected[1] // 8, 8)
    assert prepared.pixels.shape == (*expected, 3)
    assert prepared.tensor.shape == (3, *expected)
    assert prepared.tensor.dtype == torch.float32
    assert prepared.tensor.is_contiguous()


def test_the_crop_takes_from_the_right_and_the_bottom() -> None:
    source = picture(29, 21)
    prepared = prepare_image(source, spec(), size=(21, 29))
    np.testing.assert_array_equal(prepared.pixels, np.asarray(source)[:16, :24])


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_resize_filter_is_the_models(interpolation: str) -> None:
    source = picture(50, 40)
    prepared = prepare_image(source, spec(preprocessing=Preprocessing(interpolation=interpolation)), size=(16, 24))
    expected = source.resize((24, 16), Image.Resampling[interpolation.upper()])
    np.testing.assert_array_equal(prepared.pixels, np.asarray(expected))


def test_normalisation_is_imagenets_by_hand() -> None:
    source = Image.new("RGB", (8, 8), (255, 102, 0))
    red, green, blue = prepare_image(source, spec(), size=(8, 8)).tensor[:, 3, 5].tolist()
    assert red == pytest.approx((1 - 0.485) / 0.229)
    assert green == pytest.approx((0.4 - 0.456) / 0.224)
    assert blue == pytest.approx((0 - 0.406) / 0.225)


def test_normalisation_is_the_models_own() -> None:
    preprocessing = Preprocessing(mean=(0, 0.5, 1), std=(1, 0.5, 2))
    source = Image.new("RGB", (8, 8), (51, 51, 51))
    tensor = prepare_image(source, spec(preprocessing=preprocessing), size=(8, 8)).tensor
    assert tensor[:, 0, 0].tolist() == pytest.approx([0.2, -0.6, -0.4])


def test_rows_are_height_and_columns_width() -> None:
    source = Image.fromarray(np.repeat(np.arange(16, dtype=np.uint8)[:, None], 24, axis=1)).convert("RGB")
    prepared = prepare_image(source, spec(), size=(16, 24))
    assert prepared.pixels[:, 0, 0].tolist() == list(range(16))
    assert (prepared.tensor.diff(dim=2) == 0).all()
    assert (prepared.tensor.diff(dim=1) > 0).all()


def test_pictures_that_are_not_rgb_are_converted() -> None:
    transparent = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (prepare_image(transparent, spec(), size=8).pixels == 255).all()


def test_the_checksum_is_the_sources_or_else_that_of_the_pixels() -> None:
    source = picture(8, 8)
    assert prepare_image(source, spec(), size=8).sha256 == hashlib.sha256(source.tobytes()).hexdigest()
    source.info["sha256"] = "of the file"
    assert prepare_image(source, spec(), size=8).sha256 == "of the file"


def test_prepared_pixels_cannot_be_changed_and_share_nothing_with_the_source() -> None:
    prepared = prepare_image(picture(8, 8), spec(), size=8)
    with pytest.raises(ValueError, match="read-only"):
        prepared.pixels[0, 0] = 0


@pytest.mark.parametrize("size", [7, 0, -8, (8, 7), (7, 8), (), (8, 8, 8), 8.0, (8.0, 16), "64", "8"])
def test_a_size_that_cannot_be_is_refused(size: Any) -> None:
    with pytest.raises(SpecError, match=r"short side or \(height, width\), each at least one patch of 8 px; got"):
        prepare_image(picture(40, 40), spec(), size=size)


@pytest.mark.parametrize("of", [(3, 5000), (5000, 3), (121, 10)])
def test_a_strip_cannot_keep_its_aspect_ratio(of: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=rf"{of[0]}×{of[1]} px, more than 12 times .*\(height, width\)"):
        prepare_image(Image.new("RGB", of), spec(), size=16)


def test_a_prepared_image_must_agree_with_its_grid() -> None:
    grid = TokenGrid(1, 1, 2, 8)
    pixels, tensor = np.zeros((8, 16, 3), np.uint8), torch.zeros(3, 8, 16)
    PreparedImage(pixels, tensor, grid, "")
    for wrong in ((pixels[:, :8], tensor), (pixels, tensor[:, :, :8]), (pixels.transpose(1, 0, 2), tensor.mT)):
        with pytest.raises(SpecError, match=r"needs pixels \(8, 16, 3\) and a tensor \(3, 8, 16\); got"):
            PreparedImage(*wrong, grid, "")


@pytest.mark.parametrize("size", [100_000, (8_016, 8_000)])
def test_a_size_of_more_pixels_than_a_picture_may_have_is_refused_at_once(size: int | tuple[int, int]) -> None:
    with pytest.raises(SpecError, match="at most 64,000,000"):
        prepare_image(Image.new("RGB", (30, 20)), spec(), size=size)
