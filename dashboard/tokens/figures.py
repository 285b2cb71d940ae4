"""What lies over a picture on the page Tokens, and the figure of the picture and its map. No Streamlit, no torch."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dashboard.charts import BARE, heatmap
from vit_engine.report.colours import MARK, MARK_EDGE
from vit_engine.report.figure import QUERY_MARK, Plain, PlainFigure
from vit_engine.report.jpegs import jpeg_address

SHARP = 640  # pixels of a map's longer side, about: enough that the browser's smoothing blurs no patch
JPEG_QUALITY = 88
GAP = 0.02  # between the picture and its map, of a panel's width
Patch = tuple[int, int]  # (row, col)
Zoom = tuple[float, float, float, float]  # (top, left, bottom, right), in cells
CLEAR = [(0.0, "rgba(0, 0, 0, 0)"), (1.0, "rgba(0, 0, 0, 0)")]


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """What lies over a picture: a colour a patch, or a value a patch with its place in a colour scale.

    rgb: uint8 (rows, cols, 3), or (rows, cols, 4) with opacity; None where the values are coloured. values: float32
    (rows, cols), coloured from low to high. hover: the text of a patch, as Plotly's template of x, y, z and
    customdata. data: float32 (rows, cols, n), the template's customdata.
    """

    hover: str
    rgb: np.ndarray | None = None
    values: np.ndarray | None = None
    low: float = 0.0
    high: float = 1.0
    colours: str = "viridis"  # a name in vit_engine.report.colours.COLOUR_SCALES
    unit: str = ""  # of the values
    data: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        array = self.values if self.rgb is None else self.rgb
        assert array is not None
        return array.shape[0], array.shape[1]


def cells(layer: Layer, *, name: str, **place: object) -> Plain:
    """The trace of a layer: a heatmap that is hovered and clicked in, and seen where it has values.

    place: what else it has, such as axes, or x0 and dx; without these a patch is 1 wide, the first one's middle at 0.
    """
    rows, cols = layer.shape
    common: Plain = {"showscale": False, "hovertemplate": f"{layer.hover}<extra></extra>", **place}
    if layer.data is not None:
        common["customdata"] = layer.data.astype(np.float32)
    if layer.rgb is not None:
        unseen = {"z": np.zeros((rows, cols), np.uint8), "zmin": 0, "zmax": 1, "colorscale": CLEAR}
        return {"type": "heatmap", "name": name, **unseen, **common}
    assert layer.values is not None
    return {**heatmap(layer.values, layer.colours, low=layer.low, high=layer.high, name=name), **common}


def colour_address(rgb: np.ndarray) -> str:
    """Colours of patches as a PNG's data: address, every patch a sharp square. rgb: as in Layer."""
    cell = max(1, round(SHARP / max(rgb.shape[:2])))
    buffer = io.BytesIO()
    Image.fromarray(rgb.repeat(cell, axis=0).repeat(cell, axis=1)).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def figure_aspect(height: int, width: int, *, stacked: bool) -> float:
    """Width over height of the figure of a picture and its map."""
    return width / height / (2 + GAP) if stacked else (2 + GAP) * width / height


def token_figure(
    pixels: np.ndarray,
    layer: Layer,
    *,
    query: Patch | None,
    outliers: Sequence[Patch] = (),
    zoom: Zoom | None = None,
    stacked: bool = False,
) -> PlainFigure:
    """The picture, and beside it what its patches carry, of the same size: linked, in cells; a click chooses a patch.

    pixels: uint8 (height, width, 3). query: the patch to mark; None for the CLS token. outliers: patches that are
    ringed. zoom: the part that is shown; None for all of it. stacked: one below the other, and without zooming by a
    drag, which is how a narrow screen is scrolled.
    """
    rows, cols = layer.shape
    part = zoom or (-0.5, -0.5, rows - 0.5, cols - 0.5)
    unseen = Layer(hover=layer.hover, rgb=np.zeros((rows, cols, 3), np.uint8), data=_told(layer))
    unseen_hover = {} if layer.values is None else {"hovertemplate": _of_data(layer.hover)}
    traces = [
        {**cells(unseen, name="picture", **_place("")), **unseen_hover},
        cells(layer, name="tokens", **_place("2")),
        *(mark for axis in ("", "2") for mark in _marks(query, outliers, axis)),
    ]
    images = [_image(jpeg_address(pixels, quality=JPEG_QUALITY), rows, cols, "")]
    if layer.rgb is not None:
        images.append(_image(colour_address(layer.rgb), rows, cols, "2"))
    layout = {**BARE, **_axes("", part, stacked), **_axes("2", part, stacked), "images": images}
    # By itself the label takes the colour of its cell, and that of an unseen one is clear.
    label = {"bgcolor": MARK_EDGE, "bordercolor": MARK_EDGE, "font": {"color": MARK}}
    return PlainFigure(traces, {**layout, "hoverlabel": label, "dragmode": False if stacked else "zoom"})


def _told(layer: Layer) -> np.ndarray | None:
    """What hover tells over the picture: the layer's data, or its values."""
    return layer.data if layer.values is None else layer.values[..., None]


def _of_data(hover: str) -> str:
    """The template for the picture, whose own z says nothing."""
    return f"{hover.replace('%{z', '%{customdata[0]')}<extra></extra>"


def _place(axis: str) -> Plain:
    return {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}


def _axes(axis: str, zoom: Zoom, stacked: bool) -> Plain:
    """Square cells, the first row on top; the second pair of axes follows the first."""
    top, left, bottom, right = zoom
    panel = 1 / (2 + GAP)
    first, second, whole = (0.0, panel), (1 - panel, 1.0), (0.0, 1.0)
    side, upper = (second, first) if axis else (first, second)
    across, down = (whole, upper) if stacked else (side, whole)
    common = {"visible": False, "constrain": "domain"}
    x = {"range": [left, right], "domain": across, "anchor": f"y{axis}", **common}
    y = {"range": [bottom, top], "domain": down, "anchor": f"x{axis}", **common}
    linked_x, linked_y = ({"matches": "x"}, {"matches": "y"}) if axis else ({}, {"scaleanchor": "x"})
    return {f"xaxis{axis}": {**x, **linked_x}, f"yaxis{axis}": {**y, **linked_y}}


def _marks(query: Patch | None, outliers: Sequence[Patch], axis: str) -> list[Plain]:
    marks: list[Plain] = []
    if outliers:
        row, col = np.array(outliers, dtype=np.int16).T
        common = {"type": "scatter", "mode": "markers", "hoverinfo": "skip", "x": col, "y": row, **_place(axis)}
        for width, colour in ((4, MARK_EDGE), (2, MARK)):
            ring = {"symbol": "circle-open", "size": 15, "line": {"width": width}, "color": colour}
            marks.append({**common, "marker": ring, "name": "outliers"})
    if query is not None:
        row, col = query
        marks.append({**QUERY_MARK, **_place(axis), "x": [col, col], "y": [row, row], "name": "query"})
    return marks


def _image(source: str, rows: int, cols: int, axis: str) -> Plain:
    place = {"xref": f"x{axis}", "yref": f"y{axis}", "x": -0.5, "y": -0.5, "sizex": cols, "sizey": rows}
    return {"source": source, "sizing": "stretch", "layer": "below", **place}
