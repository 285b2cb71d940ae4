"""A sheet of paper, written as PNG, PDF or SVG: panes with their marks, strips of colours, text.

All lengths are pixels of the PNG, from the sheet's top left corner. In PDF and SVG, text, outlines and marks are
vectors, and each map is an image of one pixel a patch.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from PIL import ImageFont

from vit_engine.image import as_png
from vit_engine.report.colours import MARK, MARK_EDGE, Stops, coloured
from vit_engine.report.panels import Panel
from vit_engine.report.style import Zoom

PAPER = "#ffffff"
PANE_WIDTH, PANE_HEIGHT = 720, 1440  # pixels: twice the usual on a screen, and what a tall picture may take
TEXT = 24  # pixels: the height of letters
DPI = 256  # of the PNG in print; a power of 2, so that a size in inches is a whole number of pixels again
_POINT = 72 / DPI
_SCREEN = 2  # marks are twice as large as on a screen
FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # of Matplotlib, so there on every machine
_ABSENT = "□"
_LOCK = threading.RLock()


@contextmanager
def own_settings() -> Iterator[None]:
    """Matplotlib as it is by default, so that the same sheet is the same file, whatever a matplotlibrc says.

    One thread at a time: these settings are the whole process's, and some cannot be passed in any other way.
    """
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["pdf.fonttype"] = 42  # TrueType, as journals ask for
        matplotlib.rcParams["svg.fonttype"] = "path"  # looks the same where the font is not there
        matplotlib.rcParams["svg.hashsalt"] = "vit-engine"
        yield


@dataclass(frozen=True)
class View:
    """The part of the scaled picture that is drawn, and how large."""

    top: float  # in pixels of the picture
    left: float
    shape: tuple[int, int]  # (height, width) of what is drawn, in its own pixels
    scale: float  # of these to one of the picture's, at least 1

    @classmethod
    def of(cls, frame: tuple[int, int], zoom: Zoom | None = None) -> "View":
        """Of a picture (height, width), or the part (top, left, bottom, right) of it that it is zoomed to."""
        top, left, bottom, right = zoom or (0.0, 0.0, float(frame[0]), float(frame[1]))
        height, width = max(bottom - top, 1.0), max(right - left, 1.0)
        scale = max(1.0, min(PANE_WIDTH / width, PANE_HEIGHT / height))
        return cls(top, left, (max(round(height * scale), 1), max(round(width * scale), 1)), scale)


class Sheet:
    """What is painted: images, over them lines and marks in the order in which they are, over these text."""

    def __init__(self) -> None:
        self.figure = Figure(dpi=DPI, facecolor=PAPER)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.axis("off")

    def write(self, x: float, y: float, text: str, *, ink: str, align: str = "left") -> None:
        """A line whose letters stand on y."""
        font = FontProperties(fname=FONT, size=TEXT * _POINT)
        self.axes.text(x, y, printable(text), color=ink, font=font, ha=align, parse_math=False)  # "$" is a letter

    def box(self, x: float, y: float, *, width: float, height: float, fill: str, rounding: float = 0.0) -> None:
        style = f"round,pad=0,rounding_size={rounding}"
        self.axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=fill, linewidth=0))

    def strip(self, x: float, y: float, *, width: float, height: float, stops: Stops, edge: str) -> None:
        self.image(_rgba(coloured(np.linspace(0, 1, 256)[None], 0.0, 1.0, stops), 1.0), (x, x + width, y + height, y))
        self.edge(x, y, width=width, height=height, line=1, colour=edge)

    def pane(self, panel: Panel, view: View, opacity: float, x: float, y: float) -> None:
        """The picture under its colours, the marks over them; nothing beyond the patches. opacity: of the colours."""
        pane = _Pane(self, view, x, y)
        if panel.pixels is not None:
            pane.image(panel.pixels, 1, smooth=True)
        if panel.image is not None and panel.grid is not None:
            pane.image(_rgba(panel.image / np.array([1, 1, 1, 255]), opacity), panel.grid.patch_size)
        elif panel.coloured is not None and panel.grid is not None:
            colours = coloured(panel.coloured, panel.low, panel.high, panel.stops)
            pane.image(_rgba(colours, opacity), panel.grid.patch_size)
        pane.marks(panel)

    def link(self, start: tuple[float, float], end: tuple[float, float], *, colour: str) -> None:
        """A line from one point (x, y) to another with a dot at either, seen on light and on dark."""
        x, y = zip(start, end, strict=True)
        order = Rectangle.zorder  # as of marks: what comes later is over it
        for width, dot, ink in ((2.2, 6.4, MARK_EDGE), (1.2, 4.8, colour)):
            line: dict[str, Any] = {"linewidth": width * _SCREEN * _POINT, "markersize": dot * _SCREEN * _POINT}
            self.axes.add_line(Line2D(x, y, color=ink, marker="o", markeredgewidth=0, zorder=order, **line))

    def files(self, width: int, height: int, kinds: tuple[str, ...]) -> dict[str, bytes]:
        """The sheet in this size as files of these kinds: "png", "pdf", "svg"."""
        self.figure.set_size_inches(width / DPI, height / DPI)
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        # The PNG comes first: only its picture is smooth.
        return {
            kind: _png(self.figure) if kind == "png" else _vectors(self.figure, kind)
            for kind in ("png", "pdf", "svg")
            if kind in kinds
        }

    def image(self, pixels: np.ndarray, extent: tuple[float, float, float, float], *, smooth: bool = False) -> Artist:
        """extent: left, right, bottom, top."""
        return self.axes.imshow(pixels, extent=extent, aspect="auto", interpolation="bicubic" if smooth else "none")

    def edge(self, x: float, y: float, *, width: float, height: float, line: float, colour: str) -> Artist:
        """A line of this width along the inner side of a rectangle."""
        corner, sides = (x + line / 2, y + line / 2), (width - line, height - line)
        edge = Rectangle(corner, *sides, fill=False, edgecolor=colour, linewidth=line * _POINT, snap=False)
        return self.axes.add_patch(edge)


class _Pane:
    """A pane's place on a sheet. Points are (y, x) in pixels of the picture."""

    def __init__(self, sheet: Sheet, view: View, x: float, y: float) -> None:
        self.sheet, self.view = sheet, view
        self.left, self.top = x - view.left * view.scale, y - view.top * view.scale
        self.clip = Rectangle((x, y), view.shape[1], view.shape[0], transform=sheet.axes.transData)

    def image(self, pixels: np.ndarray, size: int, *, smooth: bool = False) -> None:
        """An image whose pixels are squares of `size` pixels of the picture."""
        height, width = (side * size * self.view.scale for side in pixels.shape[:2])
        extent = (self.left, self.left + width, self.top + height, self.top)
        self.sheet.image(pixels, extent, smooth=smooth).set_clip_path(self.clip)

    def marks(self, panel: Panel) -> None:
        """Outlines, over them edges of patches, over these the query."""
        for outline in panel.outlines:
            self.line(outline)
        for outline in panel.dashed:
            self.line(outline, dashed=True)
        if panel.patches is None:
            return
        for patches in panel.boxed:
            self.box(*panel.patches.box(patches))
        if panel.patch is not None:
            self.mark(*panel.patches.box(panel.patch))

    def line(self, points: np.ndarray, *, dashed: bool = False) -> None:
        """A closed line (points, 2), bright on dark. dashed: the bright one."""
        y, x = points.T * self.view.scale
        order = Rectangle.zorder  # marks that come later are over it
        for width, colour, style in ((4.0, MARK_EDGE, "-"), (1.8, MARK, "--" if dashed else "-")):
            look: dict[str, Any] = {"color": colour, "linewidth": width * _SCREEN * _POINT, "linestyle": style}
            line = Line2D(self.left + x, self.top + y, zorder=order, **look)
            self.sheet.axes.add_line(line).set_clip_path(self.clip)

    def box(self, top: int, left: int, bottom: int, right: int) -> None:
        """A thin edge of these pixels, bright on dark."""
        width, height = (right - left) * self.view.scale, (bottom - top) * self.view.scale
        x, y = self.left + left * self.view.scale, self.top + top * self.view.scale
        for line, colour in ((3.0, MARK_EDGE), (1.2, MARK)):
            look: dict[str, Any] = {"edgecolor": colour, "linewidth": line * _SCREEN * _POINT}
            edge = Rectangle((x, y), width, height, fill=False, snap=False, **look)
            self.sheet.axes.add_patch(edge).set_clip_path(self.clip)

    def mark(self, top: int, left: int, bottom: int, right: int) -> None:
        """The edge of these pixels, and in their middle a ring with a dot."""
        width, height = (right - left) * self.view.scale, (bottom - top) * self.view.scale
        x, y = self.left + left * self.view.scale, self.top + top * self.view.scale
        self.sheet.edge(x, y, width=width, height=height, line=1.2 * _SCREEN, colour=MARK).set_clip_path(self.clip)
        middle = (x + width / 2, y + height / 2)
        circles = [
            Circle(middle, radius * _SCREEN, fill=False, edgecolor=colour, linewidth=width * _SCREEN * _POINT)
            for radius, width, colour in ((9.5, 4.0, MARK_EDGE), (7.5, 2.5, MARK))
        ]
        for circle in (*circles, Circle(middle, 1.5 * _SCREEN, facecolor=MARK, linewidth=0)):
            self.sheet.axes.add_patch(circle).set_clip_path(self.clip)


def _rgba(colours: np.ndarray, opacity: float) -> np.ndarray:
    """Colours as coloured() has them, uint8."""
    return np.round(colours * np.array([1, 1, 1, 255 * opacity])).astype(np.uint8)


def _png(figure: Figure) -> bytes:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return as_png(np.asarray(canvas.buffer_rgba())[..., :3])


def _vectors(figure: Figure, kind: str) -> bytes:
    """With images as they are: one pixel a patch, which viewers are told not to smooth; and without the time."""
    for image in figure.axes[0].images:
        image.set_interpolation("none")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"CreationDate" if kind == "pdf" else "Date": None})
    return buffer.getvalue()


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(FONT).get_charmap())


@cache
def _measure(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)


def printable(text: str) -> str:
    """A text as it can be written: names from strangers' files may have letters that the font lacks."""
    return "".join(letter if ord(letter) in _letters() else _ABSENT for letter in text)


def length(text: str, size: int) -> float:
    """How wide a line is, in the pixels in which letters are `size` high."""
    return _measure(size).getlength(text)


def wrapped(text: str, size: int, width: float) -> list[str]:
    """Lines no wider than this, in pixels: broken at " · " if they can be, else at spaces, else within a word."""
    parts: list[str] = []
    for part in printable(text).replace(" · ", " ·\0").split("\0"):
        parts += [part] if length(part, size) <= width else part.split()
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} {part}" if lines else part
        if lines and length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines += _pieces(part, size, width)
    return lines


def _pieces(word: str, size: int, width: float) -> list[str]:
    """A word in parts no wider than this, at least a letter each."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and length(pieces[-1] + letter, size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
