"""Figures of Explore draw the numbers that they are given, on the patches where they belong."""

import base64
import io
import math

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from dashboard.explore.figures import entropy_figure, overlay_figure
from tests.dashboard.support import hover_texts
from vit_engine.report.colours import colour_stops

ROWS, COLS = 3, 5
VALUES = np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS) / 100
PIXELS = np.zeros((ROWS * 8, COLS * 8, 3), dtype=np.uint8)


def overlay(*, query: tuple[int, int] | None = None, beside: bool = False, opacity: float = 0.6) -> go.Figure:
    return overlay_figure(PIXELS, VALUES, limit=0.07, colours="magma", opacity=opacity, query=query, beside=beside)


def traces(figure: go.Figure, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


@pytest.mark.parametrize("beside", [False, True])
def test_the_overlay_draws_the_values_from_zero_to_the_limit(beside: bool) -> None:
    (heatmap,) = traces(overlay(beside=beside), "attention")
    np.testing.assert_array_equal(heatmap.z, VALUES)
    assert (heatmap.zmin, heatmap.zmax) == (0, 0.07)
    assert heatmap.z.dtype == np.float32  # float64 doubles what is sent; float16 becomes text
    assert [(place, colour) for place, colour in heatmap.colorscale] == colour_stops("magma")


def test_attention_over_the_picture_is_as_opaque_as_asked_and_beside_it_fully() -> None:
    assert traces(overlay(opacity=0.25), "attention")[0].opacity == 0.25
    assert traces(overlay(opacity=0.25, beside=True), "attention")[0].opacity == 1


@pytest.mark.parametrize(("beside", "names"), [(False, ["attention"]), (True, ["attention", "patches"])])
def test_every_patch_tells_its_place_and_value_on_hover_also_on_the_picture_beside(
    beside: bool, names: list[str]
) -> None:
    maps = [trace for trace in overlay(beside=beside).data if trace.type == "heatmap"]
    assert [trace.name for trace in maps] == names
    for trace in maps:
        told = hover_texts(trace.to_plotly_json())
        assert told.shape == (ROWS, COLS)
        assert told[2, 1] == "patch row 2, col 1<br>weight 11.000%"
    if beside:
        assert (maps[1].opacity, maps[1].xaxis, maps[1].yaxis) == (0, "x", "y")


def test_the_query_is_marked_where_it_is_and_cls_nowhere() -> None:
    (mark,) = traces(overlay(query=(2, 4)), "query")
    assert set(zip(mark.x, mark.y, strict=True)) == {(4, 2)}
    assert traces(overlay(query=None), "query") == []


def test_beside_the_picture_the_query_is_marked_on_both() -> None:
    marks = traces(overlay(query=(1, 3), beside=True), "query")
    assert {(mark.xaxis, mark.yaxis) for mark in marks} == {("x", "y"), ("x2", "y2")}
    assert all(set(zip(mark.x, mark.y, strict=True)) == {(3, 1)} for mark in marks)


@pytest.mark.parametrize("beside", [False, True])
def test_a_mark_lets_hover_through(beside: bool) -> None:
    for mark in traces(overlay(query=(0, 0), beside=beside), "query"):
        assert mark.hoverinfo == "skip"


def test_the_picture_lies_exactly_under_the_patches_with_the_first_row_on_top() -> None:
    layout = overlay().layout
    (picture,) = layout.images
    assert (picture.x, picture.y, picture.sizex, picture.sizey) == (-0.5, -0.5, COLS, ROWS)
    assert (picture.xref, picture.yref, picture.sizing, picture.layer) == ("x", "y", "stretch", "below")
    assert picture.source.startswith("data:image/jpeg;base64,")
    assert layout.xaxis.range == (-0.5, COLS - 0.5)
    assert layout.yaxis.range == (ROWS - 0.5, -0.5)
    assert layout.yaxis.scaleanchor == "x"


def test_beside_the_picture_the_two_do_not_overlap_and_have_one_scale() -> None:
    figure = overlay(beside=True)
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0]
    assert figure.layout.xaxis.range == figure.layout.xaxis2.range
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range
    assert traces(figure, "attention")[0].xaxis == "x2"
    assert figure.layout.images[0].xref == "x"


def test_entropy_has_a_line_for_each_head_and_their_mean_in_front() -> None:
    entropy = np.array([[1.0, 2.0, 6.0], [0.5, 0.25, 0.0]], dtype=np.float32)
    figure = entropy_figure(entropy, layers=(4, 7), layer=7, unit="bits", most=6.5)
    assert [trace.name for trace in figure.data] == ["head 0", "head 1", "head 2", "mean"]
    assert [list(trace.y) for trace in figure.data] == [[1, 0.5], [2, 0.25], [6, 0], [3, 0.25]]
    assert all(list(trace.x) == [4, 7] for trace in figure.data)
    assert figure.data[-1].line.width > max(trace.line.width for trace in figure.data[:-1])


def test_entropy_marks_the_layer_and_even_attention_within_its_axis() -> None:
    figure = entropy_figure(np.ones((2, 3)), layers=(0, 1), layer=1, unit="bits", most=math.log2(61))
    lines = {(shape.x0, shape.x1): (shape.y0, shape.y1) for shape in figure.layout.shapes}
    assert (1, 1) in lines
    assert (math.log2(61), math.log2(61)) in lines.values()
    low, high = figure.layout.yaxis.range
    assert low == 0
    assert high > math.log2(61)
    assert figure.layout.yaxis.title.text == "bits"


def test_more_heads_than_colours_still_each_have_a_line() -> None:
    figure = entropy_figure(np.ones((2, 16)), layers=(0, 1), layer=0, unit="bits", most=5.0)
    assert len(figure.data) == 17
    assert all(trace.line.color for trace in figure.data)


def test_signed_maps_lie_over_a_grey_picture_and_regions_have_one_outline() -> None:
    red = np.zeros((ROWS * 8, COLS * 8, 3), dtype=np.uint8)
    red[..., 0] = 200
    stops = [(0.0, "rgb(1, 2, 3)"), (1.0, "rgb(4, 5, 6)")]
    figure = overlay_figure(
        red, VALUES - 0.05, limit=0.07, colours=stops, opacity=1.0, query=(0, 1, 2, 3), signed=True, unit="things"
    )
    heatmap, mark = figure.data[0], figure.data[1]
    assert (heatmap.zmin, heatmap.zmax) == (-0.07, 0.07)
    assert hover_texts(heatmap.to_plotly_json())[0, 0] == "patch row 0, col 0<br>things -0.05"
    assert (set(mark.y), set(mark.x)) == ({1.0}, {2.0})
    assert {(edge.y0, edge.x0, edge.y1, edge.x1) for edge in figure.layout.shapes} == {(-0.5, 0.5, 2.5, 3.5)}
    jpeg = base64.b64decode(figure.layout.images[0].source.partition(",")[2])
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(jpeg))), 60, atol=2)
