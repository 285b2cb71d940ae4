"""What a comparison and its panes are of, in words."""

from collections.abc import Iterable

from vit_engine.analysis.comparison import Comparison, Pane, PaneResult, Place
from vit_engine.analysis.methods import RAW, find_method
from vit_engine.grid import token_name
from vit_engine.report.style import Style
from vit_engine.trace.attention_map import WEIGHT, Quantity

_OWN = "each pane its own colour scale"
_ALL = "one colour scale for all panes"
_SCALES = {"shared": _ALL, "own": _OWN, "log": f"{_ALL}, logarithmic"}


def names_raw(comparison: Comparison) -> bool:
    """Whether raw attention is named, since it is the method of some panes only."""
    methods = {one.pane.method for one in comparison.results}
    return RAW in methods and len(methods) > 1


def title(one: PaneResult, *, named: bool = False) -> str:
    """What a pane is of. named: also where it is raw attention, which goes without saying among its like."""
    method = find_method(one.pane.method)
    head = f"head {one.pane.head}" if isinstance(one.pane.head, int) else f"{one.pane.head} of heads"
    words = {"layer": f"layer {one.pane.layer}", "head": head, "query": token_name(one.query)}
    of_method = [method.title] if named or method.name != RAW else []
    chosen = [text for choice, text in words.items() if choice in method.depends_on]
    return " · ".join([one.trace.spec.title, *of_method, *chosen, *settings(one)])


def settings(one: PaneResult) -> list[str]:
    """What else was chosen: the options that are not as by default, and the target."""
    titles = {option.name: option.title for option in find_method(one.pane.method).options}
    chosen = [f"{titles[name][0].lower()}{titles[name][1:]} {value}" for name, value in one.pane.options]
    return [*chosen, f"target: {one.target.label}"] if one.target else chosen


def roles(panes: Iterable[Pane]) -> str:
    """What the chosen token is to their methods: "query", "key", or "query or key"; empty where none depends on it."""
    methods = (find_method(pane.method) for pane in panes)
    return " or ".join(dict.fromkeys(method.role for method in methods if "query" in method.depends_on))


def subjects(panes: Iterable[Pane]) -> str:
    """What panes show: "attention", "PCA of tokens", "attention and token similarity"."""
    methods = (find_method(pane.method) for pane in panes)
    phrases = ("attention" if method.unit == WEIGHT else method.phrase for method in methods)
    *first, last = dict.fromkeys(phrases)
    return f"{', '.join(first)} and {last}" if first else last


def caption(comparison: Comparison, style: Style) -> str:
    """What all panes have in common."""
    panes = [one.pane for one in comparison.results]
    subject = subjects(panes)
    words = {
        "map": subject,
        "difference": f"differences to {comparison.base.name}",
        "mask": f"the patches that hold {100 * comparison.keep:g} % of "
        f"{'the attention' if subject == 'attention' else 'each map'}",
    }[style.show]
    height, width = comparison.frame
    query = [f"{role}: {place_words(comparison.point)}"] if (role := roles(panes)) else []
    return " · ".join(
        [f"{words[0].upper()}{words[1:]}", *query, *_scale_words(comparison, style), f"{height} × {width} px"]
    )


def place_words(place: Place | None) -> str:
    """Of the shared query."""
    if place is None:
        return "the CLS token"
    if len(place) == 2:
        return f"the point at {place[0]:.0%} of the height, {place[1]:.0%} across"
    top, left, bottom, right = place
    return f"the region {top:.0%} to {bottom:.0%} of the height, {left:.0%} to {right:.0%} across"


def _scale_words(comparison: Comparison, style: Style) -> list[str]:
    """How colours are shared; nothing where all panes are colours by themselves."""
    drawn = [one for one in comparison.results if one.map.quantity is not Quantity.FITTED]
    if not drawn:
        return []
    if style.show == "difference":  # of shares, or of one unit; never logarithmic
        return [_SCALES["shared" if style.scale == "log" else style.scale]]
    units = {one.map.unit for one in drawn}
    if style.scale == "own" or len(units) == 1:
        return [_SCALES[style.scale]]
    several = f"one colour scale for the panes of one unit{', logarithmic' if style.scale == 'log' else ''}"
    return [several if len(units) < len(drawn) else f"{_OWN}, for their units differ"]
