"""Two pictures in one coordinate system: where patches lie, what is drawn, and what Plotly makes of it."""

import dataclasses

import numpy as np
import plotly.graph_objects as go
import pytest

import vit_engine as ve
from dashboard.tokens.figures import Layer
from dashboard.tokens.pair_figures import GAP, LINE_COLOURS, OVER, Part, aspect, pair_figure, places

FIRST, SECOND = ve.TokenGrid(1, 5, 7, 14), ve.TokenGrid(1, 3, 11, 14)  # 70×98 and 42×154 px
HOVER = "row %{y}, col %{x}<br>cosine similarity %{z:.3f}"


def layer(grid: ve.TokenGrid) -> Layer:
    return Layer(
        hover=HOVER, values=np.arange(grid.patches, dtype=np.float32).reshape(grid.shape), high=float(grid.patches)
    )


def colours(grid: ve.TokenGrid) -> Layer:
    rgb = np.full((*grid.shape, 3), 77, np.uint8)
    return Layer(
        hover="row %{y}, col %{x}<br>red %{customdata[0]:.1f}", rgb=rgb, data=np.ones((*grid.shape, 3), np.float32)
    )


def part(grid: ve.TokenGrid, place: object, over: Layer | None = None) -> Part:
    return Part(np.zeros((grid.height, grid.width, 3), np.uint8), over or layer(grid), place)


def pairs(count: int) -> ve.Correspondences:
    """Patches of the first rows, one after another, to the same in the second."""
    first = np.stack([np.zeros(count, int), np.arange(count)], axis=1)
    ratio = np.linspace(0.1, 0.7, count, dtype=np.float32)
    return ve.Correspondences(first, first[:, ::-1], 1 - ratio, ratio, (FIRST, SECOND), count, "tokens")


def drawn(count: int = 3, *, stacked: bool = False, **options: object) -> go.Figure:
    one, other = places(FIRST, SECOND, stacked=stacked)
    return pair_figure(part(FIRST, one), part(SECOND, other), pairs(count), **options)


def traces(figure: go.Figure) -> dict[str, object]:
    return {trace.name: trace for trace in figure.data}


def test_side_by_side_the_pictures_have_one_height_and_stacked_one_width() -> None:
    one, other = places(FIRST, SECOND, stacked=False)
    assert (one.top, one.left, one.bottom, one.right) == (0, 0, 70, 98)
    assert (other.top, other.bottom, other.left) == (0, 70, pytest.approx(98 * (1 + GAP)))
    assert other.right - other.left == pytest.approx(154 * 70 / 42)
    assert aspect((one, other)) == pytest.approx((98 * (1 + GAP) + 154 * 70 / 42) / 70)
    one, other = places(FIRST, SECOND, stacked=True)
    assert (other.left, other.right, other.top) == (0, 98, pytest.approx(70 + 98 * GAP))
    assert other.bottom - other.top == pytest.approx(42 * 98 / 154)


@pytest.mark.parametrize("stacked", [False, True])
def test_every_patch_is_found_at_its_middle_and_none_beside_the_pictures(stacked: bool) -> None:
    arranged = places(FIRST, SECOND, stacked=stacked)
    for place, other in (arranged, arranged[::-1]):
        patches = np.argwhere(np.ones(place.grid.shape, bool))
        for patch, (y, x) in zip(patches, place.centres(patches), strict=True):
            assert place.patch_at(y=y, x=x) == tuple(patch)
            assert other.patch_at(y=y, x=x) is None
        for y, x in ((place.top - 1, place.left + 1), (place.top + 1, place.right + 1)):
            assert place.patch_at(y=y, x=x) is None


def test_a_line_joins_the_middles_of_its_patches() -> None:
    figure = traces(drawn(3))
    second = places(FIRST, SECOND, stacked=False)[1]
    for number in range(3):
        line = figure[f"lines {number}"]
        (y, x), (to_y, to_x) = (7, 7 + 14 * number), second.centres(np.array([[number, 0]]))[0]
        np.testing.assert_allclose(line.x, [x, to_x, np.nan], rtol=1e-5)
        np.testing.assert_allclose(line.y, [y, to_y, np.nan], rtol=1e-5)
        assert line.line.color == LINE_COLOURS[number]
    assert len(figure["edges of lines"].x) == 9
    assert figure["edges of lines"].line.width > figure["lines 0"].line.width


def test_both_ends_tell_both_patches_and_how_alike_they_are() -> None:
    ends = traces(drawn(3))["ends"]
    np.testing.assert_allclose(ends.customdata[1], [0, 1, 1, 0, 0.6, 0.4], rtol=1e-5)
    np.testing.assert_array_equal(ends.customdata[:3], ends.customdata[3:])
    np.testing.assert_allclose(ends.x[:3], [7, 21, 35])
    for text in (
        "row %{customdata[0]}, col %{customdata[1]}",
        "row %{customdata[2]}",
        "similarity %{customdata[4]:.3f}",
    ):
        assert text in ends.hovertemplate


def test_patches_are_told_by_row_and_column_and_lie_where_their_picture_does() -> None:
    """Hover's texts have x and y, which are pixels here."""
    second = places(FIRST, SECOND, stacked=False)[1]
    figure = traces(drawn(0))
    cells = figure["second"]
    assert (cells.x0, cells.dx) == (pytest.approx(second.left + second.patch / 2), pytest.approx(second.patch))
    assert "row %{customdata[0]}, col %{customdata[1]}" in cells.hovertemplate
    np.testing.assert_array_equal(cells.customdata[2][9], [2, 9])
    assert not {"ends", "edges of lines", "lines 0"} & figure.keys()


def test_colours_lie_over_the_photographs_and_keep_what_hover_tells() -> None:
    one, other = places(FIRST, SECOND, stacked=False)
    figure = pair_figure(part(FIRST, one, colours(FIRST)), part(SECOND, other, colours(SECOND)), pairs(2))
    assert [image.opacity for image in figure.layout.images] == [None, OVER, None, OVER]
    assert [image.x for image in figure.layout.images] == [0, 0, other.left, other.left]
    boxes = {(image.x, image.y, image.sizex, image.sizey) for image in figure.layout.images}
    assert len(boxes) == 4  # of images in the very same place Plotly draws one
    told = traces(figure)["first"]
    assert told.hovertemplate.startswith("row %{customdata[3]}, col %{customdata[4]}<br>red %{customdata[0]:.1f}")
    np.testing.assert_array_equal(told.customdata[4][6], [1, 1, 1, 4, 6])


def test_the_query_has_a_ring_and_its_best_match_a_dashed_one() -> None:
    figure = traces(drawn(0, marks=[(1, (2, 4)), (0, (3, 5))]))
    second = places(FIRST, SECOND, stacked=False)[1]
    assert (figure["query"].line.dash, figure["best match"].line.dash) == ("solid", "dot")
    for name, middle in (("query", second.centres(np.array([[2, 4]]))[0]), ("best match", (49, 77))):
        ring = figure[name]
        centre = ((min(ring.y) + max(ring.y)) / 2, (min(ring.x) + max(ring.x)) / 2)
        np.testing.assert_allclose(centre, middle, rtol=1e-4)


def test_plotly_takes_the_figure_as_it_is_sent() -> None:
    figure = drawn(9, marks=[(0, (1, 1)), (1, (1, 1))])
    sent = figure.to_dict()
    assert go.Figure(sent).to_plotly_json()["layout"]["xaxis"]["range"] == sent["layout"]["xaxis"]["range"]
    assert len(figure.data) == len(sent["data"])


def test_nothing_is_changed_in_what_is_drawn() -> None:
    matches = pairs(4)
    before = dataclasses.replace(matches, first=matches.first.copy())
    one, other = places(FIRST, SECOND, stacked=True)
    pair_figure(part(FIRST, one), part(SECOND, other), matches)
    np.testing.assert_array_equal(matches.first, before.first)
