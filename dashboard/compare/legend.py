"""What the colours of Compare mean, and the numbers under each pane."""

import math

from dashboard.shell import method_control
from dashboard.shell.formatting import RANDOM_BADGE, colour_legend
from vit_engine import find_method
from vit_engine.analysis.comparison import Comparison
from vit_engine.analysis.maps.agreement import map_entropy
from vit_engine.analysis.methods import RAW
from vit_engine.report.panels import Panel
from vit_engine.report.style import Style


def legend(comparison: Comparison, drawn: tuple[Panel, ...], style: Style) -> str:
    """The colour scale, where it begins and where it ends, as HTML."""
    panels = [panel for panel in drawn if not panel.message]
    compared = [panel for panel in panels if panel.difference] or panels
    panel = compared[0]
    even = len({each.grid.patches for each in compared if each.grid is not None}) > 1
    low, high = _ends(comparison, panel, style, even=even)
    return colour_legend(panel.stops, low, high, _meaning(comparison, panel.difference, even=even))


def _ends(comparison: Comparison, panel: Panel, style: Style, *, even: bool) -> tuple[str, str]:
    base = comparison.base.name
    assert panel.grid is not None
    limit = f"{panel.limit * panel.grid.patches:.1f} × even" if even else f"{panel.limit:.2%}"
    if panel.difference:
        own = style.scale == "own"
        return f"less than {base}{'' if own else f' −{limit}'}", f"{'' if own else f'+{limit} '}more than {base}"
    if style.scale == "own":
        return "0", "each pane its own end"
    return ("1/1000 of it" if style.scale == "log" else "0"), f"≥ {limit}"


def _meaning(comparison: Comparison, difference: bool, *, even: bool) -> str:
    if difference:
        return "A cell's share of the attention on all patches, minus its share in the reference, on a common grid"
    if even:
        return (
            "Attention per area, as a multiple of even attention: a weight compares only between patches of one size, "
            "so the shared scale is of weight per area"
        )
    used = dict.fromkeys(one.pane.method for one in comparison.results)
    return "; ".join(method_control.meaning(find_method(name)) for name in used)


def numbers(comparison: Comparison, panel: Panel, style: Style) -> str:
    """A pane's entropy, how it differs from the reference's, and where its colours end where they end at its own."""
    one = next(shown for shown in comparison.results if shown.name == panel.name)
    bits, share = map_entropy(one.map)
    texts = ["no attention on patches"] if math.isnan(bits) else [f"entropy {bits:.1f} bits", f"{share:.0%} of even"]
    _, base = map_entropy(comparison.base.map)
    if one is not comparison.base and not math.isnan(share - base):
        texts.append(f"Δ {round(100 * (share - base)):+d} points".replace("-", "−"))
    if one.pane.method != RAW:
        texts.insert(0, find_method(one.pane.method).title)
    if one.pane.query != "shared":
        texts.append("query CLS" if one.pane.query == "cls" else "query pinned")
    if style.scale == "own":
        texts.append(f"colours end at {panel.limit:.2%}")
    return " · ".join(texts) + (RANDOM_BADGE if one.trace.random else "")
