"""What the colours of Compare mean, and the numbers under each pane."""

import math

import numpy as np

from dashboard.shell import method_control
from dashboard.shell.formatting import RANDOM_BADGE, colour_legend, of_what, plain
from vit_engine import find_method
from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import map_entropy
from vit_engine.analysis.methods import RAW
from vit_engine.report.colours import rgb_stops
from vit_engine.report.panels import Panel
from vit_engine.report.style import Style
from vit_engine.report.titles import names_raw, settings
from vit_engine.trace.attention_map import WEIGHT, Quantity, is_share


def legend(comparison: Comparison, drawn: tuple[Panel, ...], style: Style) -> str:
    """A colour scale for each kind of map, where it begins and where it ends, as HTML.

    Maps of several units, none of which is a scale of another, have one legend: each pane says where its colours end.
    """
    kinds: dict[tuple[Quantity, str, bool], list[Panel]] = {}
    for panel in _explained(drawn):
        kinds.setdefault((panel.quantity, panel.unit, panel.signed), []).append(panel)
    several = [kind for kind in kinds if _is_plain(kind[0], kind[2])]
    legends = [_legend(comparison, kinds[kind], style) for kind in kinds if len(several) < 2 or kind not in several]
    if len(several) > 1:
        legends.insert(0, _units_legend(kinds[several[0]][0], [unit for _, unit, _ in several]))
    return legends[0] if len(legends) == 1 else f'<div class="legends">{"".join(legends)}</div>'


def has_own_end(panel: Panel, drawn: tuple[Panel, ...], style: Style) -> bool:
    """Whether a pane's colours end where no legend says."""
    if style.scale == "own":
        return True
    units = {each.unit for each in _explained(drawn) if _is_plain(each.quantity, each.signed)}
    return len(units) > 1 and panel.unit in units


def _explained(drawn: tuple[Panel, ...]) -> list[Panel]:
    """Panels with a map; beside differences not the map that they are differences to."""
    shown = [panel for panel in drawn if not panel.message]
    subtracted = {panel.quantity for panel in shown if panel.difference}
    return [panel for panel in shown if panel.difference or panel.quantity not in subtracted]


def _is_plain(quantity: Quantity, signed: bool) -> bool:
    """Whether colours begin at nothing."""
    return quantity is Quantity.EXTENSIVE and not signed


def _units_legend(panel: Panel, units: list[str]) -> str:
    meaning = f"Values of different units do not compare, so each unit has its own scale: {', '.join(units)}"
    return colour_legend(panel.stops, "0", "each unit its own end", meaning)


def _legend(comparison: Comparison, panels: list[Panel], style: Style) -> str:
    """Of panels that show one kind of map."""
    panel = panels[0]
    if panel.quantity is Quantity.FITTED:
        return colour_legend(rgb_stops(), "1st", "3rd principal component", _PCA)
    if panel.quantity is Quantity.INTENSIVE:
        return colour_legend(panel.stops, *_similarity_ends(comparison, panel, style), _similarity(comparison, panel))
    even = len({each.grid.patches for each in panels if each.grid is not None}) > 1
    ends = _signed_ends if panel.signed and not panel.difference else _ends
    return colour_legend(
        panel.stops, *ends(comparison, panel, style, even=even), _meaning(comparison, panel, even=even)
    )


_PCA = (
    "The first three principal components of the tokens as red, green and blue: patches of one colour carry alike "
    "tokens. Layers of one model share their axes, so that a colour is the same direction in all of them"
)


_OTHER_PATCH = "Another patch: click it, then choose it in this pane's menu, under Target."


def _signed_ends(_: Comparison, panel: Panel, style: Style, *, even: bool) -> tuple[str, str]:
    if style.scale == "own":
        return "against", "for the target"
    return f"against −{_limit(panel, even=even, bare=True)}", f"for +{_limit(panel, of_what(panel.unit), even=even)}"


def _ends(comparison: Comparison, panel: Panel, style: Style, *, even: bool) -> tuple[str, str]:
    if panel.difference:
        base, own, limit = comparison.base.name, style.scale == "own", _limit(panel, even=even)
        return f"less than {base}{'' if own else f' −{limit}'}", f"{'' if own else f'+{limit} '}more than {base}"
    if style.scale == "own":
        return "0", "each pane its own end"
    what = of_what(panel.unit).removeprefix("of ") if even else of_what(panel.unit)
    return ("1/1000 of it" if style.scale == "log" else "0"), f"≥ {_limit(panel, what, even=even)}"


def _limit(panel: Panel, what: str = "", *, even: bool, bare: bool = False) -> str:
    """The value of the last colour.

    what: it is a value of. even: as one per area, for patches of several sizes. bare: without these words.
    """
    assert panel.grid is not None
    times = panel.limit * panel.grid.patches
    if is_share(panel.unit):
        words = [f"{times:.1f} × even" if even else f"{panel.limit:.2%}", what]
    else:
        number = f"{times:.3g}" if even else panel.written(panel.limit)
        words = [number, what, "per area" if even and not bare else ""]
    return " ".join(filter(None, words))


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


def _meaning(comparison: Comparison, panel: Panel, *, even: bool) -> str:
    if panel.difference:
        return "A cell's share of the map on all patches, minus its share in the reference, on a common grid"
    if even and panel.unit == WEIGHT:
        return f"Attention per area, as a multiple of even attention{_PER_AREA}"
    used = (find_method(name) for name in dict.fromkeys(one.pane.method for one in comparison.results))
    meaning = "; ".join(method_control.meaning(method) for method in used if method.unit == panel.unit)
    return f"{meaning}. Here per area, as {_multiple(panel)}{_PER_AREA}" if even else meaning


_PER_AREA = ": a patch's value compares only between patches of one size"


def _multiple(panel: Panel) -> str:
    return "a multiple of an even share" if is_share(panel.unit) else "a patch's value times the number of patches"


def numbers(comparison: Comparison, panel: Panel, style: Style, *, own_end: bool = False) -> str:
    """What a pane's map is in numbers, and where its colours end.

    own_end: whether no legend says that, as has_own_end() has it.
    """
    one = next(shown for shown in comparison.results if shown.name == panel.name)
    method = find_method(one.pane.method)
    named = method.name != RAW or names_raw(comparison)
    texts = [f"**{method.title}**", *map(plain, settings(one))] if named else []
    tokens = method.quantity is not Quantity.EXTENSIVE
    texts += _of_tokens(one, shared=bool(panel.fitted_to)) if tokens else _of_attention(one, comparison)
    if one.pane.query != "shared" and "query" in method.depends_on:
        texts.append("query CLS" if one.pane.query == "cls" else "query pinned")
    if not one.note:  # a map of zeros has no colours
        texts += _own_ends(one, panel, own_end=own_end, own=style.scale == "own")
    notes = [f"{panel.note[0].upper()}{panel.note[1:]}"] if panel.note else []
    notes += [_OTHER_PATCH] if one.target is not None and one.target.name.startswith("patch:") else []
    below = "".join(f"  \n:small[{note}]" for note in notes)
    return " · ".join(texts) + (RANDOM_BADGE if one.trace.random else "") + below


def _own_ends(one: PaneResult, panel: Panel, *, own_end: bool, own: bool) -> list[str]:
    """Where a pane's colours begin and end, where no legend says that. own: whether each pane has its own scale."""
    if find_method(one.pane.method).quantity is Quantity.EXTENSIVE:
        limit = _limit(panel, "" if panel.difference else of_what(panel.unit), even=False)
        return [f"colours end at {'±' if panel.signed else ''}{limit}"] if own_end or own else []
    if own and one.pca is None and not panel.difference:
        return [f"colours {panel.written(panel.low)} to {panel.written(panel.high)}".replace("-", "−")]
    return []


def _of_attention(one: PaneResult, comparison: Comparison) -> list[str]:
    """Its entropy, and how it differs from the reference's; of what is for and against, how much of each there is."""
    if one.diverging:
        values = one.map.values.astype(np.float64)
        return [f"for +{values.clip(min=0).sum():.3g}", f"against −{-values.clip(max=0).sum():.3g}"]
    if one.note:  # it says so, and why
        return []
    bits, share = map_entropy(one.map)
    nothing = "no attention on patches" if one.map.unit == WEIGHT else "zero everywhere"
    texts = [nothing] if math.isnan(bits) else [f"entropy {bits:.1f} bits", f"{share:.0%} of even"]
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
