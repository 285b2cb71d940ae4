"""How alike heads are: the Jensen-Shannon divergence between their maps, and the groups that it makes.

JSD = ½ KL(p‖m) + ½ KL(q‖m) with m = (p + q) / 2 (Lin 1991), here in bits: 0 for equal maps, 1 for maps
without a common patch. Its root is a metric (Endres and Schindelin 2003), which is what heads are clustered by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from vit_engine.analysis.methods import RAW, Method, find_method
from vit_engine.analysis.run import Run, Traced
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.trace.targets import Target

BLOCK_BYTES = 1 << 20  # of one head beside others: two arrays of it stay in a core's cache
ROUNDING_BITS = 1e-12  # what entropies in float64 leave of two maps that are the same

Head = tuple[int, int]  # (layer, head)


@dataclass(frozen=True, eq=False)
class HeadSimilarity:
    """The divergence of every two heads, for one query.

    heads: (layer, head) of each, n of them. divergence: float32 (n, n), in bits, 0..1, symmetric, zero on its
    diagonal; it cannot be written to. Raises SpecError for a matrix that is not that.
    """

    heads: tuple[Head, ...]
    divergence: np.ndarray

    def __post_init__(self) -> None:
        given, expected = self.divergence, (len(self.heads), len(self.heads))
        if not self.heads or given.shape != expected or given.dtype != np.float32:
            raise SpecError(
                f"the divergence of {len(self.heads)} heads must be float32 of shape {expected}, with at least one "
                f"head; got {given.dtype} {given.shape}."
            )
        inside = (given >= 0).all() and (given <= 1).all()
        if not inside or not np.array_equal(given, given.T) or given.diagonal().any():
            raise SpecError("a divergence must be symmetric, 0 on its diagonal and in 0..1 bits; this matrix is not.")
        shared = given.view()
        shared.setflags(write=False)
        object.__setattr__(self, "divergence", shared)

    @property
    def nbytes(self) -> int:
        """Bytes of the divergence."""
        return self.divergence.nbytes

    @cached_property
    def tree(self) -> np.ndarray:
        """scipy's linkage (n - 1, 4): average, of roots of divergences.

        Leaves are ordered so that neighbours are as near as the tree allows (Bar-Joseph et al. 2001).
        """
        if len(self.heads) == 1:
            return np.empty((0, 4))
        roots = np.sqrt(self.divergence.astype(np.float64))
        return linkage(squareform(roots, checks=False), method="average", optimal_ordering=True)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Places in `heads` in the order of the tree's leaves: like heads stand side by side."""
        return tuple(leaves_list(self.tree).tolist()) if len(self.heads) > 1 else (0,)

    def of_layer(self, layer: int) -> "HeadSimilarity":
        """The heads of one layer among themselves; SpecError where none is here."""
        heads = tuple(head for head in self.heads if head[0] == layer)
        if not heads:
            raise SpecError(f"layer must be one of {sorted({number for number, _ in self.heads})}; got {layer}.")
        return HeadSimilarity(heads, self._among(heads))

    def groups(self, threshold_bits: float) -> tuple[tuple[Head, ...], ...]:
        """Heads that say the same: the largest branches of the tree in which no two are further apart than this.

        threshold_bits: 0..1, itself included. Groups of two and more, the biggest first, then the closest; in each,
        heads by layer and number. A branch stands together in `order`. SpecError for another threshold.
        """
        if not 0 <= threshold_bits <= 1:
            raise SpecError(f"a threshold of divergence must be in 0..1 bits; got {threshold_bits}.")
        branches = self._branches(float(threshold_bits))  # a float64 of NumPy's would not be compared in float32
        groups = [tuple(self.heads[place] for place in sorted(each)) for each in branches]
        return tuple(sorted(groups, key=lambda heads: (-len(heads), self.mean_among(heads), heads)))

    def mean_among(self, heads: Sequence[Head]) -> float:
        """Mean divergence over all pairs of these heads, in bits; 0 for fewer than two."""
        pairs = len(heads) * (len(heads) - 1)
        return float(self._among(heads).sum(dtype=np.float64)) / max(pairs, 1)

    def mean_to(self, heads: Sequence[Head]) -> np.ndarray:
        """Of each of these heads, the mean divergence to the others of them: float64, in bits; 0 for one alone."""
        return self._among(heads).sum(axis=1, dtype=np.float64) / max(len(heads) - 1, 1)

    def _among(self, heads: Sequence[Head]) -> np.ndarray:
        place = {head: number for number, head in enumerate(self.heads)}
        places = [place[head] for head in heads]
        return self.divergence[np.ix_(places, places)]

    def _branches(self, threshold: float) -> Iterator[list[int]]:
        members = {place: [place] for place in range(len(self.heads))}
        for number, (one, other) in enumerate(self.tree[:, :2].astype(int).tolist(), start=len(self.heads)):
            left, right = members.get(one), members.get(other)
            if left and right and (self.divergence[np.ix_(left, right)] <= threshold).all():
                members[number] = members.pop(one) + members.pop(other)
        return (places for places in members.values() if len(places) > 1)


def head_similarity(
    run: Traced,
    *,
    layers: str | int | Sequence[int] = "all",
    query: Query = "cls",
    method: str = RAW,
    target: Target | int | str | None = None,
) -> HeadSimilarity:
    """How far apart the maps of all heads are, for one query, over patches renormalised to sum to 1.

    run: or a trace alone, which is enough for methods that read attention. layers: "all" that were traced, one or
    several; negative from the last. query: as in AttentionTrace.rows(). method: a name in METHODS. Exact, in float64,
    and linear in the patches. SpecError for a layer or a query that is not here, and for a method that has no map of
    each head or needs more than there is.
    """
    run, asked = Run.of(run), comparing_heads(method)
    numbers = sorted(run.trace.layers if layers == "all" else run.trace.spec.layer_numbers(layers))
    if absent := ", ".join(str(layer) for layer in numbers if layer not in run.trace.layers):
        raise SpecError(f"layer {absent} was not traced; this trace has {sorted(run.trace.layers)}.")
    maps = [asked.distributions(run, layer=layer, query=query, target=target) for layer in numbers]
    heads = tuple(product(numbers, range(run.trace.spec.heads)))
    return HeadSimilarity(heads, jensen_shannon(np.concatenate(maps)))


def comparing_heads(name: str) -> Method:
    """The method of this name; SpecError where it has no map of each head of each layer."""
    method = find_method(name)
    if not method.per_head:
        raise SpecError(f"heads compare by a method that depends on layer and head; {name!r} does not.")
    return method


def jensen_shannon(distributions: np.ndarray) -> np.ndarray:
    """The divergence of every two of n distributions (n, K) that sum to 1: float32 (n, n), in bits, 0..1.

    JSD = H((p + q) / 2) − ½ H(p) − ½ H(q), of which only the first is new for each pair; in blocks of bounded memory.
    """
    count, choices = distributions.shape
    p = distributions.astype(np.float64, copy=False)
    step = max(1, BLOCK_BYTES // (8 * max(choices, 1)))
    scratch = np.empty((2, min(step, count), choices))
    own = np.concatenate([_sums_of_logs(p[at : at + step], scratch[1]) for at in range(0, count, step)])
    bits = np.zeros((count, count))
    for row in range(count - 1):
        for at in range(row + 1, count, step):
            others = p[at : at + step]
            mixed = np.add(others, p[row], out=scratch[0, : len(others)])  # twice the mixture
            bits[row, at : at + step] = 1 + (own[row] + own[at : at + step] - _sums_of_logs(mixed, scratch[1])) / 2
    bits[bits < ROUNDING_BITS] = 0
    return (bits + bits.T).astype(np.float32)  # which rounds 1 + 1e-15 to 1


def _sums_of_logs(values: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """Σ x log₂ x over the last axis of non-negative values, with 0 log 0 = 0; overwrites the scratch."""
    logs = np.maximum(values, np.finfo(np.float64).tiny, out=scratch[: len(values)])
    np.log2(logs, out=logs)
    return np.einsum("ij,ij->i", values, logs)
