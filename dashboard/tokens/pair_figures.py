"""Two pictures in one coordinate system, and lines between what corresponds in them. No Streamlit, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dashboard.charts import BARE
from dashboard.tokens.figures import Layer, Patch, cells, colour_address
from vit_engine import Correspondences, TokenGrid
from vit_engine.report.colours import MARK, MARK_EDGE
from vit_engine.report.figure import Plain, PlainFigure
from vit_engine.report.jpegs import jpeg_address

JPEG_QUALITY = 86
GAP = 0.03  # between the pictures, of the first one's width
OVER = 0.6  # opacity of what lies over a picture: the photograph is seen under its lines
# Bright ones that colour-blind people tell apart (Okabe and Ito), for lines over pictures.
LINE_COLOURS = ("#56b4e9", "#e69f00", "#f0e442", "#cc79a7", "#3fd1a4", "#ffffff", "#ff8c61")
_NEAR = 8  # pixels of the screen within which hover shows the end of a line, and not the patch under it
_RINGS = (("query", "solid"), ("best match", "dot"))
_APART = 0.01  # pixels
_CORNERS = 48  # of a ring

Mark = tuple[int, Patch]  # 0 for the first picture or 1 for the second, and a patch of it


@dataclass(frozen=True)
class Place:
    """Where a picture lies in the figure, whose unit is a pixel of the first picture."""

    grid: TokenGrid
    left: float = 0.0
    top: float = 0.0
    scale: float = 1.0  # of a pixel of this picture

    @property
    def patch(self) -> float:
        """A patch's side."""
        return self.grid.patch_size * self.scale

    @property
    def bottom(self) -> float:
        return self.top + self.grid.height * self.scale

    @property
    def right(self) -> float:
        return self.left + self.grid.width * self.scale

    def centres(self, patches: np.ndarray) -> np.ndarray:
        """Of patches (n, 2), (row, col): their middles (n, 2), (y, x)."""
        return (np.asarray(patches) + 0.5) * self.patch + (self.top, self.left)

    def patch_at(self, *, y: float, x: float) -> Patch | None:
        """The patch (row, col) at a point of the figure, or None beside the picture."""
        if not (self.top <= y < self.bottom and self.left <= x < self.right):
            return None
        return self.grid.patch_at((y - self.top) / self.scale, (x - self.left) / self.scale)


@dataclass(frozen=True, eq=False)
class Part:
    """One of the two pictures. pixels: uint8 (height, width, 3). layer: what lies over it."""

    pixels: np.ndarray
    layer: Layer
    place: Place


def places(first: TokenGrid, second: TokenGrid, *, stacked: bool) -> tuple[Place, Place]:
    """Side by side at one height, or one above the other at one width."""
    gap = GAP * first.width
    if stacked:
        return Place(first), Place(second, top=first.height + gap, scale=first.width / second.width)
    return Place(first), Place(second, left=first.width + gap, scale=first.height / second.height)


def aspect(arranged: Sequence[Place]) -> float:
    """Width over height of the figure."""
    return max(each.right for each in arranged) / max(each.bottom for each in arranged)


def pair_figure(
    first: Part,
    second: Part,
    matches: Correspondences,
    *,
    marks: Sequence[Mark] = (),
) -> PlainFigure:
    """Both pictures, what lies over each, and a line a match; a click on a patch chooses it.

    marks: none, or the query, which gets a ring, and the best match in the other picture, which gets a dashed one.
    """
    parts = first, second
    traces = [_cells(part, name) for part, name in zip(parts, ("first", "second"), strict=True)]
    traces += _lines(matches, first.place, second.place)
    for (number, patch), (name, dash) in zip(marks, _RINGS, strict=False):
        traces += _ring(parts[number].place, patch, name=name, dash=dash)
    right, bottom = (max(getattr(part.place, side) for part in parts) for side in ("right", "bottom"))
    common = {"visible": False, "fixedrange": True, "constrain": "domain"}
    layout = {
        **BARE,
        "hoverdistance": _NEAR,
        "xaxis": {"range": [0, right], **common},
        "yaxis": {"range": [bottom, 0], "scaleanchor": "x", **common},
        "images": [image for part in parts for image in _images(part)],
    }
    return PlainFigure(traces, layout)


def _cells(part: Part, name: str) -> Plain:
    """The layer's trace. Its texts tell a patch by x and y, here in pixels: rows and columns go with the data."""
    layer, place = part.layer, part.place
    rows, cols = layer.shape
    numbers = np.indices((rows, cols), dtype=np.float32).transpose(1, 2, 0)
    data = numbers if layer.data is None else np.concatenate([layer.data.astype(np.float32), numbers], axis=-1)
    row, col = data.shape[-1] - 2, data.shape[-1] - 1
    hover = layer.hover.replace("%{y}", f"%{{customdata[{row}]}}").replace("%{x}", f"%{{customdata[{col}]}}")
    middle = place.patch / 2
    return cells(
        replace(layer, hover=hover, data=data),
        name=name,
        x0=place.left + middle,
        dx=place.patch,
        y0=place.top + middle,
        dy=place.patch,
        opacity=OVER,
    )


def _images(part: Part) -> list[Plain]:
    """The photograph, and over it the colours of the patches, if they have one each."""
    place = part.place
    box = {"x": place.left, "y": place.top, "sizex": place.right - place.left, "sizey": place.bottom - place.top}
    common: Plain = {**box, "xref": "x", "yref": "y", "layer": "below", "sizing": "stretch"}
    images = [{"source": jpeg_address(part.pixels, quality=JPEG_QUALITY), **common}]
    if part.layer.rgb is not None:
        wider = {"sizex": box["sizex"] + _APART}  # of images in the same place Plotly draws one
        images.append({"source": colour_address(part.layer.rgb), "opacity": OVER, **common, **wider})
    return images


def _lines(matches: Correspondences, first: Place, second: Place) -> list[Plain]:
    """Thin bright lines over dark ones, seen on every picture; neighbours have different colours."""
    if not len(matches):
        return []
    order = np.lexsort((matches.first[:, 1], matches.first[:, 0]))
    starts, ends = first.centres(matches.first[order]), second.centres(matches.second[order])
    numbers = np.arange(len(order)) % len(LINE_COLOURS)
    bright = [
        _path(starts[chosen], ends[chosen], f"lines {number}", {"width": 1.6, "color": colour})
        for number, colour in enumerate(LINE_COLOURS)
        if (chosen := numbers == number).any()
    ]
    dark = _path(starts, ends, "edges of lines", {"width": 3.6, "color": MARK_EDGE})
    colours = [LINE_COLOURS[number] for number in numbers]
    return [dark, *bright, _ends(matches, order, np.concatenate([starts, ends]), colours)]


def _path(starts: np.ndarray, ends: np.ndarray, name: str, line: Plain) -> Plain:
    """Lines with gaps between them, as one trace."""
    points = np.stack([starts, ends, np.full_like(ends, np.nan)], axis=1).reshape(-1, 2)
    return _line(points, name, line)


def _line(points: np.ndarray, name: str, line: Plain) -> Plain:
    y, x = points.T.astype(np.float32)
    return {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "name": name, "line": line, "x": x, "y": y}


def _ends(matches: Correspondences, order: np.ndarray, points: np.ndarray, colours: list[str]) -> Plain:
    numbers = [matches.first, matches.second, matches.similarity[:, None], matches.ratio[:, None]]
    values = np.concatenate(numbers, axis=1)[order].astype(np.float32)
    y, x = points.T.astype(np.float32)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "ends",
        "x": x,
        "y": y,
        "customdata": np.concatenate([values, values]),
        "marker": {"size": 6, "color": [*colours, *colours], "line": {"width": 1, "color": MARK_EDGE}},
        "hovertemplate": "first picture: patch row %{customdata[0]}, col %{customdata[1]}<br>"
        "second picture: patch row %{customdata[2]}, col %{customdata[3]}<br>"
        "cosine similarity %{customdata[4]:.3f} · ratio %{customdata[5]:.2f}<extra></extra>",
    }


def _ring(place: Place, patch: Patch, *, name: str, dash: str) -> list[Plain]:
    """Around a patch, bright over dark; the bright one has the name."""
    angle = np.linspace(0, 2 * np.pi, _CORNERS + 1)
    radius = max(place.patch, 0.012 * (place.right - place.left))
    points = place.centres(np.array([patch])) + radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    edge = {"width": 4.5, "color": MARK_EDGE}
    return [_line(points, f"edge of {name}", edge), _line(points, name, {"width": 2.2, "color": MARK, "dash": dash})]
