"""Pictures: the right colour on the right patch, on grids that are not square."""

import numpy as np
import pytest
from PIL import Image

from vit_engine.report import sheets

DARK, BRIGHT = (0x00, 0x00, 0x04), (0xFC, 0xFF, 0xA4)
MARK = (0x00, 0xE5, 0xFF)


def _where(sheet: Image.Image, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right (inclusive) of the pixels of a colour."""
    ys, xs = np.nonzero((np.asarray(sheet) == colour).all(axis=-1))
    return ys.min(), xs.min(), ys.max(), xs.max()


def test_colours_go_from_dark_to_bright_and_clip():
    coloured = sheets.colours(np.array([-1.0, 0.0, 1.0, 2.0, 9.0]), 2.0)
    assert coloured.dtype == np.uint8
    assert [tuple(colour) for colour in coloured[[0, 1, 3, 4]]] == [DARK, DARK, BRIGHT, BRIGHT]
    np.testing.assert_array_equal(coloured[2], [186, 56, 83])  # half way between the fifth and the sixth of ten


def test_colours_get_lighter_all_the_way():
    luminance = sheets.colours(np.linspace(0, 1, 200), 1.0) @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) >= 0).all()


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        (np.arange(101.0), 99.0),  # clipped at the percentile: the hottest patch does not set the scale
        (np.eye(1, 1000)[0], 1.0),  # one patch in a thousand: the percentile is 0, the maximum is not
        (np.zeros(5), 1.0),
    ],
)
def test_colour_limit(values: np.ndarray, limit: float):
    assert sheets.colour_limit(values) == pytest.approx(limit)


def test_head_sheet_shows_each_head_where_it_should():
    """Two heads of 3×5 patches, one hot patch each; panels of 400 px are 80 px a patch."""
    maps = np.zeros((2, 3, 5), dtype=np.float32)
    maps[0, 2, 1] = maps[1, 0, 4] = 1
    sheet = sheets.head_sheet(maps, caption="caption")
    pixels = np.asarray(sheet)
    dark = np.nonzero((pixels == DARK).all(axis=-1))
    top, left = dark[0].min(), dark[1].min()
    first = pixels[top : top + 3 * 80, left : left + 5 * 80]
    second_left = left + 5 * 80 + 16
    second = pixels[top : top + 3 * 80, second_left : second_left + 5 * 80]
    for panel, (row, col) in ((first, (2, 1)), (second, (0, 4))):
        hot = np.zeros((3, 5), dtype=bool)
        hot[row, col] = True
        expected = np.where(hot.repeat(80, 0).repeat(80, 1)[..., None], BRIGHT, DARK)
        np.testing.assert_array_equal(panel, expected)


def test_heads_share_one_scale():
    maps = np.stack([np.full((2, 2), 0.5), np.full((2, 2), 1.0)]).astype(np.float32)
    pixels = np.asarray(sheets.head_sheet(maps, caption=""))
    weak, strong = sheets.colours(np.array([0.5, 1.0]), 1.0)
    for colour in (weak, strong):
        assert (pixels == colour).all(axis=-1).sum() >= 400 * 400


@pytest.mark.parametrize(("heads", "columns"), [(1, 1), (3, 3), (4, 2), (6, 3), (12, 4)])
def test_heads_are_laid_out_in_rows(heads: int, columns: int):
    sheet = sheets.head_sheet(np.ones((heads, 4, 4), dtype=np.float32), caption="")
    rows = -(-heads // columns)
    assert columns * 400 <= sheet.width < columns * 400 * 1.2 + 100
    assert rows * 400 <= sheet.height < rows * 400 * 1.3 + 200


def test_overlay_keeps_the_picture_beside_its_attention():
    """A picture of 480×320 px is shown at its size, upright, and its hot patch is row 7, column 3."""
    green, blue = (0, 200, 0), (0, 0, 200)
    pixels = np.full((480, 320, 3), green, dtype=np.uint8)
    pixels[:, 300:] = blue
    values = np.zeros((30, 20), dtype=np.float32)
    values[7, 3] = 1
    sheet = sheets.overlay(pixels, values, caption="caption")
    top, left, bottom, right = _where(sheet, green)
    assert (bottom + 1 - top, right + 1 - left) == (480, 300)
    assert _where(sheet, blue) == (top, left + 300, bottom, left + 319)
    attention = np.asarray(sheet)[top : top + 480, left + 320 + 16 : left + 320 + 16 + 320].mean(axis=-1)
    patches = attention.reshape(30, 16, 20, 16).mean(axis=(1, 3))
    assert np.unravel_index(patches.argmax(), patches.shape) == (7, 3)


def test_marked_patch_is_outlined_in_row_and_column():
    """Row 1, column 3 of 2×5 patches of 80 px in a panel that starts below caption and title."""
    values = np.ones((1, 2, 5), dtype=np.float32)
    plain = sheets.head_sheet(values, caption="")
    top, left, *_ = _where(plain, BRIGHT)
    sheet = sheets.head_sheet(values, caption="", marked=(1, 3))
    assert _where(sheet, MARK) == (top + 80, left + 240, top + 159, left + 319)
    assert not (np.asarray(plain) == MARK).all(axis=-1).any()


def test_long_captions_are_not_cut_off():
    values, pixels = np.ones((12, 1), dtype=np.float32), np.zeros((192, 16, 3), dtype=np.uint8)
    short = sheets.overlay(pixels, values, caption="a")
    long = sheets.overlay(pixels, values, caption="a rather long caption over a very narrow picture, " * 3)
    assert long.width > 2 * short.width
    assert (np.asarray(long)[:, -16:] == 255).all(), "a margin stays free of text"
