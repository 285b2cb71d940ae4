"""Sheets of one run: the right colour on the right patch, on grids that are not square."""

import numpy as np
import pytest

from tests.vit_engine.report.builders import pixels_of
from vit_engine.grid import TokenGrid
from vit_engine.report.colours import colour_stops, coloured
from vit_engine.report.sheets import GAP, NARROWEST, head_sheet, map_sheet, overlay
from vit_engine.trace.attention_map import AttentionMap

DARK, BRIGHT = (0x00, 0x00, 0x04), (0xFC, 0xFF, 0xA4)
MARK, EDGE = (255, 255, 255), (0x11, 0x11, 0x11)
ALARM = (0xB3, 0x26, 0x1E)


def sheet_of(maps: np.ndarray, **options: object) -> np.ndarray:
    shown = AttentionMap(maps[0], TokenGrid(1, *maps.shape[1:], patch_size=16), "by hand")
    return pixels_of(head_sheet(maps, shown, **{"caption": "caption", **options}))


def overlay_of(pixels: np.ndarray, values: np.ndarray, **options: object) -> np.ndarray:
    grid = TokenGrid(1, *values.shape, patch_size=16)
    return pixels_of(overlay(pixels, AttentionMap(values, grid, "by hand"), **{"caption": "caption", **options}))


def where(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right (inclusive) of the pixels of a colour."""
    ys, xs = np.nonzero((sheet == colour).all(axis=-1))
    return ys.min(), xs.min(), ys.max(), xs.max()


def test_colours_go_from_dark_to_bright_and_clip() -> None:
    colours = coloured(np.array([-1.0, 0.0, 1.0, 2.0, 9.0]), 0.0, 2.0, colour_stops("inferno"))[:, :3]
    assert [tuple(colour) for colour in colours[[0, 1, 3, 4]]] == [DARK, DARK, BRIGHT, BRIGHT]
    np.testing.assert_array_equal(colours[2], [186, 56, 83])  # half way between the fifth and the sixth of ten


def test_colours_get_lighter_all_the_way() -> None:
    colours = coloured(np.linspace(0, 1, 200), 0.0, 1.0, colour_stops("inferno"))[:, :3]
    assert (np.diff(colours @ np.array([0.2126, 0.7152, 0.0722])) >= 0).all()


def test_head_sheet_shows_each_head_where_it_should() -> None:
    """Two heads of 3×5 patches, one hot patch each; panes of 720 px are 144 px a patch."""
    maps = np.zeros((2, 3, 5), dtype=np.float32)
    maps[0, 2, 1] = maps[1, 0, 4] = 1
    sheet = sheet_of(maps)
    top = where(sheet, DARK)[0]
    for left, (row, col) in ((GAP, (2, 1)), (GAP + 720 + GAP, (0, 4))):
        hot = np.zeros((3, 5), dtype=bool)
        hot[row, col] = True
        expected = np.where(hot.repeat(144, 0).repeat(144, 1)[..., None], BRIGHT, DARK)
        np.testing.assert_array_equal(sheet[top : top + 3 * 144, left : left + 5 * 144], expected)


def test_heads_share_one_scale_that_a_single_hot_patch_does_not_set() -> None:
    maps = np.stack([np.full((2, 2), 0.5), np.full((2, 2), 1.0)]).astype(np.float32)
    sheet = sheet_of(maps)
    weak, strong = coloured(np.array([0.5, 1.0]), 0.0, 1.0, colour_stops("inferno"))[:, :3].round()
    for colour in (weak, strong):
        assert (abs(sheet.astype(int) - colour) <= 1).all(axis=-1).sum() >= 720 * 720
    hottest = np.ones((1, 11, 13), dtype=np.float32)
    hottest[0, 4, 7] = 1000
    assert (sheet_of(hottest) == BRIGHT).all(axis=-1).sum() > 142 * 55 * 55


@pytest.mark.parametrize(("heads", "columns"), [(1, 1), (3, 3), (4, 2), (6, 3), (12, 4)])
def test_heads_are_laid_out_in_rows(heads: int, columns: int) -> None:
    height, width = sheet_of(np.ones((heads, 4, 4), dtype=np.float32)).shape[:2]
    rows = -(-heads // columns)
    assert width == columns * (720 + GAP) + GAP
    assert rows * 720 <= height < rows * 720 * 1.2 + 300


def test_overlay_keeps_the_picture_beside_its_attention() -> None:
    """A picture of 480×320 px is shown upright, 1.5 times as large as high as is allowed: hot is row 7, column 3."""
    green, blue = (0, 200, 0), (0, 0, 200)
    pixels = np.full((480, 320, 3), green, dtype=np.uint8)
    pixels[:, 300:] = blue
    values = np.zeros((30, 20), dtype=np.float32)
    values[7, 3] = 1
    sheet = overlay_of(pixels, values)
    top, left, bottom, right = where(sheet, green)
    np.testing.assert_allclose((bottom + 1 - top, right + 1 - left), (1080, 675), atol=4)
    np.testing.assert_allclose(where(sheet, blue), (top, left + 675, bottom, left + 719), atol=4)
    attention = sheet[top : top + 1080, left + 720 + GAP : left + 720 + GAP + 720].mean(axis=-1)
    patches = attention.reshape(30, 36, 20, 36).mean(axis=(1, 3))
    assert np.unravel_index(patches.argmax(), patches.shape) == (7, 3)


def test_the_picture_under_the_attention_is_grey() -> None:
    pixels = np.full((32, 48, 3), (0, 200, 0), dtype=np.uint8)
    sheet = overlay_of(pixels, np.zeros((2, 3), dtype=np.float32))
    height, width = sheet.shape[:2]
    grey, dark = round(200 * 0.587), np.array(DARK)
    np.testing.assert_allclose(sheet[height // 2, width * 3 // 4], 0.3 * grey + 0.7 * dark, atol=1)


def test_marked_patch_is_outlined_in_row_and_column() -> None:
    """Row 1, column 3 of 2×5 patches of 144 px: an edge around it, and a ring in its middle."""
    values = np.ones((1, 2, 5), dtype=np.float32)
    plain, marked = sheet_of(values), sheet_of(values, marked=(1, 3))
    top, left, *_ = where(plain, BRIGHT)
    assert where((plain != marked).any(axis=-1)[..., None], (True,)) == (top + 144, left + 432, top + 287, left + 575)
    assert tuple(marked[top + 144 + 72, left + 432 + 72]) == MARK
    assert tuple(marked[top + 144 + 72, left + 432 + 72 + 19]) == EDGE


@pytest.mark.parametrize("what", ["caption", "warning"])
def test_long_captions_are_broken_not_cut_off(what: str) -> None:
    values, pixels = np.ones((12, 1), dtype=np.float32), np.zeros((192, 16, 3), dtype=np.uint8)
    short = overlay_of(pixels, values, **{what: "a"})
    long = overlay_of(pixels, values, **{what: "a rather long caption over a very narrow picture, " * 6})
    assert short.shape[1] == long.shape[1] == 2 * (NARROWEST + GAP) + GAP
    assert long.shape[0] > short.shape[0] + 2 * 38
    assert (long[:, -16:] == 255).all(), "a margin stays free of text"


def test_warnings_are_red() -> None:
    values = np.ones((1, 2, 5), dtype=np.float32)
    assert not (sheet_of(values) == ALARM).all(axis=-1).any()
    assert (sheet_of(values, warning="RANDOM WEIGHTS") == ALARM).all(axis=-1).sum() > 100


def test_colours_of_a_signed_map_are_centred_on_zero() -> None:
    """Three patches of 240 px: as far below zero as above it, and zero between, which is the white paper."""
    values = np.array([[[-2, 0, 2]]], dtype=np.float32)
    sheet = sheet_of(values, signed=True)
    less, more = (30, 136, 229), (245, 124, 0)
    top, left = where(sheet, less)[:2]
    assert [tuple(sheet[top + 120, left + x]) for x in (120, 360, 600)] == [less, (255, 255, 255), more]
    half = sheet_of(values / np.array([2, 1, 1], dtype=np.float32), signed=True)
    assert tuple(half[top + 120, left + 120]) not in {less, (255, 255, 255)}, "both ends are as far from zero"


def test_marks_are_drawn_over_picture_and_map_in_every_kind_of_file() -> None:
    """A thin edge around row 1, column 3, and a dashed one around columns 0 to 1, of 2×5 patches of 144 px."""
    shown = AttentionMap(np.ones((2, 5), dtype=np.float32), TokenGrid(1, 2, 5, patch_size=16), "by hand")
    square = np.array([[0, 0], [0, 32], [32, 32], [32, 0], [0, 0]], dtype=np.float32)
    options = {"limit": 1.0, "stops": colour_stops("inferno"), "opacity": 1.0, "beside": True, "caption": "caption"}
    pixels = np.zeros((32, 80, 3), dtype=np.uint8)
    plain = pixels_of(map_sheet(pixels, shown, **options)["png"])
    files = map_sheet(pixels, shown, **options, boxed=((1, 3),), edges=(square,), kinds=("png", "pdf", "svg"))
    assert set(files) == {"png", "pdf", "svg"}
    marked = pixels_of(files["png"])
    changed = (plain != marked).any(axis=-1)
    top, left = where(plain, BRIGHT)[:2]
    for start in (left, GAP):  # the map, and the picture beside it
        assert (marked[top + 216, start + 432] == MARK).all(), "the edge of the patch"
        across = changed[top + 216, start + 10 : start + 720 - 10]
        assert set(np.flatnonzero(across) + 10) <= {*range(282, 295), *range(426, 439), *range(570, 583)}
    column = marked[top + 4 : top + 284, left + 288].astype(int)
    assert {tuple(MARK), EDGE} <= {tuple(pixel) for pixel in column.tolist()}, "dashes"


def test_a_region_is_outlined_as_a_whole() -> None:
    """Rows 0 and 1, columns 1 to 3 of 2×5 patches of 144 px."""
    values = np.ones((1, 2, 5), dtype=np.float32)
    plain, marked = sheet_of(values), sheet_of(values, marked=(0, 1, 1, 3))
    top, left, *_ = where(plain, BRIGHT)
    changed = where((plain != marked).any(axis=-1)[..., None], (True,))
    assert changed == (top, left + 144, top + 287, left + 575)
