"""What lies over a picture on the page Tokens, and the figure of the picture and its map. No Streamlit, no torch."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dashboard.charts import heatmap
from vit_engine.report.colours import colour_stops
from vit_engine.report.figure import Plain

SHARP = 640  # pixels of a map's longer side, about: enough that the browser's smoothing blurs no patch
_CLEAR = [(0.0, "rgba(0, 0, 0, 0)"), (1.0, "rgba(0, 0, 0, 0)")]


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """What lies over a picture: a colour a patch, or a value a patch with its place in a colour scale.

    rgb: uint8 (rows, cols, 3), or (rows, cols, 4) with opacity; None where the values are coloured. values: float32
    (rows, cols), coloured from low to high. hover: what is told of a patch, as Plotly's template of x, y, z and
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
        unseen = {"z": np.zeros((rows, cols), np.uint8), "zmin": 0, "zmax": 1, "colorscale": _CLEAR}
        return {"type": "heatmap", "name": name, **unseen, **common}
    assert layer.values is not None
    return {**heatmap(layer.values, layer.colours, low=layer.low, high=layer.high, name=name), **common}


def colour_address(rgb: np.ndarray) -> str:
    """Colours of patches as a PNG's data: address, every patch a sharp square. rgb: as in Layer."""
    cell = max(1, round(SHARP / max(rgb.shape[:2])))
    buffer = io.BytesIO()
    Image.fromarray(rgb.repeat(cell, axis=0).repeat(cell, axis=1)).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def legend_stops(layer: Layer) -> list[tuple[float, str]]:
    """The colours of a layer's values from low to high."""
    return colour_stops(layer.colours)
