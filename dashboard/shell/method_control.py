"""The choice of a method, and what its maps are of in words."""

from dashboard import keys
from dashboard.links import widgets
from dashboard.shell.controls import selectbox
from vit_engine import Method
from vit_engine.analysis import methods

_HINTS = {"query": "where *it* attends", "key": "what attends to *it*"}  # by what the chosen token is


def settle(*, per_head: bool = False) -> None:
    """Keep to a method that there is. per_head: one with a map of each head, so that heads can be compared."""
    if widgets.value_of(keys.METHOD) not in _names(per_head=per_head):
        widgets.give(keys.METHOD, methods.RAW)


def _names(*, per_head: bool) -> list[str]:
    return [method.name for method in methods.METHODS if method.per_head or not per_head]


def show(*, per_head: bool = False) -> None:
    """The select box, where there is something to choose; per_head as in settle()."""
    if len(_names(per_head=per_head)) > 1:
        select(keys.METHOD, per_head=per_head)


def select(key: str, *, per_head: bool = False, tokens: bool = False) -> None:
    """The choice of a method under this key, also where there is only one. tokens: with what tokens carry."""
    offered = [method for method in methods.METHODS if method.name in _names(per_head=per_head)]
    offered += methods.TOKEN_METHODS if tokens else ()
    titles = {each.name: each.title for each in offered}
    described = "\n\n".join(f"**{each.title}**: {each.description} :small[{each.source}]" for each in offered)
    selectbox("Method", list(titles), key=key, format_func=titles.__getitem__, help=described)


def scope(method: Method) -> str:
    """What a method does not depend on, as a sentence: "Relevance is of all layers and heads."; or empty."""
    everything = {"layer": "layers", "head": "heads", "query": "queries"}
    *first, last = [""] + [plural for name, plural in everything.items() if name not in method.depends_on]
    all_of = f"{', '.join(first[1:])} and {last}" if first[1:] else last
    return f"{method.title} is of all {all_of}." if all_of else ""


def meaning(method: Method) -> str:
    """What a value of a map is."""
    return f"{method.unit[0].upper()}{method.unit[1:]}: {method.value}"


def token(method: Method, patch: tuple[int, int] | None, *, bold: str = "") -> str:
    """Which token was chosen, and as what: "Query: CLS token"; empty where a method depends on none."""
    if "query" not in method.depends_on:
        return ""
    name = "CLS token" if patch is None else f"patch row {patch[0]}, col {patch[1]}"
    return f"{method.role.capitalize()}: {bold}{name}{bold}"


def hint(method: Method) -> str:
    """What a click on a patch shows."""
    return f"click a patch to see {_HINTS[method.role]}"
