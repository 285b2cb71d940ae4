"""Heads beside each other: how alike they are, which to look at, and other models on the same picture."""

from collections.abc import Hashable

import vit_engine as ve
from dashboard.services import memory
from dashboard.services.analyses import Analysis, analyse, cost
from dashboard.services.catalogue import is_ready, models
from dashboard.services.jobs import Progress, Store
from dashboard.services.pictures import Picture
from dashboard.services.process import once_per_process
from vit_engine.analysis.rankings import Ranking, rank_heads
from vit_engine.analysis.similarity import HeadSimilarity, head_similarity
from vit_engine.spec import Query

SIMILARITY_BYTES = 1 << 26
RANKINGS = 500  # sets of them that are kept


@once_per_process
def _similarities() -> Store[HeadSimilarity]:
    return Store(SIMILARITY_BYTES, size=lambda similarity: similarity.nbytes)


@once_per_process
def _rankings() -> Store[tuple[Ranking, ...]]:
    return Store(RANKINGS, size=lambda _: 1)


def _key(analysis: Analysis, query: Query) -> Hashable:
    trace = analysis.trace
    return memory.version(trace.spec.name), trace.image_sha256, trace.grid, analysis.frame, query


def similarity(analysis: Analysis, query: Query) -> HeadSimilarity:
    """How far apart the maps of all heads are for one query, kept for all sessions."""
    key = _key(analysis, query)
    found = _similarities().get(key)
    if found is None:
        found = head_similarity(analysis.trace, query=query)
        _similarities().put(key, found)
    return found


def rankings(analysis: Analysis, query: Query, *, count: int, redundant_bits: float) -> tuple[Ranking, ...]:
    """Which heads to look at, and why, kept for all sessions."""
    key = (_key(analysis, query), count, redundant_bits)
    found = _rankings().get(key)
    if found is None:
        found = rank_heads(
            analysis.trace, query=query, count=count, redundant_bits=redundant_bits,
            similarity=similarity(analysis, query),
        )  # fmt: skip
        _rankings().put(key, found)
    return found


def analyse_too(picture: Picture, model: str, size: int, progress: Progress) -> Analysis:
    """The same picture in another model, as analyse() has it; VitEngineError where that needs a download or too much.

    Nothing is downloaded, and no model is loaded that could not be run.
    """
    spec = models()[model]
    if not is_ready(spec):
        raise ve.CheckpointError("its weights are not here yet: download them on the page Models.")
    refusal = cost(picture, model, size).refusal
    if refusal:
        raise ve.ResourceError(f"too large here: {refusal}. Choose a smaller short side.")
    return analyse(picture, model, size, progress)
