"""Panes laid out on a sheet: a comparison as it is shown, twice as large, and the maps of one run."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vit_engine.grid import Patches, TokenGrid
from vit_engine.report.colours import ACCENT, Stops, colour_stops, diverging_stops, upper_limit
from vit_engine.report.painter import PAPER, TEXT, Sheet, View, own_settings, wrapped
from vit_engine.report.panels import WARNING, Legend, Panel, common_legend, grey
from vit_engine.report.style import Zoom
from vit_engine.trace.attention_map import AttentionMap

INK, QUIET, ALARM, EMPTY = "#1f2430", "#5b6270", "#b3261e", "#f1efeb"
LINE, GAP, BADGE, STRIP = 38, 32, 42, 18  # pixels: lines, between panes, a pane's letter, a colour scale's height
BASELINE = 28  # pixels from the top of a line
NARROWEST = 520  # of what has a title, in pixels
MOST_IN_A_ROW = 4
CLIP_PERCENTILE = 99.0  # where the colours of a run's maps end: a single hot patch would blacken all the others

Line = tuple[str, str]  # a text and its ink


def comparison_sheet(
    drawn: Sequence[Panel],
    *,
    frame: tuple[int, int],
    opacity: float,
    caption: str = "",
    zoom: Zoom | None = None,
    kinds: tuple[str, ...] = ("png",),
) -> dict[str, bytes]:
    """The panes, each under its title, with what their colours stand for: files by their kind; see Sheet.files().

    frame: the scaled picture (height, width) in pixels. opacity: of the colours, 0..1. caption: above all of
    them. zoom: the part of the picture that is shown. More than four panes stand in two rows.
    """
    across = len(drawn) if len(drawn) <= MOST_IN_A_ROW else math.ceil(len(drawn) / 2)
    lines = [(caption, INK)] if caption else []
    return _laid_out(drawn, View.of(frame, zoom), opacity, lines, across=across, kinds=kinds)


def overlay(
    pixels: np.ndarray,
    shown: AttentionMap,
    *,
    caption: str,
    warning: str = "",
    marked: Patches | None = None,
    signed: bool = False,
) -> bytes:
    """A picture, uint8 (height, width, 3), beside itself under its map: a PNG.

    caption is printed above, warning too and in red. marked: the query, a patch or a region; None for the CLS token.
    signed: whether values may be negative; colours are then centred on zero.
    """
    attention = _map_panel("map", shown, shown.values, marked, signed=signed)
    picture = Panel("", "picture", pixels=pixels, patches=shown.grid, patch=marked)
    return _run_sheet([picture, replace(attention, pixels=grey(pixels))], shown.grid, 0.7, caption, warning)["png"]


def map_sheet(
    pixels: np.ndarray,
    shown: AttentionMap,
    *,
    limit: float,
    stops: Stops,
    opacity: float,
    beside: bool,
    caption: str,
    warning: str = "",
    marked: Patches | None = None,
    boxed: tuple[Patches, ...] = (),
    edges: tuple[np.ndarray, ...] = (),
    signed: bool = False,
    kinds: tuple[str, ...] = ("png",),
) -> dict[str, bytes]:
    """A map over its picture, or beside it, in chosen colours: files by their kind; see Sheet.files().

    limit: the value at which the colours end, in the map's unit. stops: the colours. opacity: of the map over the
    picture, 0..1. boxed: patches that get a thin edge. edges: of an object, float32 (points, 2), (y, x) in pixels of
    the picture, dashed. The others are those of `overlay`.
    """
    marks: dict[str, Any] = {"boxed": boxed, "dashed": edges}
    coloured = replace(_coloured("", shown, limit, stops, marked, signed=signed), **marks)
    if beside:
        picture = Panel("", "", pixels=pixels, patches=shown.grid, patch=marked, **marks)
        return _run_sheet([picture, coloured], shown.grid, 1.0, caption, warning, kinds=kinds)
    under = grey(pixels) if signed else pixels
    return _run_sheet([replace(coloured, pixels=under)], shown.grid, opacity, caption, warning, kinds=kinds)


def head_sheet(
    maps: np.ndarray,
    shown: AttentionMap,
    *,
    caption: str,
    warning: str = "",
    marked: Patches | None = None,
    signed: bool = False,
) -> bytes:
    """One map a head, maps (heads, rows, cols), on one colour scale, so that heads compare by eye: a PNG.

    shown: of the same grid and unit. caption, warning, marked and signed are those of `overlay`.
    """
    heads = [(f"head {head} · peak {values.max():.3g}", values) for head, values in enumerate(maps)]
    panels = [_map_panel(title, replace(shown, values=values), maps, marked, signed=signed) for title, values in heads]
    return _run_sheet(panels, shown.grid, 1.0, caption, warning)["png"]


def _map_panel(
    title: str, shown: AttentionMap, scaled_to: np.ndarray, marked: Patches | None, *, signed: bool
) -> Panel:
    """scaled_to: the values that share its colours."""
    limit = upper_limit(np.abs(scaled_to) if signed else scaled_to, CLIP_PERCENTILE)
    return _coloured(
        title, shown, limit, diverging_stops() if signed else colour_stops("inferno"), marked, signed=signed
    )


def _coloured(
    title: str, shown: AttentionMap, limit: float, stops: Stops, marked: Patches | None, *, signed: bool
) -> Panel:
    scale: dict[str, Any] = {"low": -limit if signed else 0.0, "high": limit, "limit": limit}
    scale |= {"stops": stops, "signed": signed}
    map_of: dict[str, Any] = {"grid": shown.grid, "patches": shown.grid, "patch": marked, "coloured": shown.values}
    return Panel("", title, unit=shown.unit, quantity=shown.quantity, **map_of, **scale)


def _run_sheet(
    panels: Sequence[Panel],
    grid: TokenGrid,
    opacity: float,
    caption: str,
    warning: str,
    *,
    kinds: tuple[str, ...] = ("png",),
) -> dict[str, bytes]:
    lines = [(text, ink) for text, ink in ((caption, INK), (warning, ALARM)) if text]
    across = len(panels) if len(panels) <= 3 else math.ceil(math.sqrt(len(panels)))
    view = View.of((grid.height, grid.width))
    return _laid_out(panels, view, opacity, lines, across=across, kinds=kinds)


@own_settings()
def _laid_out(
    drawn: Sequence[Panel], view: View, opacity: float, lines: Sequence[Line], *, across: int, kinds: tuple[str, ...]
) -> dict[str, bytes]:
    """Lines, rows of panes, and below them the legend, if it is that of all."""
    layout = Layout(view, opacity)
    whole = across * (layout.width + GAP) - GAP
    common = common_legend(drawn)
    panes = [(panel, None if common else panel.legend) for panel in drawn]
    y = layout.text(GAP, GAP, lines, whole) + GAP if lines else GAP
    for start in range(0, len(drawn), across):
        y = layout.row(y, panes[start : start + across]) + GAP
    if common:
        y = layout.legend(GAP, y, common, min(whole, 2 * NARROWEST)) + GAP
    return layout.sheet.files(whole + 2 * GAP, y, kinds)


class Layout:
    """Parts of a sheet from the top down: each is told where it begins, x and y, and returns the y where it ends."""

    def __init__(self, view: View, opacity: float) -> None:
        self.sheet, self.view, self.opacity = Sheet(), view, opacity
        self.width = max(view.shape[1], NARROWEST)  # of a pane and its title

    def row(self, y: int, panes: Sequence[tuple[Panel, Legend | None]]) -> int:
        """Panes side by side: titles begin, maps begin and legends begin at the same heights."""
        places = [(GAP + number * (self.width + GAP), *pane) for number, pane in enumerate(panes)]
        top = max(self.title(x, y, panel) for x, panel, _ in places) + TEXT // 2
        ends = [top + self.view.shape[0]]
        for x, panel, legend in places:
            if panel.message:
                self.absent(x, top, panel.message)
            else:
                self.sheet.pane(panel, self.view, self.opacity, x, top)
            if legend:
                ends.append(self.legend(x, ends[0] + TEXT // 2, legend, self.width))
        return max(ends) + TEXT // 2

    def title(self, x: int, y: int, panel: Panel) -> int:
        """A pane's letter in a box, if it has one, and lines beside it."""
        texts = ((panel.title, INK), (panel.note, QUIET), (WARNING if panel.random else "", ALARM))
        lines = [line for line in texts if line[0]]
        if not panel.name:
            return self.text(x, y, lines, self.width)
        self.sheet.box(x, y, width=BADGE, height=BADGE, fill=ACCENT, rounding=8)
        self.sheet.write(x + BADGE / 2, y + BASELINE + 2, panel.name, ink=PAPER, align="center")
        beside = BADGE + TEXT // 2
        return max(y + BADGE, self.text(x + beside, y + 2, lines, self.width - beside))

    def absent(self, x: int, y: int, message: str) -> None:
        """Why there is no map, in its place."""
        height, inside = self.view.shape[0], self.width - 2 * GAP
        self.sheet.box(x, y, width=self.width, height=height, fill=EMPTY)
        needed = LINE * len(wrapped(message, TEXT, inside))
        self.text(x + GAP, y + max((height - needed) // 2, 0), [(message, QUIET)], inside)

    def text(self, x: int, y: int, lines: Sequence[Line], width: int) -> int:
        """Lines under each other, broken where they are wider than this."""
        for text, ink in lines:
            for line in wrapped(text, TEXT, width):
                self.sheet.write(x, y + BASELINE, line, ink=ink)
                y += LINE
        return y

    def legend(self, x: int, y: int, legend: Legend, width: int) -> int:
        """A strip of all colours, its ends, and below them the unit."""
        self.sheet.strip(x, y, width=width, height=STRIP, stops=legend.stops, edge=QUIET)
        below = y + STRIP + BASELINE + 2
        ends = ((legend.low, 0.0, "left"), (legend.middle, 0.5, "center"), (legend.high, 1.0, "right"))
        for text, place, align in ends:
            self.sheet.write(x + place * width, below, text, ink=INK, align=align)
        return self.text(x, y + STRIP + LINE, [(legend.unit, QUIET)], width)
