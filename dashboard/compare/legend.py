"""What the colours of Compare mean, and the numbers under each pane."""

import math

import numpy as np

from dashboard.shell import method_control
from dashboard.shell.formatting import RANDOM_BADGE, colour_legend
from vit_engine import find_method
from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import map_entropy
from vit_engine.analysis.methods import RAW
from vit_engine.report.colours import rgb_stops
from vit_engine.report.panels import Panel
from vit_engine.report.style import Style
from vit_engine.trace.attention_map import Quantity


def legend(comparison: Comparison, drawn: tuple[Panel, ...], style: Style) -> str:
    """A colour scale for each kind of map, where it begins and where it ends, as HTML."""
    kinds: dict[Quantity, list[Panel]] = {}
    for panel in drawn:
        if not panel.message:
            kinds.setdefault(panel.quantity, []).append(panel)
    legends = [_legend(comparison, panels, style) for panels in kinds.values()]
    return legends[0] if len(legends) == 1 else f'<div class="legends">{"".join(legends)}</div>'


def _legend(comparison: Comparison, panels: list[Panel], style: Style) -> str:
    """Of panels that show one kind of map."""
    compared = [panel for panel in panels if panel.difference] or panels
    panel = compared[0]
    if panel.quantity is Quantity.FITTED:
        return colour_legend(rgb_stops(), "1st", "3rd principal component", _PCA)
    if panel.quantity is Quantity.INTENSIVE:
        return colour_legend(panel.stops, *_similarity_ends(comparison, panel, style), _similarity(comparison, panel))
    even = len({each.grid.patches for each in compared if each.grid is not None}) > 1
    low, high = _ends(comparison, panel, style, even=even)
    return colour_legend(panel.stops, low, high, _meaning(comparison, panel.difference, even=even))


_PCA = (
    "The first three principal components of the tokens as red, green and blue: patches of one colour carry alike "
    "tokens. Layers of one model share their axes, so that a colour is the same direction in all of them"
)


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


def _similarity_ends(comparison: Comparison, panel: Panel, style: Style) -> tuple[str, str]:
    base, own = comparison.base.name, style.scale == "own"
    low, high = (panel.written(value).replace("-", "−") for value in (panel.low, panel.high))
    if panel.difference:
        return f"less than {base}{'' if own else f' {low}'}", f"{'' if own else f'+{high} '}more cosine than {base}"
    return ("lowest", "highest cosine of each pane") if own else (f"≤ {low}", f"≥ {high} cosine")


def _similarity(comparison: Comparison, panel: Panel) -> str:
    if panel.difference:
        return f"Cosine similarity to the query, minus that in {comparison.base.name}, on a common grid"
    return method_control.meaning(find_method("similarity"))


def _meaning(comparison: Comparison, difference: bool, *, even: bool) -> str:
    if difference:
        return "A cell's share of the attention on all patches, minus its share in the reference, on a common grid"
    if even:
        return (
            "Attention per area, as a multiple of even attention: a weight compares only between patches of one size, "
            "so the shared scale is of weight per area"
        )
    used = (find_method(name) for name in dict.fromkeys(one.pane.method for one in comparison.results))
    return "; ".join(method_control.meaning(method) for method in used if method.quantity is Quantity.EXTENSIVE)


def numbers(comparison: Comparison, panel: Panel, style: Style) -> str:
    """What a pane's map is in numbers, and where its colours end where they end at its own."""
    one = next(shown for shown in comparison.results if shown.name == panel.name)
    method = find_method(one.pane.method)
    texts = [] if method.name == RAW else [method.title]
    tokens = method.quantity is not Quantity.EXTENSIVE
    texts += _of_tokens(one, shared=bool(panel.fitted_to)) if tokens else _of_attention(one, comparison)
    if one.pane.query != "shared" and "query" in method.depends_on:
        texts.append("query CLS" if one.pane.query == "cls" else "query pinned")
    if style.scale == "own" and method.quantity is Quantity.EXTENSIVE:
        texts.append(f"colours end at {panel.limit:.2%}")
    elif style.scale == "own" and one.pca is None and not panel.difference:
        texts.append(f"colours {panel.written(panel.low)} to {panel.written(panel.high)}".replace("-", "−"))
    note = f"  \n:small[{panel.note[0].upper()}{panel.note[1:]}]" if panel.note else ""
    return " · ".join(texts) + (RANDOM_BADGE if one.trace.random else "") + note


def _of_attention(one: PaneResult, comparison: Comparison) -> list[str]:
    """Its entropy, and how it differs from the reference's."""
    bits, share = map_entropy(one.map)
    texts = ["no attention on patches"] if math.isnan(bits) else [f"entropy {bits:.1f} bits", f"{share:.0%} of even"]
    _, base = map_entropy(comparison.base.map)
    if one is not comparison.base and not math.isnan(share - base):
        texts.append(f"Δ {round(100 * (share - base)):+d} points".replace("-", "−"))
    return texts


def _of_tokens(one: PaneResult, *, shared: bool) -> list[str]:
    """How alike the patches are to the query, or how much of them the colours show. shared: with other panes."""
    if one.pca is not None:
        return [f"three {'shared ' if shared else ''}components explain {sum(one.pca.explained):.0%}"]
    values = one.map.values.astype(np.float64)
    own = np.zeros(values.shape, dtype=bool)
    if not isinstance(one.query, str):
        own[one.query] = True
    elsewhere = "" if isinstance(one.query, str) else " elsewhere"
    texts = [f"mean cosine {values.mean():.2f}"]
    if not own.all():
        texts.append(f"largest {values[~own].max():.2f}{elsewhere}")
    return [text.replace("-", "−") for text in texts]
