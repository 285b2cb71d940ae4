"""A pane as pixels: the picture under its colours, the marks over them. As in the figure, but larger."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from vit_engine.report.colours import Stops
from vit_engine.report.figure import MARK, MARK_EDGE, Zoom
from vit_engine.report.panels import Panel

PAPER = (255, 255, 255)
PANE_WIDTH, PANE_HEIGHT = 720, 1440  # pixels: twice the usual on a screen, and what a tall picture may take
_SMOOTH = 3  # marks are drawn so much larger, then made smaller: Pillow's lines have steps


@dataclass(frozen=True)
class View:
    """The part of the scaled picture that is drawn, and how large.

    top, left: in pixels of the picture. shape: (height, width) of what is drawn, in its own pixels, `scale` to
    one of the picture's, at least 1.
    """

    top: float
    left: float
    shape: tuple[int, int]
    scale: float

    @classmethod
    def of(cls, frame: tuple[int, int], zoom: Zoom | None = None) -> "View":
        """Of a picture (height, width), or the part (top, left, bottom, right) of it that it is zoomed to."""
        top, left, bottom, right = zoom or (0.0, 0.0, float(frame[0]), float(frame[1]))
        height, width = max(bottom - top, 1.0), max(right - left, 1.0)
        scale = max(1.0, min(PANE_WIDTH / width, PANE_HEIGHT / height))
        return cls(top, left, (max(round(height * scale), 1), max(round(width * scale), 1)), scale)

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the middles of the drawn rows and columns lie in the picture, in its pixels."""
        down, across = (np.arange(count) + 0.5 for count in self.shape)
        return self.top + down / self.scale, self.left + across / self.scale

    def part(self, start: float, axis: int, end: int) -> tuple[float, float]:
        """From where to where, along an axis, a picture of this side is seen; empty where the second is not larger."""
        return max(start, 0.0), min(start + self.shape[axis] / self.scale, float(end))


def pane_pixels(panel: Panel, view: View, opacity: float) -> np.ndarray:
    """The pane as it is shown: uint8 (height, width, 3). opacity: of the colours, 0..1. Paper where nothing is."""
    canvas = _picture(panel, view)
    colours, cover = _colours(panel, view)
    cover = cover[..., None] * opacity
    blended = np.round(canvas * (1 - cover) + colours * cover).astype(np.uint8)
    return _marked(blended, panel, view)


def coloured(values: np.ndarray, low: float, high: float, stops: Stops) -> tuple[np.ndarray, np.ndarray]:
    """Values of any shape as colours 0..255 (..., 3) and what these cover 0..1 (...), which is nothing for NaN."""
    places = np.array([place for place, _ in stops])
    channels = np.array([_channels(text) for _, text in stops])
    where = np.clip((np.nan_to_num(values, nan=low).astype(np.float64) - low) / (high - low), 0, 1)
    mixed = np.stack([np.interp(where, places, channel) for channel in channels.T], axis=-1)
    return mixed[..., :3], np.where(np.isnan(values), 0.0, mixed[..., 3])


def _channels(colour: str) -> tuple[float, float, float, float]:
    """Of "rgb(r, g, b)" or "rgba(r, g, b, a)"."""
    red, green, blue, *rest = (float(part) for part in colour[colour.index("(") + 1 : -1].split(","))
    return red, green, blue, rest[0] if rest else 1.0


def _picture(panel: Panel, view: View) -> np.ndarray:
    """The part of the picture, float64 (height, width, 3)."""
    assert panel.pixels is not None
    drawn = Image.new("RGB", view.shape[::-1], PAPER)
    height, width = panel.pixels.shape[:2]
    (top, bottom), (left, right) = view.part(view.top, 0, height), view.part(view.left, 1, width)
    y, x = round((top - view.top) * view.scale), round((left - view.left) * view.scale)
    high, wide = round((bottom - view.top) * view.scale) - y, round((right - view.left) * view.scale) - x
    if high > 0 and wide > 0:
        source = Image.fromarray(panel.pixels)
        drawn.paste(source.resize((wide, high), Image.Resampling.BICUBIC, box=(left, top, right, bottom)), (x, y))
    return np.asarray(drawn, dtype=np.float64)


def _colours(panel: Panel, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel in the colour of its patch, and what covers the picture there; nothing beyond the patches."""
    assert panel.grid is not None
    assert panel.coloured is not None
    down, across = (np.floor(place / panel.grid.patch_size).astype(int) for place in view.places())
    row, col = (np.clip(cell, 0, count - 1) for cell, count in zip((down, across), panel.grid.shape, strict=True))
    colours, cover = coloured(panel.coloured, panel.low, panel.high, panel.stops)
    inside = (down == row)[:, None] & (across == col)[None, :]
    return colours[row[:, None], col[None, :]], np.where(inside, cover[row[:, None], col[None, :]], 0.0)


def _marked(pixels: np.ndarray, panel: Panel, view: View) -> np.ndarray:
    """With outlines, the edge of the query's patch and its mark."""
    if not panel.outlines and panel.patch is None:
        return pixels
    height, width = view.shape
    layer = Image.new("RGBA", (width * _SMOOTH, height * _SMOOTH))
    pen = _Pen(ImageDraw.Draw(layer), view)
    for outline in panel.outlines:
        pen.line(outline)
    if panel.patch is not None and panel.patches is not None:
        row, col = panel.patch
        pen.patch(row, col, panel.patches.patch_size)
        pen.mark(*panel.patches.centre(row, col))
    marked = Image.fromarray(pixels).convert("RGBA")
    marked.alpha_composite(layer.resize((width, height), Image.Resampling.BOX))
    return np.array(marked.convert("RGB"))


class _Pen:
    """Draws what the figure draws over a map, twice as large as on the screen; points in pixels of the picture."""

    def __init__(self, draw: ImageDraw.ImageDraw, view: View) -> None:
        self.draw, self.view = draw, view
        self.unit = 2 * _SMOOTH  # of a pixel on the screen

    def line(self, points: np.ndarray) -> None:
        """A closed line (points, 2) of (y, x): bright over dark."""
        path = [self._place(y, x) for y, x in points]
        for width, colour in ((4.0, MARK_EDGE), (1.8, MARK)):
            self.draw.line(path, fill=colour, width=self._width(width), joint="curve")

    def patch(self, row: int, col: int, size: int) -> None:
        """The edge of a patch of this size in pixels."""
        corners = self._place(row * size, col * size), self._place((row + 1) * size, (col + 1) * size)
        self.draw.rectangle(corners, outline=MARK, width=self._width(1.2))

    def mark(self, y: float, x: float) -> None:
        """A ring with a dot: bright over dark."""
        middle = self._place(y, x)
        self._ring(middle, 9.5, 4.0, MARK_EDGE)
        self._ring(middle, 7.5, 2.5, MARK)
        self.draw.circle(middle, 1.5 * self.unit, fill=MARK)

    def _ring(self, middle: tuple[float, float], radius: float, width: float, colour: str) -> None:
        outer = (radius + width / 2) * self.unit
        self.draw.circle(middle, outer, outline=colour, width=self._width(width))

    def _place(self, y: float, x: float) -> tuple[float, float]:
        scale = self.view.scale * _SMOOTH
        return (float(x) - self.view.left) * scale, (float(y) - self.view.top) * scale

    def _width(self, width: float) -> int:
        return max(round(width * self.unit), 1)
