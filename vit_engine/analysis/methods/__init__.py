"""Ways from a run to a map, by name: a file and a row each."""

import difflib
from collections.abc import Sequence

from vit_engine.analysis.methods import (
    attention_gradient,
    column,
    grad_cam,
    gradient_rollout,
    input_gradient,
    integrated_gradients,
    legrad,
    pca,
    raw,
    relevance,
    rollout,
    similarity,
    value_weighted,
)
from vit_engine.analysis.methods.method import RAW, Attribution, Method, Needs
from vit_engine.analysis.methods.options import Option, Value
from vit_engine.errors import SpecError

__all__ = ["METHODS", "RAW", "TOKEN_METHODS", "Attribution", "Method", "Needs", "Option", "Value", "find_method"]

METHODS: tuple[Method, ...] = (  # in the order in which they are offered; RAW is the first
    raw.METHOD,
    column.METHOD,
    value_weighted.METHOD,
    rollout.METHOD,
    gradient_rollout.METHOD,
    relevance.METHOD,
    attention_gradient.METHOD,
    legrad.METHOD,
    grad_cam.METHOD,
    input_gradient.METHOD,
    integrated_gradients.METHOD,
)
# What tokens carry, not where they attend: for comparisons only.
TOKEN_METHODS: tuple[Method, ...] = (
    pca.METHOD,
    similarity.METHOD,
)


def find_method(name: str) -> Method:
    """The method of this name or title, of both kinds, whatever its case and punctuation: "Grad-CAM" is "grad_cam".

    SpecError where there is none, naming the nearest if one is near.
    """
    return method_among((*METHODS, *TOKEN_METHODS), name)


def method_among(known: Sequence[Method], name: str) -> Method:
    """find_method() among these methods alone, for what cannot do all of them."""
    for method in known if isinstance(name, str) else ():
        if _plain(name) in {_plain(method.name), _plain(method.title)}:
            return method
    names = [method.name for method in known]
    nearest = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    perhaps = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise SpecError(f"no method is called {name!r}{perhaps} There are: {', '.join(names)}.")


def _plain(name: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(filter(str.isalnum, name.casefold()))
