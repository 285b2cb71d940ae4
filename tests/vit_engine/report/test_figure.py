"""One figure of all panes: linked axes in pixels of the picture, and everything where it belongs."""

import base64
import io
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import orjson
import plotly.graph_objects as go
import pytest
from PIL import Image

from tests.vit_engine.report.fixtures_bundles import FRAME, coarse, comparison, fine, shown
from vit_engine.grid import TokenGrid
from vit_engine.report.colours import colour_stops
from vit_engine.report.figure import GAP, compare_figure, figure_aspect, pane_domain
from vit_engine.report.panels import Panel, panels
from vit_engine.report.style import Style

A = fine((1, 2, 20), (4, 10, 5))
B = coarse((0, 1, 40), (2, 4, 10))
MAPS = comparison(shown(0, A, query=(4, 10)), shown(1, B, query=(2, 4)), shown(2, A))
AXES = ("", "2", "3")


def figure(*, show: str = "map", opacity: float = 0.6, **options: object) -> go.Figure:
    return compare_figure(panels(MAPS, Style(show=show, clip=100)), frame=FRAME, opacity=opacity, **options)


def traces(drawn: go.Figure, name: str) -> list:
    return [trace for trace in drawn.data if trace.name == name]


def test_the_panes_traces_are_named_by_their_letters_and_lie_in_their_own_axes() -> None:
    drawn = figure(show="mask")
    names = {(trace.name, trace.xaxis, trace.yaxis) for trace in drawn.data}
    expected = {
        (f"{what} {pane}", f"x{axis}", f"y{axis}")
        for pane, axis in zip("ABC", AXES, strict=True)
        for what in ("attention", "outline", "query")
    }
    assert names == expected - {("query C", "x3", "y3")}  # C is of the CLS token
    assert {trace.name for trace in figure().data} == {name for name, _, _ in names if "outline" not in name}


def test_all_axes_match_the_first_are_in_pixels_of_the_whole_picture_and_have_its_shape() -> None:
    layout = figure().layout
    for axis in AXES:
        x, y = layout[f"xaxis{axis}"], layout[f"yaxis{axis}"]
        assert (x.range, y.range) == ((0, 22), (12, 0))  # the first row on top; cropped pixels have their room
        assert (x.matches, y.matches) == (("x", "y") if axis else (None, None))
        assert (x.anchor, y.anchor) == (f"y{axis}", f"x{axis}")
        assert not any((x.visible, y.visible, x.fixedrange, y.fixedrange))
        assert (x.constrain, y.constrain) == ("domain", "domain")
    assert layout.yaxis.scaleanchor == "x"


def test_a_zoom_is_of_all_axes() -> None:
    layout = figure(zoom=(3.0, 5.5, 9.0, 16.5)).layout
    for axis in AXES:
        assert (layout[f"xaxis{axis}"].range, layout[f"yaxis{axis}"].range) == ((5.5, 16.5), (9, 3))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_panes_are_equally_wide_side_by_side_with_a_gap(count: int) -> None:
    domains = [pane_domain(number, count) for number in range(count)]
    widths = [right - left for left, right in domains]
    gaps = [after[0] - before[1] for before, after in pairwise(domains)]
    assert domains[0][0] == 0
    assert domains[-1][1] == pytest.approx(1)
    assert max(right for _, right in domains) <= 1
    assert widths == pytest.approx([widths[0]] * count)
    assert gaps == pytest.approx([GAP * widths[0]] * (count - 1))
    assert figure_aspect(count, (100, 170)) * widths[0] == pytest.approx(1.7)  # a pane has the picture's shape


def test_each_pane_is_in_its_domain() -> None:
    layout = figure().layout
    for number, axis in enumerate(AXES):
        assert layout[f"xaxis{axis}"].domain == pytest.approx(pane_domain(number, 3))


def test_attention_lies_on_its_patches_in_pixels_with_the_panels_scale() -> None:
    for name, values, size in (("A", A, 2), ("B", B, 4)):
        (heatmap,) = traces(figure(opacity=0.35), f"attention {name}")
        assert np.array_equal(heatmap.z, values)
        assert heatmap.z.dtype == np.float32  # float64 doubles what is sent; float16 becomes text
        assert (heatmap.x0, heatmap.dx, heatmap.y0, heatmap.dy) == (size / 2, size, size / 2, size)
        assert (heatmap.zmin, heatmap.showscale) == (0, False)
        assert heatmap.zmax == pytest.approx(0.2 if name == "A" else 0.2 * 66 / 15)
        assert heatmap.opacity == 0.35
        assert list(map(tuple, heatmap.colorscale)) == colour_stops("inferno")


@pytest.mark.parametrize(
    "look",
    [Style(), Style(show="mask"), Style(scale="log"), Style(show="difference")],
    ids=lambda look: str(look)[5:40],
)
def test_every_cell_tells_its_value_whatever_its_colour_stands_for(look: Style) -> None:
    drawn = compare_figure(panels(MAPS, look), frame=MAPS.frame, opacity=1)
    for panel in panels(MAPS, look):
        (heatmap,) = traces(drawn, f"attention {panel.name}")
        assert np.array_equal(heatmap.customdata, panel.values)
        assert heatmap.customdata.dtype == np.float32


def test_the_pointer_is_told_pane_value_unit_patch_and_place() -> None:
    told = traces(figure(), "attention B")[0].hovertemplate
    for part in ("<b>B</b>", "attention weight %{customdata:.3%}", "patch of 4 px", "x %{x", "y %{y"):
        assert part in told
    assert (
        "difference of shares %{customdata:+.3%}" in traces(figure(show="difference"), "attention B")[0].hovertemplate
    )


@pytest.mark.parametrize("show", ["map", "mask", "difference"])
def test_each_pane_marks_its_own_patch_at_its_middle_and_edges(show: str) -> None:
    """Row 4, column 10 of 2 px; row 2, column 4 of 4 px: also where a difference is drawn on finer cells."""
    drawn = figure(show=show)
    for name, y, x in (("A", 9, 21), ("B", 10, 18)):
        (mark,) = traces(drawn, f"query {name}")
        assert set(zip(mark.y, mark.x, strict=True)) == {(y, x)}
        assert mark.selected.marker.opacity == mark.unselected.marker.opacity == 1
        assert mark.hoverinfo == "skip"  # clicks go through it
    edges = {(shape.xref, shape.yref, shape.x0, shape.x1, shape.y0, shape.y1) for shape in drawn.layout.shapes}
    assert edges == {("x", "y", 20, 22, 8, 10), ("x2", "y2", 16, 20, 8, 12)}


def test_outlines_are_one_line_with_gaps_over_a_darker_wider_one() -> None:
    wide, thin = traces(figure(show="mask"), "outline B")
    (heavy,) = panels(comparison(A, B), Style(show="mask"))[1].outlines
    for line in (wide, thin):
        np.testing.assert_allclose(np.stack([line.y, line.x], axis=1)[: len(heavy)], heavy)
        assert np.isnan(line.x[len(heavy)])
        assert line.hoverinfo == "skip"
    assert wide.line.width > thin.line.width
    assert wide.line.color != thin.line.color


def test_the_picture_lies_under_the_patches_in_its_own_pixels() -> None:
    images = figure().layout.images
    places = [(one.xref, one.yref, one.x, one.y, one.sizex, one.sizey) for one in images]
    assert places == [("x", "y", 0, 0, 22, 12), ("x2", "y2", 0, 0, 20, 12), ("x3", "y3", 0, 0, 22, 12)]
    for one in images:
        assert (one.sizing, one.layer) == ("stretch", "below")
        pixels = Image.open(io.BytesIO(base64.b64decode(one.source.removeprefix("data:image/jpeg;base64,"))))
        assert pixels.size == (one.sizex, one.sizey)
        np.testing.assert_allclose(np.asarray(pixels)[5, 5], (200, 100, 50), atol=3)


def test_a_pane_without_a_map_says_why_in_its_place_and_the_others_are_drawn() -> None:
    first, _, third = panels(MAPS, Style())
    drawn = compare_figure([first, Panel("B", "", message="not downloaded"), third], frame=FRAME, opacity=0.6)
    (message,) = drawn.layout.annotations
    assert (message.text, message.xref, message.yref) == ("not downloaded", "x2 domain", "y2 domain")
    assert (message.x, message.y, message.showarrow) == (0.5, 0.5, False)
    names = {trace.name for trace in drawn.data if trace.xaxis == "x2"}
    assert names == {"no map B"}  # without a trace, Plotly would draw no axes
    assert not {"attention B", "query B"} & {trace.name for trace in drawn.data}
    assert drawn.layout.xaxis3.domain == pytest.approx(pane_domain(2, 3))
    assert [trace.xaxis for trace in traces(drawn, "attention C")] == ["x3"]


def test_a_drag_zooms_and_a_click_is_told() -> None:
    layout = figure().layout
    assert (layout.dragmode, layout.clickmode) == ("zoom", "event")
    assert {"select2d", "toImage"} <= set(layout.modebar.remove)
    assert not {"zoom2d", "pan2d"} & set(layout.modebar.remove)


def test_colours_are_never_hex_in_a_scale() -> None:
    """Streamlit's theme takes some of them for placeholders of its own."""
    for show in ("map", "difference"):
        for trace in figure(show=show).data:
            if trace.type == "heatmap":
                assert all(colour.startswith("rgb") for _, colour in trace.colorscale)


def photograph(side: int) -> np.ndarray:
    """Of coffee, which is hard to compress."""
    from skimage.data import coffee  # noqa: PLC0415  (slow to import)

    return np.asarray(Image.fromarray(coffee()).resize((side, side)))


@pytest.mark.parametrize("show", ["map", "mask"])
def test_four_panes_of_60_by_60_patches_are_sent_in_less_than_a_megabyte(show: str) -> None:
    grid = TokenGrid(1, 60, 60, 8)
    values = np.random.default_rng(0).random((60, 60)).astype(np.float32) / 1800
    pane = replace(
        panels(MAPS, Style(show=show))[0],
        pixels=photograph(480),
        grid=grid,
        patches=grid,
        values=values,
        coloured=values,
    )
    drawn = compare_figure([replace(pane, name=name) for name in "ABCD"], frame=(480, 480), opacity=0.6)
    sent = orjson.dumps(json.loads(drawn.to_json()))
    assert len(sent) < 1_000_000
    assert sent.count(b'"bdata"') >= 4 * 2  # arrays go as bytes, not as text
