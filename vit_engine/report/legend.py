"""What the colours of a comparison stand for, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from vit_engine.analysis.comparison import Comparison
from vit_engine.analysis.methods import find_method
from vit_engine.report.colours import Stops
from vit_engine.report.panels import Panel
from vit_engine.report.style import Style

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


def legend_of(panel: Panel) -> Legend:
    assert panel.grid is not None
    unit = f"{panel.unit} of a patch of {panel.grid.patch_size} px{', logarithmic' if panel.log else ''}"
    high = f"{_share(panel.limit)} or more"
    if panel.difference:
        return Legend(f"-{_share(panel.limit)} or less", "0", f"+{high}", unit, panel.stops)
    return Legend(f"{_share(10**panel.low)} or less" if panel.log else "0", "", high, unit, panel.stops)


def legends(drawn: Sequence[Panel]) -> tuple[Legend | None, ...]:
    """One a pane; None where there is no map."""
    return tuple(None if panel.coloured is None else legend_of(panel) for panel in drawn)


def common_legend(drawn: Sequence[Panel]) -> Legend | None:
    """The legend of all panes; None where they differ, as those of other patch sizes do: a weight is one patch's."""
    found = [legend for legend in legends(drawn) if legend is not None]
    return found[0] if found and all(legend == found[0] for legend in found) else None


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
    role = " or ".join(dict.fromkeys(find_method(one.pane.method).role for one in comparison.results))
    height, width = comparison.frame
    return f"{what[0].upper()}{what[1:]} · {role}: {query} · {_SCALES[scale]} · {height} × {width} px"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"
