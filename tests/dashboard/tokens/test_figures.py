"""The figures of Tokens: arrays in, traces out."""

import base64
import io

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from dashboard.tokens.figures import SHARP, Layer, cells, colour_address, figure_aspect, token_figure
from dashboard.tokens.profile import profile_figure
from vit_engine import TokenGrid, TokenNorms
from vit_engine.report.colours import colour_stops

PIXELS = np.zeros((48, 80, 3), dtype=np.uint8)
VALUES = np.arange(15, dtype=np.float32).reshape(3, 5) / 10
VALUED = Layer(hover="row %{y}<br>value %{z:.2f}", values=VALUES, low=0.2, high=1.1, colours="magma", unit="value")
RGB = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
COLOURED = Layer(hover="red %{customdata[0]:.1f}", rgb=RGB, data=RGB.astype(np.float32))


def traces(figure: go.Figure, name: str) -> list[go.Figure]:
    return [each for each in figure.data if each.name == name]


def norms(layer: int, *, outliers: tuple[tuple[int, int], ...] = ()) -> TokenNorms:
    values = np.full((3, 5), 10.0 * (layer + 1), dtype=np.float32)
    values[0, 0] = 1.0
    prefix = np.array([7.0 + layer, 99.0], dtype=np.float32)
    grid = TokenGrid(prefix=2, rows=3, cols=5, patch_size=16)
    return TokenNorms(values, prefix, 10.0 * (layer + 1), 30.0 * (layer + 1), 3.0, outliers, grid, layer, "norm")


def test_values_have_their_scale_and_are_told_over_the_picture_too() -> None:
    figure = token_figure(PIXELS, VALUED, query=None)
    (heat,), (unseen,) = traces(figure, "tokens"), traces(figure, "picture")
    np.testing.assert_array_equal(heat.z, VALUES)
    assert (heat.zmin, heat.zmax) == (0.2, 1.1)
    assert [tuple(stop) for stop in heat.colorscale] == colour_stops("magma")
    assert (heat.xaxis, unseen.xaxis) == ("x2", "x")
    np.testing.assert_array_equal(unseen.customdata[..., 0], VALUES)
    assert unseen.hovertemplate == "row %{y}<br>value %{customdata[0]:.2f}<extra></extra>"
    assert {stop[1] for stop in unseen.colorscale} == {"rgba(0, 0, 0, 0)"}
    assert len(figure.layout.images) == 1


def test_colours_are_a_picture_of_sharp_patches_beside_the_photograph() -> None:
    figure = token_figure(PIXELS, COLOURED, query=None)
    photograph, colours = figure.layout.images
    assert (photograph.xref, colours.xref) == ("x", "x2")
    assert (colours.x, colours.y, colours.sizex, colours.sizey) == (-0.5, -0.5, 5, 3)
    np.testing.assert_array_equal(decoded(colours.source), RGB)
    for name in ("picture", "tokens"):
        (trace,) = traces(figure, name)
        assert trace.hovertemplate == "red %{customdata[0]:.1f}<extra></extra>"
        np.testing.assert_array_equal(trace.customdata, COLOURED.data)


def decoded(address: str) -> np.ndarray:
    """A colour a patch; each patch has one colour, and is large enough to stay sharp."""
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
    cell = image.shape[0] // 3
    assert image.shape[:2] == (3 * cell, 5 * cell)
    assert 0.9 * SHARP < image.shape[1] < 1.1 * SHARP
    patches = image.reshape(3, cell, 5, cell, -1)
    assert (patches == patches[:, :1, :, :1]).all()
    return patches[:, 0, :, 0]


def test_colours_may_be_clear() -> None:
    rgba = np.concatenate([RGB, np.full((3, 5, 1), 255, np.uint8)], axis=-1)
    rgba[1, 2, 3] = 0
    np.testing.assert_array_equal(decoded(colour_address(rgba)), rgba)


def test_both_panels_are_linked_and_marked_alike() -> None:
    figure = token_figure(PIXELS, VALUED, query=(2, 4), outliers=((0, 1), (2, 3)))
    assert (figure.layout.xaxis2.matches, figure.layout.yaxis2.matches) == ("x", "y")
    assert figure.layout.yaxis.scaleanchor == "x"
    for axis in ("x", "x2"):
        (query,) = [each for each in traces(figure, "query") if each.xaxis == axis]
        assert {*zip(query.y, query.x, strict=True)} == {(2, 4)}
        rings = [each for each in traces(figure, "outliers") if each.xaxis == axis]
        assert [tuple(zip(ring.y, ring.x, strict=True)) for ring in rings] == [((0, 1), (2, 3))] * 2


def test_panels_stand_side_by_side_or_one_below_the_other() -> None:
    beside = token_figure(PIXELS, VALUED, query=None).layout
    assert beside.xaxis.domain[1] < beside.xaxis2.domain[0]
    assert beside.yaxis.domain == beside.yaxis2.domain == (0, 1)
    assert beside.dragmode == "zoom"
    stacked = token_figure(PIXELS, VALUED, query=None, stacked=True).layout
    assert stacked.yaxis.domain[0] > stacked.yaxis2.domain[1]
    assert stacked.xaxis.domain == stacked.xaxis2.domain == (0, 1)
    assert stacked.dragmode is False  # a swipe scrolls


def test_boxes_have_the_aspect_of_both_panels() -> None:
    assert figure_aspect(48, 80, stacked=False) == pytest.approx(2.02 * 80 / 48)
    assert figure_aspect(48, 80, stacked=True) == pytest.approx(80 / 48 / 2.02)


@pytest.mark.parametrize(
    ("zoom", "across", "down"), [(None, (-0.5, 4.5), (2.5, -0.5)), ((0.5, 1.5, 2.0, 3.5), (1.5, 3.5), (2.0, 0.5))]
)
def test_the_part_that_is_shown_is_in_cells(
    zoom: tuple[float, ...] | None, across: tuple[float, ...], down: tuple[float, ...]
) -> None:
    layout = token_figure(PIXELS, VALUED, query=None, zoom=zoom).layout
    assert (layout.xaxis.range, layout.yaxis.range) == (across, down)


def test_one_row_of_patches_is_a_figure_too() -> None:
    layer = Layer(hover="", values=VALUES[:1])
    assert token_figure(PIXELS[:16], layer, query=(0, 4)).layout.yaxis.range == (0.5, -0.5)


def test_places_of_a_layer_can_be_given() -> None:
    trace = cells(VALUED, name="second", x0=100, dx=16, xaxis="x3")
    assert (trace["x0"], trace["dx"], trace["xaxis"], trace["name"]) == (100, 16, "x3", "second")


def test_the_profile_has_every_layers_lengths_and_its_outliers() -> None:
    figure = profile_figure([norms(0, outliers=((1, 2),)), norms(4)], layer=4, title="length")
    lines = {name: tuple(traces(figure, name)[0].y) for name in ("median", "longest", "CLS", "3 × the median")}
    assert lines == {"median": (10, 50), "longest": (10, 50), "CLS": (7, 11), "3 × the median": (30, 150)}
    (columns,) = traces(figure, "layers")
    assert tuple(columns.x) == (0, 4)
    np.testing.assert_array_equal(columns.customdata[0, :, 6], [1, 0])
    low, high = columns.y
    assert low < 7 < 150 < high
    np.testing.assert_allclose(figure.layout.yaxis.range, np.log10([low, high]))
    assert {(shape.x0, shape.x1) for shape in figure.layout.shapes} == {(4, 4)}


def test_lengths_of_zero_leave_an_axis_that_can_be_drawn() -> None:
    zero = norms(0)
    nothing = TokenNorms(zero.values * 0, zero.prefix * 0, 0.0, 0.0, 3.0, (), zero.grid, 0, "norm")
    assert np.isfinite(profile_figure([nothing], layer=0, title="length").layout.yaxis.range).all()
