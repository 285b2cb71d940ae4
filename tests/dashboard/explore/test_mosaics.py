"""Mosaics of small maps: every map lies where its marker is, and nothing lies between."""

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.explore.mosaics import THUMBNAIL, grid_columns, head_grid_figure, mosaic_figure, thumbnails
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


def test_the_mosaic_has_every_map_where_its_marker_is_over_its_own_limit() -> None:
    found = cells(drawn(mosaic()), ROWS, COLS)
    assert found.keys() == {(layer, head) for layer in LAYERS for head in range(HEADS)}
    for (layer, head), cell in found.items():
        row = LAYERS.index(layer)
        np.testing.assert_allclose(cell, MAPS[row, head] / LIMITS[row, head], rtol=1e-6)


@pytest.mark.parametrize("heads", [1, 2, 3, 5, 6, 7, 12, 16])
def test_the_grid_has_every_head_where_its_marker_is_over_its_own_limit(heads: int) -> None:
    maps = np.random.default_rng(heads).random((heads, ROWS, COLS), dtype=np.float32)
    found = cells(drawn(head_grid(maps=maps)), ROWS, COLS)
    assert found.keys() == {(head,) for head in range(heads)}
    for head in range(heads):
        np.testing.assert_allclose(found[head,], maps[head] / np.resize(LIMITS[0], heads)[head], rtol=1e-6)


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


def test_markers_say_on_hover_which_map_they_are() -> None:
    markers = drawn(mosaic())["cells"]
    said = {tuple(data): text for data, text in zip(markers["customdata"], markers["text"], strict=True)}
    assert said == {(layer, head): f"{layer}-{head}" for layer in LAYERS for head in range(HEADS)}
    assert markers["marker"]["opacity"] == markers["unselected"]["marker"]["opacity"] == 0


def frame_of(figure: go.Figure) -> tuple[float, float, float, float]:
    (frame,) = figure.layout.shapes
    return frame.x0, frame.y0, frame.x1, frame.y1


def inside(figure: go.Figure) -> set[tuple[int, ...]]:
    """What the markers within the frame stand for."""
    x0, y0, x1, y1 = frame_of(figure)
    markers = drawn(figure)["cells"]
    points = zip(markers["x"], markers["y"], markers["customdata"], strict=True)
    return {tuple(data) for x, y, data in points if x0 < x < x1 and y0 < y < y1}


def test_the_frame_is_around_the_chosen_head_or_the_whole_layer() -> None:
    for head in (0, 3):
        assert inside(mosaic(selected=(1, head))) == {(9, head)}
        assert inside(head_grid(selected=head)) == {(head,)}
    assert inside(mosaic(selected=(0, None))) == {(4, head) for head in range(HEADS)}
    assert not head_grid(selected=None).layout.shapes


def test_a_frame_holds_its_whole_map_and_none_of_its_neighbours() -> None:
    x0, y0, x1, y1 = frame_of(mosaic(selected=(0, 1)))
    step = drawn(mosaic())["cells"]["x"][1] - drawn(mosaic())["cells"]["x"][0]
    assert step - 1.5 < x0 < step - 0.5 < step + COLS - 0.5 < x1 < 2 * step - 0.5
    assert y0 < -0.5 < ROWS - 0.5 < y1


def test_ticks_name_the_layers_and_heads_at_the_middle_of_their_maps() -> None:
    figure = mosaic()
    markers = drawn(figure)["cells"]
    places = {tuple(data): (x, y) for x, y, data in zip(markers["x"], markers["y"], markers["customdata"], strict=True)}
    assert dict(zip(figure.layout.yaxis.ticktext, figure.layout.yaxis.tickvals, strict=True)) == {
        str(layer): places[layer, 0][1] for layer in LAYERS
    }
    assert dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True)) == {
        str(head): places[4, head][0] for head in range(HEADS)
    }


def test_each_map_of_the_grid_is_numbered_at_its_top_left_corner() -> None:
    figure = head_grid()
    markers = drawn(figure)["cells"]
    for note, x, y in zip(figure.layout.annotations, markers["x"], markers["y"], strict=True):
        assert (note.x, note.y) == (x - COLS / 2, y - ROWS / 2)
    assert [note.text for note in figure.layout.annotations] == [f"<b>{head}</b>" for head in range(HEADS)]


@pytest.mark.parametrize(
    ("heads", "rows", "cols", "across"),
    [(4, 6, 6, 2), (12, 6, 8, 3), (12, 8, 6, 4), (6, 14, 14, 3), (3, 2, 20, 1), (3, 20, 2, 3), (1, 5, 5, 1)],
)
def test_grids_are_about_square(heads: int, rows: int, cols: int, across: int) -> None:
    assert grid_columns(heads, rows, cols) == across


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
