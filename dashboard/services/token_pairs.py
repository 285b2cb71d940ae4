"""What corresponds in two pictures: compared once, kept for all sessions."""

import numpy as np

import vit_engine as ve
from dashboard.services.jobs import Store
from dashboard.services.process import once_per_process
from dashboard.services.token_maps import key_of
from dashboard.services.tokens import TokenAnalysis

PAIR_BYTES = 1 << 25


def correspondences(
    first: TokenAnalysis, second: TokenAnalysis, *, layer: int, head: int | None, ratio: float
) -> ve.Correspondences:
    """As correspondences() has them, from what is kept without a ratio: another one compares nothing again."""

    def make() -> ve.Correspondences:
        return ve.correspondences(first.features, second.features, layer=layer, head=head, ratio=1)

    kept = _pairs().get_or_make((key_of(first), key_of(second), layer, head), make)
    return kept.best(int(np.searchsorted(kept.ratio, np.float32(ratio), side="right")))


def _nbytes(pairs: ve.Correspondences) -> int:
    return sum(array.nbytes for array in (pairs.first, pairs.second, pairs.similarity, pairs.ratio))


_pairs = once_per_process(lambda: Store[ve.Correspondences](PAIR_BYTES, size=_nbytes))
