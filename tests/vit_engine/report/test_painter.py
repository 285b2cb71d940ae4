"""Panes as pixels have the colours that the panels say, where the patches are."""

from dataclasses import replace

import numpy as np
import pytest

from tests.vit_engine.report.builders import FRAME, GRID, PICTURE_COLOUR, SMALL, pane_pixels, panel
from vit_engine.analysis.comparison import Comparison
from vit_engine.report.colours import coloured, diverging_stops
from vit_engine.report.painter import PANE_HEIGHT, PANE_WIDTH, View
from vit_engine.report.panels import panels
from vit_engine.report.style import Style, Zoom

SCALE = 45  # 720 / 16
WHITE = [255, 255, 255]


def at(pixels: np.ndarray, y: float, x: float) -> list[int]:
    """The colour at a point in pixels of the picture."""
    return pixels[int(y * SCALE), int(x * SCALE)].tolist()


def mixed(colour: tuple[float, ...], cover: float) -> list[int]:
    return [round(value) for value in PICTURE_COLOUR * (1 - cover) + np.array(colour) * cover]


@pytest.mark.parametrize("opacity", [0.0, 0.6, 1.0])
def test_each_patch_has_its_colour_over_the_picture_at_the_opacity(opacity: float) -> None:
    pixels = pane_pixels(panel(), View.of(SMALL), opacity)
    expected = {
        (0, 0): mixed((0, 0, 0), opacity),
        (0, 1): mixed((50, 0, 100), opacity),
        (0, 2): mixed((100, 0, 200), opacity),
        (1, 0): mixed((150, 50, 100), 0.75 * opacity),  # half-way to a colour that is half clear
        (1, 1): mixed((200, 100, 0), 0.5 * opacity),
        (1, 2): mixed((0, 0, 0), 0.0),  # NaN is not drawn
    }
    for (row, col), colour in expected.items():
        for y, x in ((0.05, 0.05), (2.5, 2.5), (4.95, 4.95)):  # to the edges: no colour runs into the next patch
            np.testing.assert_allclose(at(pixels, row * 5 + y, col * 5 + x), colour, atol=1)


def test_beyond_the_crop_there_is_paper() -> None:
    pixels = pane_pixels(panel(), View.of(SMALL), 1.0)
    assert at(pixels, 10.5, 7) == at(pixels, 4, 15.5) == WHITE


def test_a_grid_that_covers_more_than_the_pane_is_drawn_there_too() -> None:
    """As that of a difference to a pane with another crop."""
    wide = replace(GRID, cols=4)
    values = np.full((2, 4), 0.4, dtype=np.float32)
    pixels = pane_pixels(panel(grid=wide, values=values, coloured=values), View.of(SMALL), 1.0)
    np.testing.assert_allclose(at(pixels, 2, 15.5), [228, 178, 128], atol=1)  # half of (200, 100, 0) on white


def test_values_outside_the_scale_have_the_colours_of_its_ends() -> None:
    colours = coloured(np.array([-1.0, 9.0, np.nan]), 0.0, 0.4, panel().stops)
    np.testing.assert_array_equal(colours[:2], [[0, 0, 0, 1], [200, 100, 0, 0.5]])
    assert colours[2, 3] == 0


def test_no_difference_covers_nothing_and_the_largest_all() -> None:
    colours = coloured(np.array([-2.0, 0.0, 2.0]), -2.0, 2.0, diverging_stops())
    np.testing.assert_array_equal(colours[[0, 2]], [[30, 136, 229, 1], [245, 124, 0, 1]])
    assert colours[1, 3] == 0


@pytest.mark.parametrize(
    ("frame", "shape", "scale"),
    [
        ((96, 136), (508, PANE_WIDTH), 720 / 136),
        ((640, 960), (640, 960), 1.0),  # never below the picture's own resolution
        ((300, 100), (PANE_HEIGHT, 480), 4.8),  # a tall one is as high as the limit
    ],
)
def test_a_pane_is_twice_as_wide_as_on_the_screen(frame: tuple[int, int], shape: tuple[int, int], scale: float) -> None:
    view = View.of(frame)
    assert view.shape == shape
    assert view.scale == pytest.approx(scale)


def test_only_the_zoomed_part_is_drawn() -> None:
    view = View.of(SMALL, (2.0, 5.0, 7.0, 15.0))  # rows 2 to 7, columns 5 to 15: 72 to a pixel
    pixels = pane_pixels(panel(), view, 1.0)
    assert pixels.shape == (360, 720, 3)
    assert pixels[100, 100].tolist() == [50, 0, 100]  # patch 0, 1
    assert pixels[100, 700].tolist() == [100, 0, 200]  # patch 0, 2
    assert pixels[300, 700].tolist() == PICTURE_COLOUR.tolist()  # patch 1, 2: NaN
    assert pixels[215, 100].tolist() == [50, 0, 100]
    np.testing.assert_allclose(pixels[217, 100], mixed((200, 100, 0), 0.5), atol=1)


def test_a_part_beyond_the_picture_is_paper() -> None:
    pixels = pane_pixels(panel(), View.of(SMALL, (-5.0, -5.0, 5.0, 5.0)), 1.0)
    assert pixels.shape == (720, 720, 3)
    assert pixels[350, 700].tolist() == WHITE
    assert pixels[370, 370].tolist() == [0, 0, 0]


@pytest.mark.parametrize("zoom", [None, (40.0, 50.0, 90.0, 130.0), (-10.0, 100.0, 30.0, 150.0)])
def test_the_picture_lies_where_the_patches_are(zoom: Zoom | None, comparison: Comparison) -> None:
    """Without colours it is the picture, enlarged."""
    drawn = replace(panels(comparison, Style())[0], patch=None)
    view = View.of(FRAME, zoom)
    pixels = pane_pixels(drawn, view, 0.0)
    assert drawn.pixels is not None
    seen = 0
    for y, x in ((10, 20), (12, 120), (50, 60), (50, 120), (80, 70), (90, 5)):
        row, col = int((y + 0.5 - view.top) * view.scale), int((x + 0.5 - view.left) * view.scale)
        if 0 <= row < view.shape[0] and 0 <= col < view.shape[1]:
            np.testing.assert_allclose(pixels[row, col], drawn.pixels[y, x], atol=12)
            seen += 1
    assert seen == {None: 6, (40.0, 50.0, 90.0, 130.0): 3}.get(zoom, 1)


def test_the_query_has_a_bright_dot_in_dark_and_an_edge_around_its_patch() -> None:
    plain, marked = (pane_pixels(panel(patch=patch), View.of(SMALL), 1.0) for patch in (None, (1, 1)))
    assert at(marked, 7.5, 7.5) == WHITE  # the dot
    assert at(marked, 7.5, 7.5 + 9.8 * 2 / SCALE) == [17, 17, 17]  # 9.5 px on the screen, 19 here
    assert at(marked, 5 + 1 / SCALE, 9) == at(marked, 9, 5 + 1 / SCALE) == WHITE
    changed = np.argwhere((plain != marked).any(axis=-1)) / SCALE
    assert changed.min() >= 4.9
    assert changed.max() <= 10.1


def test_a_region_is_marked_in_its_middle_with_an_edge_around_all_its_patches() -> None:
    marked = pane_pixels(panel(patch=(0, 0, 1, 2)), View.of(SMALL), 1.0)
    assert at(marked, 5, 7.5) == WHITE  # the dot
    assert at(marked, 1 / SCALE, 14) == at(marked, 10 - 1 / SCALE, 14) == WHITE
    assert at(marked, 9, 1 / SCALE) == at(marked, 9, 15 - 1 / SCALE) == WHITE


def test_outlines_are_bright_over_dark() -> None:
    outline = np.array([[2.0, 2.0], [2.0, 12.0], [8.0, 12.0], [8.0, 2.0], [2.0, 2.0]], dtype=np.float32)
    pixels = pane_pixels(panel(outlines=(outline,)), View.of(SMALL), 1.0)
    for y, x in ((2, 7), (8, 7), (4, 12), (4, 2)):
        assert at(pixels, y, x) == WHITE
    assert at(pixels, 2 + 3 / SCALE, 7) == [17, 17, 17]
    assert at(pixels, 2 + 9 / SCALE, 7) == [50, 0, 100]


def test_the_query_is_over_the_outlines() -> None:
    outline = np.array([[7.5, 2.0], [7.5, 12.0], [7.5, 2.0]], dtype=np.float32)
    pixels = pane_pixels(panel(outlines=(outline,), patch=(1, 1)), View.of(SMALL), 1.0)
    assert at(pixels, 7.5, 7.5 + 9.8 * 2 / SCALE) == [17, 17, 17]
    assert at(pixels, 7.5, 4) == WHITE


def test_a_shown_map_has_the_colours_of_its_values(comparison: Comparison) -> None:
    """Of a real pane: the patch with the most, at the end of the scale, over the picture."""
    drawn = replace(panels(comparison, Style(clip=100, scale="own"))[0], patch=None)
    assert drawn.values is not None
    row, col = np.unravel_index(np.argmax(drawn.values), drawn.values.shape)
    view = View.of(FRAME)
    y, x = (int((place + 0.5) * 8 * view.scale) for place in (row, col))
    bare, half, full = (pane_pixels(drawn, view, opacity)[y, x] for opacity in (0.0, 0.5, 1.0))
    assert full.tolist() == [252, 255, 164]  # where inferno ends
    np.testing.assert_allclose(half, (bare.astype(float) + full) / 2, atol=1)
