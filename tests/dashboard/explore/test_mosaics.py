"""Mosaics of small maps: every map lies in its cell, and nothing lies between."""

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.explore.mosaics import (
    CANVAS,
    THUMBNAIL,
    Mosaic,
    head_grid_figure,
    head_mosaic,
    mosaic_figure,
    thumbnails,
)
from tests.dashboard.support import cells

DEPTH, HEADS, ROWS, COLS = 2, 5, 3, 7
LAYERS = (4, 9)
MAPS = np.random.default_rng(0).random((DEPTH, HEADS, ROWS, COLS), dtype=np.float32)
LIMITS = np.arange(1, 1 + DEPTH * HEADS, dtype=np.float64).reshape(DEPTH, HEADS) / 10
LABELS = [[f"{layer}-{head}" for head in range(HEADS)] for layer in LAYERS]


def mosaic(*, selected: tuple[int, int | None] = (0, None)) -> go.Figure:
    return mosaic_figure(MAPS, limits=LIMITS, colours="inferno", labels=LABELS, layers=LAYERS, selected=selected)


def head_grid(*, selected: int | None = None, maps: np.ndarray = MAPS[0]) -> go.Figure:
    labels = [str(head) for head in range(len(maps))]
    limits = np.resize(LIMITS[0], len(maps))
    return head_grid_figure(maps, limits=limits, colours="inferno", labels=labels, selected=selected)


def drawn(figure: go.Figure) -> dict[str, dict]:
    return {trace.name: trace.to_plotly_json() for trace in figure.data}


def test_the_mosaic_has_every_map_in_its_cell_over_its_own_limit() -> None:
    found = cells(drawn(mosaic()), ROWS, COLS)
    assert found.keys() == {f"{layer}-{head}" for layer in LAYERS for head in range(HEADS)}
    for text, cell in found.items():
        layer, head = map(int, text.split("-"))
        row = LAYERS.index(layer)
        np.testing.assert_allclose(cell, MAPS[row, head] / LIMITS[row, head], rtol=1e-6)


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 6, 7, 12, 16])
def test_the_grid_has_every_head_in_its_cell_over_its_own_limit(heads: int) -> None:
    maps = np.random.default_rng(heads).random((heads, ROWS, COLS), dtype=np.float32)
    found = cells(drawn(head_grid(maps=maps)), ROWS, COLS)
    assert found.keys() == {str(head) for head in range(heads)}
    for head in range(heads):
        np.testing.assert_allclose(found[str(head)], maps[head] / np.resize(LIMITS[0], heads)[head], rtol=1e-6)


@pytest.mark.parametrize(("figure", "count"), [(mosaic(), DEPTH * HEADS), (head_grid(), HEADS)])
def test_gutters_are_empty_and_the_scale_runs_from_zero_to_one(figure: go.Figure, count: int) -> None:
    heatmap = drawn(figure)["attention"]
    assert np.isfinite(heatmap["z"]).sum() == count * ROWS * COLS
    assert (heatmap["zmin"], heatmap["zmax"], heatmap["opacity"]) == (0, 1, 1)
    assert heatmap["z"].dtype == np.float32


@pytest.mark.parametrize("figure", [mosaic(), head_grid()])
def test_all_of_the_canvas_is_within_the_axes_with_the_first_row_on_top(figure: go.Figure) -> None:
    high, wide = drawn(figure)["attention"]["z"].shape
    left, right = figure.layout.xaxis.range
    bottom, top = figure.layout.yaxis.range
    assert left <= -0.5 < wide - 0.5 <= right
    assert top <= -0.5 < high - 0.5 <= bottom
    assert figure.layout.yaxis.scaleanchor == "x"


def test_maps_of_different_layers_and_heads_never_touch() -> None:
    z = drawn(mosaic())["attention"]["z"]
    assert np.isnan(z[ROWS]).all()
    assert np.isnan(z[:, COLS]).all()


@pytest.mark.parametrize("figure", [mosaic(), head_grid()])
def test_hover_tells_which_map_it_is_and_nothing_is_seen_of_it(figure: go.Figure) -> None:
    over = drawn(figure)["cells"]
    assert over["opacity"] == 0
    assert over["hovertemplate"] == "%{text}<extra></extra>"
    np.testing.assert_array_equal(np.isnan(over["z"]), np.array(over["text"]) == "")
    assert over["hoverongaps"] is False


@pytest.mark.parametrize("grid", [Mosaic(DEPTH, HEADS, ROWS, COLS), Mosaic(3, 1, 20, 9), Mosaic(1, 2, 1, 100)])
def test_a_point_is_in_the_cell_around_it_with_half_of_each_gutter(grid: Mosaic) -> None:
    down, across = grid.steps
    assert (down - grid.rows, across - grid.cols) == (grid.gutter, grid.gutter)
    for row in range(grid.down):
        for col in range(grid.across):
            x, y = grid.middle(row, col)
            for part in (-0.499, 0, 0.499):
                assert grid.cell_at(x + part * across, y - part * down) == (row, col)
    assert grid.cell_at(-1e3, 1e4) == (grid.down - 1, 0)
    assert grid.cell_at(1e4, -1e3) == (0, grid.across - 1)


def frame_of(figure: go.Figure) -> tuple[float, float, float, float]:
    (frame,) = figure.layout.shapes
    return frame.x0, frame.y0, frame.x1, frame.y1


def inside(figure: go.Figure) -> set[str]:
    """What the cells whose middle is within the frame are."""
    x0, y0, x1, y1 = frame_of(figure)
    over = drawn(figure)["cells"]
    places = {text: middle(over, *place) for place, text in np.ndenumerate(np.array(over["text"])) if text}
    return {text for text, (x, y) in places.items() if x0 < x < x1 and y0 < y < y1}


def middle(over: dict, row: int, col: int) -> tuple[float, float]:
    return over["x0"] + col * over["dx"], over["y0"] + row * over["dy"]


def test_the_frame_is_around_the_chosen_head_or_the_whole_layer() -> None:
    for head in (0, 3):
        assert inside(mosaic(selected=(1, head))) == {f"9-{head}"}
        assert inside(head_grid(selected=head)) == {str(head)}
    assert inside(mosaic(selected=(0, None))) == {f"4-{head}" for head in range(HEADS)}
    assert not head_grid(selected=None).layout.shapes


def test_a_frame_holds_its_whole_map_and_none_of_its_neighbours() -> None:
    x0, y0, x1, y1 = frame_of(mosaic(selected=(0, 1)))
    step = drawn(mosaic())["cells"]["dx"]
    assert step - 1.5 < x0 < step - 0.5 < step + COLS - 0.5 < x1 < 2 * step - 0.5
    assert y0 < -0.5 < ROWS - 0.5 < y1


def test_ticks_name_the_layers_and_heads_at_the_middle_of_their_maps() -> None:
    figure = mosaic()
    over = drawn(figure)["cells"]
    assert dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True)) == {
        str(layer): middle(over, row, 0)[1] for row, layer in enumerate(LAYERS)
    }
    assert dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True)) == {
        str(head): middle(over, 0, head)[0] for head in range(HEADS)
    }


def test_each_map_of_the_grid_is_numbered_at_its_top_left_corner() -> None:
    figure = head_grid()
    over = drawn(figure)["cells"]
    for head, note in enumerate(figure.layout.annotations):
        x, y = middle(over, *divmod(head, over["z"].shape[1]))
        assert (note.x, note.y) == (x - COLS / 2, y - ROWS / 2)
    assert [note.text for note in figure.layout.annotations] == [f"<b>{head}</b>" for head in range(HEADS)]


@pytest.mark.parametrize(
    ("heads", "rows", "cols", "across"),
    [(4, 6, 6, 2), (12, 6, 8, 3), (12, 8, 6, 4), (6, 14, 14, 3), (3, 2, 20, 1), (3, 20, 2, 3), (1, 5, 5, 1)],
)
def test_grids_are_about_square(heads: int, rows: int, cols: int, across: int) -> None:
    assert head_mosaic(heads, rows, cols).across == across


def test_maps_that_are_small_enough_stay_as_they_are() -> None:
    maps = np.random.default_rng(1).random((2, 3, 5, THUMBNAIL), dtype=np.float32)
    assert thumbnails(maps) is maps


def test_thumbnails_are_the_means_of_blocks() -> None:
    maps = np.random.default_rng(2).random((2, 3, 7, THUMBNAIL + 1), dtype=np.float32)
    small = thumbnails(maps)
    assert small.shape == (2, 3, 4, 17)
    assert small.dtype == np.float32
    for row in range(4):
        for col in range(17):
            block = maps[:, :, 2 * row : 2 * row + 2, 2 * col : 2 * col + 2]  # at the edges only what there is
            np.testing.assert_allclose(small[:, :, row, col], block.mean(axis=(-2, -1)), rtol=1e-6)


@pytest.mark.parametrize(("rows", "cols"), [(80, 60), (1, 100), (33, 32), (640, 7)])
def test_thumbnails_are_never_too_large_and_keep_the_shape(rows: int, cols: int) -> None:
    high, wide = thumbnails(np.ones((1, rows, cols), dtype=np.float32)).shape[1:]
    assert max(high, wide) <= THUMBNAIL
    block = max(rows, cols) / THUMBNAIL
    assert high <= rows / block + 1
    assert wide <= cols / block + 1


@pytest.mark.parametrize(("depth", "heads"), [(40, 32), (2, 100), (100, 2)])
def test_of_very_many_heads_thumbnails_are_smaller(depth: int, heads: int) -> None:
    small = thumbnails(np.ones((depth, heads, 60, 40), dtype=np.float32))
    assert small.shape[:2] == (depth, heads)
    assert CANVAS / 2 < max(depth, heads) * max(small.shape[2:]) <= CANVAS


def test_of_more_heads_than_the_canvas_has_patches_each_keeps_one() -> None:
    assert thumbnails(np.ones((1, CANVAS + 1, 3, 2), dtype=np.float32)).shape == (1, CANVAS + 1, 1, 1)
