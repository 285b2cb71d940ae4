"""Lengths of tokens, and those that stand out.

Larger models without registers store what concerns the whole picture in a few patches of the background, whose tokens
are several times as long as the others (Darcet et al. 2023, arXiv 2309.16588).
"""

from dataclasses import dataclass

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.features import Features

FACTOR = 3.0  # times the median: longer is an outlier


@dataclass(frozen=True, eq=False)
class TokenNorms:
    """The Euclidean lengths of one layer's tokens.

    values: float32 (rows, cols), of the patches. prefix: float32 (prefix tokens,), CLS first. median: of the patches.
    limit: factor × median. outliers: the patches (row, col) above it, the longest first.
    """

    values: np.ndarray
    prefix: np.ndarray
    median: float
    limit: float
    factor: float
    outliers: tuple[tuple[int, int], ...]
    grid: TokenGrid
    layer: int
    label: str


def token_norms(features: Features, *, layer: int = -1, head: int | None = None, factor: float = FACTOR) -> TokenNorms:
    """How long a layer's tokens are, before the model's final norm, and which patches stand out.

    layer: from 0; negative from the last. head: of queries, keys or values, one head's; None for all. factor: patches
    longer than so many times the median are outliers. SpecError for a layer or head that is not here, and a factor
    that is not above 1.
    """
    if not factor > 1:
        raise SpecError(f"factor must be above 1; got {factor}.")
    number, grid = features.layer_number(layer), features.grid
    lengths = np.linalg.norm(features.tokens(number, head=head, final_norm=False), axis=1)
    prefix, patches = lengths[: grid.prefix], lengths[grid.prefix :]
    median = float(np.median(patches))
    longest = np.argsort(-patches, kind="stable")
    outliers = longest[patches[longest] > factor * median]
    return TokenNorms(
        values=patches.reshape(grid.shape).astype(np.float32),
        prefix=prefix.astype(np.float32),
        median=median,
        limit=factor * median,
        factor=factor,
        outliers=tuple((int(place) // grid.cols, int(place) % grid.cols) for place in outliers),
        grid=grid,
        layer=number,
        label=f"norm of {features.label(number, head)}",
    )
