"""Which patches of two pictures correspond: mutual nearest neighbours by cosine similarity, and how clearly."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from vit_engine.analysis.tokens.cosine import unit_vectors
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.features import Features, common_layer

RATIO = 0.8  # Lowe's
MOST_BESIDE = 8  # patches on each side of a match that count as beside it, on much finer grids
BLOCK_BYTES = 8 << 20  # of similarities at a time


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Pairs of patches, the clearest first.

    first, second: int (pairs, 2), (row, col) in the first and the second picture. similarity: float32 (pairs,), −1..1.
    ratio: float32 (pairs,), 0..1: the match's cosine distance over that of the second best patch which is not beside
    it, the larger of both directions: near 0 is clear, 1 is a toss-up, or there is no such patch. candidates: mutual
    nearest neighbours in all.
    """

    first: np.ndarray
    second: np.ndarray
    similarity: np.ndarray
    ratio: np.ndarray
    grids: tuple[TokenGrid, TokenGrid]
    candidates: int
    label: str

    def __len__(self) -> int:
        return len(self.similarity)

    def best(self, count: int) -> "Correspondences":
        """The clearest of them."""
        names = ("first", "second", "similarity", "ratio")
        return replace(self, **{name: getattr(self, name)[:count] for name in names})


def correspondences(
    first: Features,
    second: Features,
    *,
    layer: int = -1,
    head: int | None = None,
    ratio: float = RATIO,
    similarity: float = -1.0,
    best: int | None = None,
) -> Correspondences:
    """Patches that are each other's nearest neighbour by cosine similarity (Amir et al. 2021, arXiv 2112.05814).

    first, second: two pictures in one model, or one picture at two sizes. layer: from 0; negative from the last. head:
    of queries, keys or values, one head's; None for all. ratio: 0..1, the largest that is kept (Lowe 2004, IJCV 60:
    0.8); 1 keeps all. similarity: the least that is kept. best: at most so many, the clearest. Every pair of patches is
    compared, in blocks: memory stays linear in the patches. Raises SpecError for features of two models or facets, a
    layer or head that is not here, and thresholds out of range.
    """
    _check(ratio, similarity, best)
    number = common_layer({"the first picture": first, "the second picture": second}, layer)
    a, b = (unit_vectors(each.patches(number, head=head)).astype(np.float32) for each in (first, second))
    forth, back = _nearest(a, b, first.grid, second.grid), _nearest(b, a, second.grid, first.grid)
    nonzero = a.any(axis=1) & np.take(b.any(axis=1), forth.place)  # zeros have no direction to compare
    mutual = np.flatnonzero(nonzero & (back.place[forth.place] == np.arange(len(a))))
    there = forth.place[mutual]
    clearness = np.maximum(forth.ratio[mutual], back.ratio[there])
    kept = (clearness <= ratio) & (forth.similarity[mutual] >= similarity)
    order = np.flatnonzero(kept)[np.argsort(clearness[kept], kind="stable")]
    matches = Correspondences(
        first=_patches(mutual[order], first.grid),
        second=_patches(there[order], second.grid),
        similarity=forth.similarity[mutual[order]],
        ratio=clearness[order],
        grids=(first.grid, second.grid),
        candidates=len(mutual),
        label=f"mutual nearest neighbours · {first.label(number, head)}",
    )
    return matches if best is None else matches.best(best)


def _check(ratio: float, similarity: float, best: int | None) -> None:
    if not 0 <= ratio <= 1:
        raise SpecError(f"ratio must be in 0..1; got {ratio}.")
    if not -1 <= similarity <= 1:
        raise SpecError(f"similarity must be in −1..1; got {similarity}.")
    if best is not None and (isinstance(best, bool) or not isinstance(best, int | np.integer) or best < 1):
        raise SpecError(f"best must be an integer of at least 1, or None for all; got {best!r}.")


def _patches(places: np.ndarray, grid: TokenGrid) -> np.ndarray:
    """As (row, col)."""
    return np.stack(np.divmod(places, grid.cols), axis=1)


@dataclass(frozen=True, eq=False)
class _Nearest:
    """Of each patch, its nearest neighbour in the other picture: place, similarity, and Lowe's ratio."""

    place: np.ndarray
    similarity: np.ndarray
    ratio: np.ndarray


def _nearest(patches: np.ndarray, others: np.ndarray, own_grid: TokenGrid, grid: TokenGrid) -> _Nearest:
    """grid: of the others.

    What lies beside a match shows the same thing, and says nothing against it. On a finer grid that is more than the
    patches next to it: as many as make up a patch and its neighbours here.
    """
    finer = math.sqrt(grid.patches / own_grid.patches)
    reach = min(max(int(1.5 * finer), 1), MOST_BESIDE)
    blocks = zip(*_blocks(patches, others, grid, reach), strict=True)
    places, similarities, seconds = (np.concatenate(parts) for parts in blocks)
    distance, second = 1 - similarities, 1 - seconds
    ratio = np.divide(distance, second, out=np.ones_like(distance), where=second > np.finfo(np.float32).eps)
    return _Nearest(places, similarities.clip(-1, 1), ratio.clip(0, 1))  # which float32 may overstep


def _blocks(
    patches: np.ndarray, others: np.ndarray, grid: TokenGrid, reach: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Block by block: places of the best, their similarity, and the best similarity that is not beside them."""
    step = max(1, BLOCK_BYTES // (4 * len(others)))
    for start in range(0, len(patches), step):
        similarities = patches[start : start + step] @ others.T
        rows = np.arange(len(similarities))
        places = similarities.argmax(axis=1)
        best = similarities[rows, places]
        row, col = np.divmod(places, grid.cols)
        for down, across in product(range(-reach, reach + 1), repeat=2):
            beside_row, beside_col = row + down, col + across
            inside = (beside_row >= 0) & (beside_row < grid.rows) & (beside_col >= 0) & (beside_col < grid.cols)
            similarities[rows[inside], (beside_row * grid.cols + beside_col)[inside]] = -np.inf
        second = similarities.max(axis=1)
        yield places, best, np.where(np.isneginf(second), best, second)  # in a small picture all are beside it
