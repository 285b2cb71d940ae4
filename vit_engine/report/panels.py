"""From a comparison to what is drawn of it, a panel a pane: colours' values, limits and legends, marks and outlines.

Everything is in pixels of the scaled picture, which all panes share, whatever their patch sizes: so they can
be zoomed together. A weight is one patch's; the same weight on a patch four times as large is a quarter of the
density. A scale that is shared is therefore one of density, and ends at another weight in each patch size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vit_engine.analysis.comparison import Comparison, Pane, PaneResult
from vit_engine.analysis.maps.agreement import difference
from vit_engine.analysis.maps.mask import contours, mass_mask
from vit_engine.analysis.methods import RAW, find_method
from vit_engine.report.colours import Stops, colour_stops, diverging_stops, upper_limit
from vit_engine.report.style import Style
from vit_engine.spec import TokenGrid
from vit_engine.trace.attention_map import AttentionMap, token_name

DECADES = 3  # of a logarithmic scale
WARNING = "RANDOM WEIGHTS: this model has not been trained"
_SCALES = {"shared": "one colour scale for all panes", "own": "each pane its own colour scale"}
_SCALES["log"] = f"{_SCALES['shared']}, logarithmic"


@dataclass(frozen=True)
class Legend:
    """A strip of colours: what stands at its left end, in its middle (if anything), at its right end, and the unit."""

    low: str
    middle: str
    high: str
    unit: str
    stops: Stops


@dataclass(frozen=True, eq=False)
class Panel:
    """A pane as it is drawn; without a map, its arrays are None."""

    name: str  # "A", …
    title: str  # what it is of
    message: str = ""  # why there is no map
    pixels: np.ndarray | None = None  # uint8 (height, width, 3)
    grid: TokenGrid | None = None  # of the values
    patches: TokenGrid | None = None  # the pane's own grid
    values: np.ndarray | None = None  # float32 (rows, cols), in `unit`, as hover tells them
    coloured: np.ndarray | None = None  # float32 of the same shape, what the colours stand for; NaN is not drawn
    image: np.ndarray | None = None  # uint8 (rows, cols, 4), drawn as it is in place of `coloured`: a colour a patch
    low: float = 0.0  # where the colours begin
    high: float = 1.0  # where they end
    limit: float = 1.0  # the value of the last colour, in `unit`
    unit: str = ""
    patch: tuple[int, int] | None = None  # (row, col) of the query in `patches`; None for the CLS token
    outlines: tuple[np.ndarray, ...] = ()  # float32 (points, 2), (y, x) in pixels
    stops: Stops = field(default_factory=list)
    difference: bool = False  # whether the values are differences
    log: bool = False  # whether coloured, low and high are decimal logarithms
    random: bool = False  # whether the model's weights are

    @property
    def legend(self) -> Legend | None:
        """What its colours stand for, in words; None where there is no map."""
        if self.coloured is None or self.grid is None:
            return None
        unit = f"{self.unit} of a patch of {self.grid.patch_size} px{', logarithmic' if self.log else ''}"
        limit, low = (f"{100 * value:.3g} %" for value in (self.limit, 10**self.low if self.log else 0.0))
        if self.difference:
            return Legend(f"-{limit} or less", "0", f"+{limit} or more", unit, self.stops)
        return Legend(f"{low} or less" if self.log else "0", "", f"{limit} or more", unit, self.stops)


def common_legend(drawn: Sequence[Panel]) -> Legend | None:
    """The legend of all panes; None where they differ, as those of other patch sizes do: a weight is one patch's."""
    found = [panel.legend for panel in drawn if panel.legend is not None]
    return found[0] if found and all(legend == found[0] for legend in found) else None


def title(one: PaneResult) -> str:
    """What a pane is of, in words; raw attention, which is the usual method, goes without saying."""
    method = find_method(one.pane.method)
    head = f"head {one.pane.head}" if isinstance(one.pane.head, int) else f"{one.pane.head} of heads"
    words = {"layer": f"layer {one.pane.layer}", "head": head, "query": token_name(one.query)}
    named = [] if method.name == RAW else [method.title]
    chosen = [text for choice, text in words.items() if choice in method.depends_on]
    return " · ".join([one.trace.spec.title, *named, *chosen])


def roles(panes: Iterable[Pane]) -> str:
    """What the chosen token is to their methods: "query", "key", or "query or key"."""
    return " or ".join(dict.fromkeys(find_method(pane.method).role for pane in panes))


def caption(comparison: Comparison, style: Style) -> str:
    """What all panes have in common, in words."""
    what = {
        "map": "attention",
        "difference": f"differences to {comparison.base.name}",
        "mask": f"the patches that hold {100 * comparison.keep:g} % of the attention",
    }[style.show]
    scale = "shared" if style.show == "difference" and style.scale == "log" else style.scale  # differences are never
    point = comparison.point
    query = "the CLS token" if point is None else f"the point at {point[0]:.0%} of the height, {point[1]:.0%} across"
    role = roles(one.pane for one in comparison.results)
    height, width = comparison.frame
    return f"{what[0].upper()}{what[1:]} · {role}: {query} · {_SCALES[scale]} · {height} × {width} px"


def panels(comparison: Comparison, style: Style) -> tuple[Panel, ...]:
    """What is drawn of each pane, in order."""
    if style.show == "difference":
        return _differences(comparison, style)
    results, keep = comparison.results, comparison.keep
    limits = _limits(results, style)
    return tuple(_map_panel(one, limit, keep, style) for one, limit in zip(results, limits, strict=True))


def _limits(shown: Sequence[PaneResult], style: Style) -> list[float]:
    """The weight at which each pane's colours end."""
    if style.scale == "own":
        return [upper_limit(one.map.values, style.clip) for one in shown]
    densities = [one.map.values.ravel() * one.map.grid.patches for one in shown]
    limit = upper_limit(np.concatenate(densities), style.clip)
    return [limit / one.map.grid.patches for one in shown]


def _panel(one: PaneResult, shown: AttentionMap, limit: float, stops: Stops) -> Panel:
    """A pane with this map, from 0 to a limit."""
    return Panel(
        one.name,
        title(one),
        pixels=one.pixels,
        grid=shown.grid,
        patches=one.trace.grid,
        values=shown.values,
        coloured=shown.values,
        high=limit,
        limit=limit,
        unit=shown.unit,
        patch=None if isinstance(one.query, str) else one.query,
        stops=stops,
        random=one.trace.random,
    )


def _map_panel(one: PaneResult, limit: float, keep: float, style: Style) -> Panel:
    coloured = values = one.map.values
    panel = _panel(one, one.map, limit, colour_stops(style.colours))
    if style.scale == "log":
        high = float(np.log10(limit))
        coloured = np.log10(np.maximum(values, 10 ** (high - DECADES))).astype(np.float32)
        panel = replace(panel, coloured=coloured, low=high - DECADES, high=high, log=True)
    if style.show == "mask":
        mask = mass_mask(values, keep)
        size = one.map.grid.patch_size
        outlines = tuple(((outline + 0.5) * size).astype(np.float32) for outline in contours(mask))
        panel = replace(panel, coloured=np.where(mask, coloured, np.float32(np.nan)), outlines=outlines)
    return panel


def _differences(comparison: Comparison, style: Style) -> tuple[Panel, ...]:
    """The reference's map, and beside it each other pane's difference to it, the scale centred on zero."""
    base = comparison.base
    others = {one.name: difference(one.map, base.map) for one in comparison.results if one is not base}
    ends = {name: upper_limit(np.abs(found.values) * found.grid.patches, style.clip) for name, found in others.items()}
    if style.scale != "own" and ends:
        ends = dict.fromkeys(ends, max(ends.values()))
    reference = _panel(base, base.map, upper_limit(base.map.values, style.clip), colour_stops(style.colours))
    return tuple(
        reference if one is base else _difference_panel(one, others[one.name], ends[one.name])
        for one in comparison.results
    )


def _difference_panel(one: PaneResult, found: AttentionMap, end: float) -> Panel:
    """end: of the scale, as density."""
    limit = end / found.grid.patches
    return replace(_panel(one, found, limit, diverging_stops()), low=-limit, difference=True, pixels=grey(one.pixels))


def grey(pixels: np.ndarray) -> np.ndarray:
    """A picture without its colours, which would be taken for the scale's (luma of ITU-R BT.601)."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma.round().astype(np.uint8)[..., None], 3, axis=-1)
