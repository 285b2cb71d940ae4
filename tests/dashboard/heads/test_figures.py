"""The figures of Heads: arrays in, traces out."""

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.heads.figures import Profile, profile_figure, similarity_figure, statistic_figure, thumbnail
from tests.dashboard.support import hover_texts
from vit_engine.report.colours import colour_stops

VALUES = np.array([[1.0, 2.0, 3.0, 4.5, 5.0], [6.0, 7.0, 8.0, 9.0, 12.25]], dtype=np.float32)  # two layers, five heads
MAP = {"layers": (3, 7), "title": "distance", "unit": "px", "colours": "inferno"}


def trace(figure: go.Figure, name: str) -> go.Figure:
    (found,) = [each for each in figure.data if each.name == name]
    return found


def edges(figure: go.Figure) -> set[tuple[float, float, float, float]]:
    return {(shape.x0, shape.y0, shape.x1, shape.y1) for shape in figure.layout.shapes}


def matrix(count: int) -> np.ndarray:
    """Bits that differ in each pair."""
    row, col = np.mgrid[:count, :count]
    return np.where(row == col, 0, np.minimum(row, col) + np.maximum(row, col) / 100).astype(np.float32) / count


def heads_of(count: int, each: int = 3) -> list[tuple[int, int]]:
    return [divmod(number, each) for number in range(count)]


def test_a_statistic_is_coloured_from_its_smallest_to_its_largest() -> None:
    heat = trace(statistic_figure(VALUES, selected=(7, 2), **MAP), "statistic")
    np.testing.assert_array_equal(heat.z, VALUES)
    assert heat.z.dtype == np.float32
    assert (heat.zmin, heat.zmax) == (1, 12.25)
    assert [tuple(stop) for stop in heat.colorscale] == colour_stops("inferno")


def test_a_statistic_that_is_the_same_everywhere_has_a_scale_too() -> None:
    heat = trace(statistic_figure(np.full((2, 5), 4.0), selected=(7, None), **MAP), "statistic")
    assert heat.zmin < heat.zmax


@pytest.mark.parametrize(
    ("unit", "cell", "hover"), [("px", ".0f", "12.2 px"), ("bits", ".2f", "12.250 bits"), ("0..1", ".2f", "12.250")]
)
def test_numbers_have_the_digits_of_their_unit_and_one_more_on_hover(unit: str, cell: str, hover: str) -> None:
    figure = statistic_figure(VALUES, selected=(7, 2), **{**MAP, "unit": unit})
    assert trace(figure, "statistic").texttemplate == f"%{{z:{cell}}}"
    told = hover_texts(trace(figure, "statistic").to_plotly_json())
    assert told[1, 4] == f"layer 7 · head 4<br>distance: {hover}"


def test_layers_go_down_by_number_and_heads_across() -> None:
    figure = statistic_figure(VALUES, selected=(7, 2), **MAP)
    assert figure.layout.yaxis.ticktext == ("3", "7")
    assert figure.layout.yaxis.range == (1.5, -0.5)
    assert figure.layout.xaxis.ticktext == ("0", "1", "2", "3", "4")
    assert hover_texts(trace(figure, "statistic").to_plotly_json())[1, 2].startswith("layer 7 · head 2<br>")


@pytest.mark.parametrize(
    ("selected", "frame"), [((7, 2), {(1.5, 0.5, 2.5, 1.5)}), ((3, None), {(-0.5, -0.5, 4.5, 0.5)}), ((5, 1), set())]
)
def test_the_head_that_explore_shows_is_framed(selected: tuple[int, int | None], frame: set) -> None:
    figure = statistic_figure(VALUES, selected=selected, **MAP)
    assert edges(figure) == frame
    assert len({shape.line.color for shape in figure.layout.shapes}) == 2 * len(frame)


def test_profiles_have_a_dot_a_head_and_their_mean_in_one_colour_a_model() -> None:
    other = Profile("Other", (0, 1, 2), np.array([[1.0], [2.0], [4.0]]))
    figure = profile_figure([Profile("Mine", (3, 7), VALUES), other], title="distance", unit="px")
    assert [each.name for each in figure.data] == ["heads of Mine", "Mine", "heads of Other", "Other"]
    np.testing.assert_allclose(figure.data[1].y, [3.1, 8.45], rtol=1e-6)
    assert list(figure.data[1].x) == [3, 7]
    assert list(figure.data[3].y) == [1, 2, 4]
    np.testing.assert_array_equal(figure.data[0].y, VALUES.ravel())
    assert figure.data[0].customdata[8].tolist() == [7, 3]
    assert figure.data[0].marker.color == figure.data[1].line.color != figure.data[3].line.color
    for dots_or_line in figure.data:
        assert dots_or_line.hovertemplate.endswith("<br>distance: %{y:.1f} px<extra></extra>")
    assert "px" in figure.layout.yaxis.title.text


def test_dots_of_two_models_stand_beside_each_other() -> None:
    one, two = Profile("One", (0, 1), VALUES), Profile("Two", (0, 1), VALUES)
    left, right = (profile_figure([one, two], title="", unit="px").data[place].x for place in (0, 2))
    assert (left < right).all()
    assert np.abs(np.r_[left, right] - np.tile(np.repeat([0, 1], 5), 2)).max() < 0.5
    assert profile_figure([one], title="", unit="px").data[0].x.tolist() == [0] * 5 + [1] * 5


def test_a_pair_is_named_and_its_bits_are_told_on_hover() -> None:
    heat = trace(similarity_figure(matrix(7), heads=heads_of(7), groups=(), colours="inferno"), "divergence")
    told = hover_texts(heat.to_plotly_json())
    assert told[2, 4] == f"layer 0 · head 2<br>layer 1 · head 1<br>{matrix(7)[2, 4]:.3f} bits apart"


def test_the_scale_of_divergences_begins_at_zero_whatever_they_are() -> None:
    for bits in (matrix(5), np.zeros((5, 5), np.float32)):
        heat = trace(similarity_figure(bits, heads=heads_of(5), groups=(), colours="inferno"), "divergence")
        assert heat.zmin == 0 < heat.zmax
        np.testing.assert_array_equal(heat.z, bits)
    assert heat.zmax == 1


def test_a_group_is_framed_where_it_stands_together() -> None:
    heads = heads_of(7)
    groups = [(heads[3], heads[1], heads[2]), (heads[5], heads[0])]
    figure = similarity_figure(matrix(7), heads=heads, groups=groups, colours="inferno")
    assert edges(figure) == {(0.5, 0.5, 3.5, 3.5), (-0.5, -0.5, 0.5, 0.5), (4.5, 4.5, 5.5, 5.5)}


def test_a_few_heads_are_named_beside_the_matrix_many_only_by_layer_and_in_order() -> None:
    few = similarity_figure(matrix(4), heads=heads_of(4), groups=(), colours="inferno").layout
    assert few.xaxis.ticktext == few.yaxis.ticktext == ("0·0", "0·1", "0·2", "1·0")
    heads = heads_of(30, each=10)
    many = similarity_figure(matrix(30), heads=heads, groups=(), colours="inferno").layout
    assert (many.yaxis.tickvals, many.yaxis.ticktext) == ((0, 10, 20), ("0·0", "1·0", "2·0"))
    mixed = similarity_figure(matrix(30), heads=heads[::-1], groups=(), colours="inferno").layout
    assert mixed.yaxis.showticklabels is False


@pytest.mark.parametrize("opacity", [0.0, 0.5, 1.0])
def test_a_thumbnail_is_the_picture_under_its_map(opacity: float) -> None:
    pixels = np.full((20, 30, 3), (10, 200, 90), dtype=np.uint8)
    values = np.array([[0.0, 0.25, 0.5], [0.5, 2.0, 0.0]])  # the scale ends at a half
    small = thumbnail(pixels, values, limit=0.5, colours="inferno", opacity=opacity)
    assert small.dtype == np.uint8
    assert small.shape == (112, 168, 3)
    first, last = np.array([0, 0, 4]), np.array([252, 255, 164])
    for (row, col), heat in (((0, 0), first), ((0, 2), last), ((1, 1), last), ((1, 2), first)):
        cell = small[row * 56 : row * 56 + 56, col * 56 : col * 56 + 56]
        expected = opacity * heat + (1 - opacity) * np.array([10, 200, 90])
        np.testing.assert_allclose(cell, np.broadcast_to(expected, cell.shape), atol=0.51)
