"""What panes are called in tables, and what has to be said of several at once. No Streamlit."""

from collections.abc import Hashable, Iterable, Mapping

from dashboard.links.targets import MIDDLE, POINT
from vit_engine import find_method
from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.trace.targets import Target


def pane_titles(comparison: Comparison) -> dict[str, str]:
    """By the pane's letter: "C · relevance" where methods differ, else the letter."""
    phrases = {one.name: find_method(one.pane.method).phrase for one in comparison.results}
    several = len(set(phrases.values())) > 1
    return {name: f"{name} · {phrase}" if several else name for name, phrase in phrases.items()}


def listed(names: Iterable[str]) -> str:
    """ "A", "A and C", "A, B and C"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def grouped(words: Mapping[str, str]) -> str:
    """Names that share their words, together: "A and C: class 1, ring; B: norm of the image embedding"."""
    names: dict[str, list[str]] = {}
    for name, text in words.items():
        names.setdefault(text, []).append(name)
    return "; ".join(f"{listed(alike)}: {text}" for text, alike in names.items())


def different_targets(comparison: Comparison) -> str:
    """That panes explain different targets, and what to do about it; empty where all explain the same one."""
    explained = {one: one.target for one in comparison.results if one.target is not None}
    if len({_known_by(one, target) for one, target in explained.items()}) < 2:
        return ""
    targets = grouped({one.name: target.label for one, target in explained.items()})
    several = len({one.pane.model for one in explained}) > 1
    offered = '; every model has "Similarity to a patch"' if several else ""
    return (
        f"These panes explain different targets ({targets}), so their agreement is no measure of methods or models. "
        f"Choose one target in the panes' menus{offered}."
    )


def _known_by(one: PaneResult, target: Target) -> Hashable:
    """What tells a pane's target from others: a point of the picture is another patch in another grid."""
    if not target.name.startswith("patch:"):
        return target.label
    return one.pane.target if one.pane.target.startswith(POINT) else MIDDLE


def different_scores(scores: Mapping[str, str]) -> str:
    """That panes were measured by different scores; empty where all have the same. scores: in words, by the pane."""
    if len(set(scores.values())) < 2:
        return ""
    return f"Scores differ, and only panes of the same score can be ranked. {grouped(scores)}."


def shared_columns(comparison: Comparison, groups: Mapping[str, tuple[str, ...]], *, by_layer: bool) -> str:
    """Why several panes have one column of head statistics; empty where each has its own.

    groups: the panes that share one, by the pane that stands for them.
    """
    alike = [names for names in groups.values() if len(names) > 1]
    if not alike:
        return ""
    which = "; ".join(map(listed, alike)) if len(groups) > 1 else "All panes"
    place = "one model and layer" if by_layer else "one model"
    methods = {one.pane.method for one in comparison.results}
    raw = ", and the statistics are of raw attention, whatever the method" if len(methods) > 1 else ""
    return f"{which} share a column: they are of {place}{raw}."
