"""Ways from a run to a map, by name: a file and a row each."""

import difflib

from vit_engine.analysis.methods import column, pca, raw, similarity
from vit_engine.analysis.methods.method import RAW, Attribution, Method, Needs, Target
from vit_engine.errors import SpecError

__all__ = ["METHODS", "RAW", "TOKEN_METHODS", "Attribution", "Method", "Needs", "Target", "find_method"]

METHODS: tuple[Method, ...] = (  # in the order in which they are offered; RAW is the first
    raw.METHOD,
    column.METHOD,
)
# What tokens carry, not where they attend: for comparisons only.
TOKEN_METHODS: tuple[Method, ...] = (
    pca.METHOD,
    similarity.METHOD,
)


def find_method(name: str) -> Method:
    """The method of this name, of both kinds; SpecError where there is none, naming the nearest if one is near."""
    known = (*METHODS, *TOKEN_METHODS)
    for method in known:
        if method.name == name:
            return method
    names = [method.name for method in known]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    perhaps = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise SpecError(f"no method is called {name!r}{perhaps} There are: {', '.join(names)}.")
