"""From a comparison to what is drawn of it: colours' values, limits, marks and outlines, a panel a pane.

Everything is in pixels of the scaled picture, which all panes share, whatever their patch sizes: so they can
be zoomed together. A weight is one patch's; the same weight on a patch four times as large is a quarter of the
density. A scale that is shared is therefore one of density, and ends at another weight in each patch size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vit_engine.analysis.comparison import Comparison, Shown
from vit_engine.analysis.maps import contours, difference, mass_mask
from vit_engine.report.colours import Stops, colour_stops, diverging_stops, upper_limit
from vit_engine.report.style import Style
from vit_engine.spec import TokenGrid

DECADES = 3  # of a logarithmic scale


@dataclass(frozen=True, eq=False)
class Panel:
    """A pane as it is drawn.

    name: "A", …. title: what it is of. pixels: uint8 (height, width, 3). values: float32, on `grid`, as hover
    tells them, in `unit`. coloured: float32 of the same shape, what the colours stand for, from low to high;
    NaN is not drawn. patch: (row, col) of the query in the pane's own grid `patches`, None for the CLS token. outlines:
    float32 (points, 2), (y, x) in pixels. limit: the value of the last colour, in `unit`. difference: whether
    it is one. log: whether coloured, low and high are decimal logarithms. random: whether the model's weights are.
    message: why there is no map; then the arrays are None.
    """

    name: str
    title: str
    message: str = ""
    pixels: np.ndarray | None = None
    grid: TokenGrid | None = None
    patches: TokenGrid | None = None
    values: np.ndarray | None = None
    coloured: np.ndarray | None = None
    low: float = 0.0
    high: float = 1.0
    limit: float = 1.0
    unit: str = ""
    patch: tuple[int, int] | None = None
    outlines: tuple[np.ndarray, ...] = ()
    stops: Stops = field(default_factory=list)
    difference: bool = False
    log: bool = False
    random: bool = False


def title(one: Shown) -> str:
    """What a pane is of, in words."""
    head = f"head {one.pane.head}" if isinstance(one.pane.head, int) else f"{one.pane.head} of heads"
    query = "CLS" if isinstance(one.query, str) else f"patch {one.query[0]}, {one.query[1]}"
    return f"{one.trace.spec.title} · layer {one.pane.layer} · {head} · {query}"


def panels(comparison: Comparison, style: Style) -> tuple[Panel, ...]:
    """What is drawn of each pane, in order."""
    if style.show == "difference":
        return _differences(comparison, style)
    limits = _limits(comparison.shown, style)
    return tuple(
        _map_panel(one, limit, comparison.keep, style) for one, limit in zip(comparison.shown, limits, strict=True)
    )


def _limits(shown: Sequence[Shown], style: Style) -> list[float]:
    """The weight at which each pane's colours end."""
    if style.scale == "own":
        return [upper_limit(one.map.values, style.clip) for one in shown]
    densities = [one.map.values.ravel() * one.map.grid.patches for one in shown]
    limit = upper_limit(np.concatenate(densities), style.clip)
    return [limit / one.map.grid.patches for one in shown]


def _map_panel(one: Shown, limit: float, keep: float, style: Style) -> Panel:
    values = one.map.values
    coloured, low, high = values, 0.0, limit
    outlines: tuple[np.ndarray, ...] = ()
    if style.scale == "log":
        low, high = np.log10(limit) - DECADES, np.log10(limit)
        coloured = np.log10(np.maximum(values, 10**low)).astype(np.float32)
    if style.show == "mask":
        mask = mass_mask(values, keep)
        coloured = np.where(mask, coloured, np.float32(np.nan))
        outlines = tuple(_in_pixels(outline, one.map.grid) for outline in contours(mask))
    return _panel(
        one, values=values, coloured=coloured, grid=one.map.grid, low=float(low), high=float(high), limit=limit,
        unit=one.map.unit, outlines=outlines, stops=colour_stops(style.colours), log=style.scale == "log",
    )  # fmt: skip


def _differences(comparison: Comparison, style: Style) -> tuple[Panel, ...]:
    """The reference's map, and beside it each other pane's difference to it, the scale centred on zero."""
    base = comparison.base
    others = {one.name: difference(one.map, base.map) for one in comparison.shown if one is not base}
    ends = {name: upper_limit(np.abs(found.values) * found.grid.patches, style.clip) for name, found in others.items()}
    if style.scale != "own" and ends:
        ends = dict.fromkeys(ends, max(ends.values()))
    drawn = []
    for one in comparison.shown:
        if one is base:
            drawn.append(
                _map_panel(one, upper_limit(one.map.values, style.clip), comparison.keep, Style(colours=style.colours))
            )
            continue
        found = others[one.name]
        end = ends[one.name] / found.grid.patches
        drawn.append(
            _panel(
                one,
                values=found.values,
                coloured=found.values,
                grid=found.grid,
                low=-end,
                high=end,
                limit=end,
                unit=found.unit,
                stops=diverging_stops(),
                difference=True,
            )
        )
    return tuple(drawn)


def _panel(
    one: Shown,
    *,
    values: np.ndarray,
    coloured: np.ndarray,
    grid: TokenGrid,
    low: float,
    high: float,
    limit: float,
    unit: str,
    stops: Stops,
    outlines: tuple[np.ndarray, ...] = (),
    difference: bool = False,
    log: bool = False,
) -> Panel:
    return Panel(
        name=one.name, title=title(one), pixels=grey(one.pixels) if difference else one.pixels, grid=grid,
        patches=one.trace.grid, values=values,
        coloured=coloured, low=low, high=high, limit=limit, unit=unit,
        patch=None if isinstance(one.query, str) else one.query, outlines=outlines, stops=stops, difference=difference,
        log=log, random=one.trace.random,
    )  # fmt: skip


def grey(pixels: np.ndarray) -> np.ndarray:
    """A picture without its colours, which would be taken for the scale's (luma of ITU-R BT.601)."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma.round().astype(np.uint8)[..., None], 3, axis=-1)


def _in_pixels(outline: np.ndarray, grid: TokenGrid) -> np.ndarray:
    return ((outline + 0.5) * grid.patch_size).astype(np.float32)
