"""From a comparison to what is drawn of it, a panel a pane: colours' values, limits and legends, marks and outlines.

Everything is in pixels of the scaled picture, which all panes share, whatever their patch sizes: so they can
be zoomed together. A weight is one patch's; the same weight on a patch four times as large is a quarter of the
density. A scale that is shared is therefore one of density, and ends at another weight in each patch size. A similarity
is the same on a patch of any size, and so is its scale. Principal components are colours by themselves. Panes share a
scale only where their values have one unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import difference, no_difference
from vit_engine.analysis.maps.mask import contours, mass_mask
from vit_engine.grid import Patches, TokenGrid
from vit_engine.report.colours import Stops, colour_stops, diverging_stops, limits, rgb_stops, upper_limit
from vit_engine.report.scales import Ends, density, shared_ends
from vit_engine.report.style import Style
from vit_engine.report.titles import names_raw, title
from vit_engine.trace.attention_map import AttentionMap, Quantity, is_share

DECADES = 3  # of a logarithmic scale
WARNING = "RANDOM WEIGHTS: this model has not been trained"


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
    patch: Patches | None = None  # of the query in `patches`, or a region of them; None for the CLS token
    outlines: tuple[np.ndarray, ...] = ()  # float32 (points, 2), (y, x) in pixels
    dashed: tuple[np.ndarray, ...] = ()  # more of them, of an object that the map is held to
    boxed: tuple[Patches, ...] = ()  # patches with a thin edge, in `patches`
    stops: Stops = field(default_factory=list)
    difference: bool = False  # whether the values are differences
    signed: bool = False  # whether the colours are centred on zero, as of differences and of what is for and against
    log: bool = False  # whether coloured, low and high are decimal logarithms
    random: bool = False  # whether the model's weights are
    quantity: Quantity = Quantity.EXTENSIVE  # what the values are
    fitted_to: str = ""  # of principal components: the panes that they are fitted to, where it is not this one alone
    note: str = ""  # why it is not drawn as the others are

    @property
    def legend(self) -> Legend | None:
        """What its colours stand for, in words; None where there is no map."""
        if self.coloured is None or self.grid is None:
            return None
        if self.quantity is Quantity.FITTED:
            fitted = f", fitted to {self.fitted_to}" if self.fitted_to else ""
            return Legend("first", "second", "third", f"principal component{fitted}", rgb_stops())
        unit, limit = self.unit, self.written(self.limit)
        if self.quantity is Quantity.EXTENSIVE:
            unit = f"{unit} of a patch of {self.grid.patch_size} px{', logarithmic' if self.log else ''}"
        if self.difference or self.signed:
            return Legend(f"-{limit} or less", "0", f"+{limit} or more", unit, self.stops)
        low = f"{self.written(10**self.low if self.log else self.low)} or less"
        begins = self.log or self.quantity is Quantity.INTENSIVE
        return Legend(low if begins else "0", "", f"{limit} or more", unit, self.stops)

    def written(self, value: float) -> str:
        """A value of the colours in words: a share in per cent, a similarity as finely as its scale asks for."""
        if is_share(self.unit):
            return f"{100 * value:.3g} %"
        if self.quantity is Quantity.EXTENSIVE:
            return f"{value:.3g}"
        return f"{value:.{2 if self.high - self.low > 0.05 else 4}f}"


def common_legend(drawn: Sequence[Panel]) -> Legend | None:
    """The legend of all panes; None where they differ, as those of other patch sizes do: a weight is one patch's."""
    found = [panel.legend for panel in drawn if panel.legend is not None]
    return found[0] if found and all(legend == found[0] for legend in found) else None


def panels(comparison: Comparison, style: Style) -> tuple[Panel, ...]:
    """What is drawn of each pane, in order."""
    if style.show == "difference":
        drawn = _differences(comparison, style)
    else:
        drawn = tuple(_own_maps(comparison, comparison.results, style).values())
    if not names_raw(comparison):
        return drawn
    pairs = zip(comparison.results, drawn, strict=True)
    return tuple(replace(panel, title=title(one, named=True)) for one, panel in pairs)


def _own_maps(comparison: Comparison, results: Sequence[PaneResult], style: Style) -> dict[str, Panel]:
    """Maps as they are, by the pane's name; scales are shared by what can be: maps of one quantity and one unit."""
    shared = shared_ends(results, style.clip)
    drawn = {}
    for one in results:
        ends = shared[one.name] if style.scale != "own" else shared_ends([one], style.clip)[one.name]
        panel = _own_map(one, ends, comparison, style)
        drawn[one.name] = replace(panel, note=f"zero everywhere. {one.note}") if one.note else panel
    return drawn


def _own_map(one: PaneResult, ends: Ends, comparison: Comparison, style: Style) -> Panel:
    """ends: as density, of what is extensive."""
    low, high = (end / density(one.map) for end in ends)
    if one.pca is not None:
        return _pca_panel(one, comparison, style)
    if one.diverging:
        panel = _panel(one, one.map, low, high, diverging_stops())
        return replace(panel, signed=True, pixels=grey(one.pixels), note=_not_drawn(style, "values for and against"))
    if one.map.quantity is Quantity.EXTENSIVE:
        return _attention_panel(one, high, comparison.keep, style)
    panel = _panel(one, one.map, low, high, colour_stops(style.colours))
    return replace(panel, note=_not_drawn(style, "similarities"))


def _not_drawn(style: Style, values: str) -> str:
    """Why a map is drawn as it is, whatever the view; empty where all maps are."""
    if style.show == "mask":
        return f"no mask: {values} have no mass"
    return f"{values} have no logarithmic scale" if style.scale == "log" and style.show == "map" else ""


def _panel(one: PaneResult, shown: AttentionMap, low: float, high: float, stops: Stops) -> Panel:
    """A pane with this map, between two limits."""
    return Panel(
        one.name,
        title(one),
        pixels=one.pixels,
        grid=shown.grid,
        patches=one.trace.grid,
        values=shown.values,
        coloured=shown.values,
        low=low,
        high=high,
        limit=high,
        unit=shown.unit,
        quantity=shown.quantity,
        patch=None if isinstance(one.query, str) else one.query,
        stops=stops,
        random=one.trace.random,
    )


def _attention_panel(one: PaneResult, limit: float, keep: float, style: Style) -> Panel:
    coloured = values = one.map.values
    panel = _panel(one, one.map, 0.0, limit, colour_stops(style.colours))
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


def _pca_panel(one: PaneResult, comparison: Comparison, style: Style) -> Panel:
    """The colours of all three components over a picture without its own; hover tells the first one."""
    assert one.pca is not None
    rgba = np.concatenate([one.pca.rgb, np.ones((*one.map.grid.shape, 1), np.float32)], axis=-1)
    panel = _panel(one, one.map, *limits(one.map.values, style.clip), colour_stops(style.colours))
    return replace(
        panel,
        pixels=grey(one.pixels),
        image=np.round(255 * rgba).astype(np.uint8),
        fitted_to=_fitted_to(one, comparison),
        note=_not_drawn(replace(style, scale="own"), "principal components"),
    )


def _fitted_to(one: PaneResult, comparison: Comparison) -> str:
    """The panes whose components are on the same axes: "A, B, D together"; empty for one layer alone."""
    alike = [each for each in comparison.results if each.pca is not None and each.pane.model == one.pane.model]
    several = len({each.pane.layer for each in alike}) > 1
    return f"{', '.join(each.name for each in alike)} together" if several else ""


def _differences(comparison: Comparison, style: Style) -> tuple[Panel, ...]:
    """The reference's map, and beside it each other pane's difference to it, the scale centred on zero.

    A pane that cannot be subtracted shows its own map, and says why.
    """
    base = comparison.base
    others = [one for one in comparison.results if one is not base]
    problems = {one.name: problem for one in others if (problem := no_difference(one.map, base.map))}
    found = {one.name: difference(one.map, base.map) for one in others if one.name not in problems}
    ends = {name: upper_limit(np.abs(each.values) * density(each), style.clip) for name, each in found.items()}
    if style.scale != "own" and ends:
        ends = dict.fromkeys(ends, max(ends.values()))
    drawn = _own_maps(comparison, [base], replace(style, scale="own"))
    linear = replace(style, scale="shared") if style.scale == "log" else style
    for name, panel in _own_maps(comparison, [one for one in others if one.name in problems], linear).items():
        drawn[name] = replace(panel, note=f"no difference to {base.name}: {problems[name]}")
    for one in others:
        if one.name in found:
            drawn[one.name] = _difference_panel(one, found[one.name], ends[one.name])
    return tuple(drawn[one.name] for one in comparison.results)


def _difference_panel(one: PaneResult, found: AttentionMap, end: float) -> Panel:
    """end: of the scale, as density."""
    limit = end / density(found)
    panel = _panel(one, found, -limit, limit, diverging_stops())
    return replace(panel, difference=True, signed=True, pixels=grey(one.pixels))


def grey(pixels: np.ndarray) -> np.ndarray:
    """A picture without its colours, which would be taken for the scale's (luma of ITU-R BT.601)."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma.round().astype(np.uint8)[..., None], 3, axis=-1)
