"""Ways from a trace to a map, by name: a row each.

A method is a function of a trace, a layer, a head and a query; what it does not depend on it leaves alone
and says so, so that nobody is offered a choice that changes nothing.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from vit_engine.analysis.methods.raw import raw_attention
from vit_engine.errors import SpecError
from vit_engine.spec import Query
from vit_engine.trace import AttentionTrace
from vit_engine.trace.attention_map import AttentionMap

Compute = Callable[[AttentionTrace, int, int | str, Query], AttentionMap]


@dataclass(frozen=True)
class Method:
    """A way from a trace to a map: its name, a title, what it means, and the function (trace, layer, head, query).

    per_layer, per_head: whether the map depends on the layer, on the head.
    """

    name: str
    title: str
    description: str
    compute: Compute
    per_layer: bool = True
    per_head: bool = True


METHODS: tuple[Method, ...] = (
    Method(
        "raw",
        "Raw attention",
        "The weights that the query gives to the patches, softmax(q·kᵀ/√d), in one head or over all.",
        raw_attention,
    ),
)


def find_method(name: str) -> Method:
    """The method of this name; SpecError where there is none, naming the nearest if one is near."""
    for method in METHODS:
        if method.name == name:
            return method
    names = [method.name for method in METHODS]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    perhaps = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise SpecError(f"no method is called {name!r}{perhaps} There are: {', '.join(names)}.")
