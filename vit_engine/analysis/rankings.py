"""Which head to look at: rankings of a trace's heads, with reasons in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import entr

from vit_engine.analysis.methods import RAW, Method
from vit_engine.analysis.run import Run, Traced
from vit_engine.analysis.similarity import Head, HeadSimilarity, comparing_heads, head_similarity
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.trace import AttentionTrace
from vit_engine.trace.attention_map import WEIGHT
from vit_engine.trace.targets import Target

REDUNDANT_BITS = 0.05  # no two heads of a redundant group are further apart
NAMED = 8  # heads of a group that its reason names
# Of attention, by what the chosen token is: which heads are focused, and what is said of one.
_FOCUS = {
    "query": ("The query's attention is shared by the fewest patches", "Shares its attention among"),
    "key": ("The key's attention comes from the fewest patches", "Draws its attention from"),
}
_FOCUS_OF_MAPS = ("The map lies on the fewest patches", "Lies on")  # of methods whose values are no attention weights


@dataclass(frozen=True)
class RankedHead:
    """A head's place in a ranking: its value with its unit, and the reason in words.

    group: where the ranking is of groups, all heads of this one; layer and head are then its most typical.
    """

    layer: int
    head: int
    value: float
    unit: str
    reason: str
    group: tuple[Head, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """Heads in order, the first the most; entries are empty where no head can be ranked so.

    name: "focused", "local", "global", "unlike" or "redundant". meaning: what is ranked, a sentence.
    """

    name: str
    title: str
    meaning: str
    entries: tuple[RankedHead, ...]


def rank_heads(
    run: Traced,
    *,
    query: Query = "cls",
    method: str = RAW,
    target: Target | int | str | None = None,
    count: int = 5,
    redundant_bits: float = REDUNDANT_BITS,
    similarity: HeadSimilarity | None = None,
) -> tuple[Ranking, ...]:
    """The heads that are most focused, most local, most global, most unlike their layer's, and redundant groups.

    run: or a trace alone. query: as in AttentionTrace.rows(); it and method, a name in METHODS, are of all but the
    distances, which are means over all patch queries; without them, local and global have no entries. count: how many
    each ranking names at most. redundant_bits: 0..1. similarity: of all traced heads for this query and method, where
    it is known already. Equal heads stand by layer and number. SpecError for a query, method or number that cannot be.
    """
    if count < 1:
        raise SpecError(f"count must be at least 1; got {count}.")
    run, asked = Run.of(run), comparing_heads(method)
    layers = sorted(run.trace.layers)
    if similarity is None:
        similarity = head_similarity(run, query=query, method=method, target=target)
    if similarity.heads != tuple(product(layers, range(run.trace.spec.heads))):
        raise SpecError("similarity must be of all traced heads: take head_similarity(trace, query=query).")
    maps = (asked.distributions(run, layer=layer, query=query, target=target) for layer in layers)
    nats = np.stack([entr(each).sum(axis=-1) for each in maps])
    entries = (
        _focused(run.trace, nats, count, _focus(asked)),
        _by_distance(run.trace, count, sign=1),
        _by_distance(run.trace, count, sign=-1),
        _unlike(similarity, count),
        _redundant(similarity, count, redundant_bits),
    )
    titles = _titles(asked, redundant_bits)
    return tuple(Ranking(*title, tuple(ranked)) for title, ranked in zip(titles, entries, strict=True))


def _focus(method: Method) -> tuple[str, str]:
    """Which of this method's heads are focused, and what is said of one."""
    return _FOCUS[method.role] if method.unit == WEIGHT else _FOCUS_OF_MAPS


def _titles(method: Method, redundant_bits: float) -> tuple[tuple[str, str, str], ...]:
    return (
        ("focused", "Most focused", f"{_focus(method)[0]}: lowest entropy over patches, over its largest."),
        ("local", "Most local", "Patches attend to what is near them: smallest mean attention distance."),
        ("global", "Most global", "Patches attend to what is far from them: largest mean attention distance."),
        (
            "unlike",
            "Most unlike its neighbours",
            f"The {method.role}'s map differs most from those of the layer's other heads: mean Jensen-Shannon "
            "divergence.",
        ),
        (
            "redundant",
            "Redundant groups",
            f"Heads whose maps are the same but for {redundant_bits:g} bits, any two of them: one stands for all.",
        ),
    )


def _focused(trace: AttentionTrace, nats: np.ndarray, count: int, focus: tuple[str, str]) -> Iterator[RankedHead]:
    layers, patches = sorted(trace.layers), trace.grid.patches
    if patches == 1:
        return  # nothing to share out
    shares = nats / math.log(patches)
    for row, head in _first(shares, count):
        shared, mean = math.exp(nats[row, head]), shares[row].mean()
        reason = (
            f"{focus[1]} {shared:.1f} of {patches:,} patches in effect, {_percent(shares[row, head])} "
            f"of the largest entropy; the layer's mean is {_percent(mean)}."
        )
        yield RankedHead(layers[row], head, float(shares[row, head]), "0..1", reason)


def _by_distance(trace: AttentionTrace, count: int, *, sign: int) -> Iterator[RankedHead]:
    """By mean attention distance, ascending for sign 1, descending for −1."""
    table = trace.head_statistics
    if table is None or table.distance is None:
        return
    rows = np.argsort(table.layers)
    layers, pixels = [table.layers[row] for row in rows], table.distance[rows].astype(np.float64)
    for row, head in _first(sign * pixels, count):
        value, mean = pixels[row, head], pixels[row].mean()
        reason = (
            f"Attends {value:.0f} px away on average, {_percent(value / trace.grid.diagonal)} of the diagonal; "
            f"the layer's mean is {mean:.0f} px."
        )
        yield RankedHead(layers[row], head, float(value), "px", reason)


def _unlike(similarity: HeadSimilarity, count: int) -> Iterator[RankedHead]:
    layers = sorted({layer for layer, _ in similarity.heads})
    means = np.stack([similarity.mean_to([each for each in similarity.heads if each[0] == one]) for one in layers])
    if means.shape[1] == 1:
        return  # no neighbours
    for row, head in _first(-means, count):
        reason = (
            f"Its map is {_bits(means[row, head])} from those of the layer's other heads on average; "
            f"two heads of the layer are {_bits(means[row].mean())} apart."
        )
        yield RankedHead(layers[row], head, float(means[row, head]), "bits", reason)


def _redundant(similarity: HeadSimilarity, count: int, threshold: float) -> Iterator[RankedHead]:
    for group in similarity.groups(threshold)[:count]:
        mean = similarity.mean_among(group)
        layer, head = group[int(np.argmin(similarity.mean_to(group)))]
        reason = (
            f"{len(group)} heads, {_bits(mean)} apart on average: {_in_words(group)}. "
            f"The most typical is layer {layer}, head {head}."
        )
        yield RankedHead(layer, head, mean, "bits", reason, group)


def _first(values: np.ndarray, count: int) -> Iterator[tuple[int, int]]:
    """Places (row, head) of the smallest values, the smallest first; of equal ones the first."""
    for place in np.argsort(values, axis=None, kind="stable")[:count].tolist():
        yield divmod(place, values.shape[1])


def _in_words(group: Sequence[Head]) -> str:
    """ "layer 3, heads 0 and 2; layer 5, head 1": the first NAMED heads, and how many more there are."""
    parts, named = [], group[:NAMED]
    for layer in sorted({layer for layer, _ in named}):
        heads = [str(head) for number, head in named if number == layer]
        listed = " and ".join(filter(None, (", ".join(heads[:-1]), heads[-1])))
        parts.append(f"layer {layer}, head{'s'[: len(heads) > 1]} {listed}")
    return "; ".join(parts) + (f"; and {len(group) - NAMED} more" if len(group) > NAMED else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if 0.0995 <= share < 0.945 else f"{100 * share:.1f} %"


def _bits(value: float) -> str:
    return f"{value:.3f} bits" if value < 0.0995 else f"{value:.2f} bits"
