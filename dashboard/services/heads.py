"""Heads beside each other: how alike they are, which to look at, and other models on the same picture."""

from collections.abc import Hashable

import vit_engine as ve
from dashboard.services import memory
from dashboard.services.analyses import Analysis, Request
from dashboard.services.catalogue import is_ready
from dashboard.services.jobs import Store
from dashboard.services.process import once_per_process
from vit_engine.analysis.methods import RAW, find_method
from vit_engine.analysis.rankings import Ranking, rank_heads
from vit_engine.analysis.similarity import HeadSimilarity, head_similarity
from vit_engine.grid import Query
from vit_engine.progress import Progress

SIMILARITY_BYTES = 1 << 26
RANKINGS = 500  # sets of them that are kept
_similarities = once_per_process(lambda: Store[HeadSimilarity](SIMILARITY_BYTES, size=lambda each: each.nbytes))
_rankings = once_per_process(lambda: Store[tuple[Ranking, ...]](RANKINGS, size=lambda _: 1))


def _key(analysis: Analysis, query: Query, method: str, gradients: ve.Gradients | None) -> Hashable:
    trace, target = analysis.trace, gradients and gradients.target
    return memory.version(trace.spec.name), trace.image_sha256, trace.grid, analysis.frame, query, method, target


def similarity(
    analysis: Analysis, query: Query, *, method: str = RAW, gradients: ve.Gradients | None = None
) -> HeadSimilarity:
    """How far apart the maps of all heads are for one query, kept for all sessions.

    method: a name in METHODS. gradients: of a target, where the method needs them.
    """

    def make() -> HeadSimilarity:
        run = analysis.run(find_method(method), gradients=gradients)
        return head_similarity(run, query=query, method=method)

    return _similarities().get_or_make(_key(analysis, query, method, gradients), make)


def rankings(
    analysis: Analysis,
    query: Query,
    *,
    method: str = RAW,
    gradients: ve.Gradients | None = None,
    count: int,
    redundant_bits: float,
) -> tuple[Ranking, ...]:
    """Which heads to look at, and why, kept for all sessions. method, gradients: as of similarity()."""

    def make() -> tuple[Ranking, ...]:
        run = analysis.run(find_method(method), gradients=gradients)
        alike = similarity(analysis, query, method=method, gradients=gradients)
        return rank_heads(run, query=query, method=method, count=count, redundant_bits=redundant_bits, similarity=alike)

    key = _key(analysis, query, method, gradients)
    return _rankings().get_or_make((key, count, redundant_bits), make)


def analyse_too(request: Request, progress: Progress) -> Analysis:
    """The same picture in another model; VitEngineError, before a model is loaded, for a download or too much."""
    if not is_ready(request.spec):
        raise ve.CheckpointError("its weights are not here yet: download them on the page Models.")
    if request.cost.refusal:
        raise ve.ResourceError(f"too large here: {request.cost.refusal}. Choose a smaller short side.")
    return request.analyse(progress)
