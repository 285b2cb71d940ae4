"""What is made of kept tokens, without a run of the model, and kept for all sessions: components, directions, norms."""

from collections.abc import Hashable

import vit_engine as ve
from dashboard.services import memory
from dashboard.services.jobs import Store
from dashboard.services.process import once_per_process
from dashboard.services.tokens import TokenAnalysis
from vit_engine.analysis.tokens import cosine
from vit_engine.analysis.tokens.cosine import Directions
from vit_engine.grid import Query

PCA_BYTES, DIRECTION_BYTES, NORM_BYTES = 1 << 26, 1 << 27, 1 << 25
_pcas = once_per_process(lambda: Store[tuple[ve.PcaMap, ...]](PCA_BYTES, size=_pca_bytes))
_directions = once_per_process(lambda: Store[Directions](DIRECTION_BYTES, size=lambda each: each.vectors.nbytes))
_norms = once_per_process(lambda: Store[tuple[ve.TokenNorms, ...]](NORM_BYTES, size=_norm_bytes))


def _pca_bytes(maps: tuple[ve.PcaMap, ...]) -> int:
    return sum(each.components.nbytes + each.rgb.nbytes for each in maps)


def _norm_bytes(norms: tuple[ve.TokenNorms, ...]) -> int:
    return sum(each.values.nbytes + each.prefix.nbytes for each in norms)


def key_of(analysis: TokenAnalysis) -> Hashable:
    """What tells an analysis from all others."""
    features = analysis.features
    version = memory.version(features.spec.name)
    return version, features.image_sha256, features.grid, analysis.frame, features.facet


def pca(
    analyses: tuple[TokenAnalysis, ...], *, layer: int, head: int | None, foreground: str | None
) -> tuple[ve.PcaMap, ...]:
    """The principal components of one picture, or of several jointly; arguments and errors as in pca_map()."""

    def make() -> tuple[ve.PcaMap, ...]:
        several = [analysis.features for analysis in analyses]
        return ve.pca_map(several, layer=layer, head=head, foreground=foreground)

    key = tuple(map(key_of, analyses)), layer, head, foreground
    return _pcas().get_or_make(key, make)


def similarity(
    asked: TokenAnalysis, query: Query, compared: TokenAnalysis, *, layer: int, head: int | None
) -> ve.AttentionMap:
    """Of a token of one picture to all patches of another, or of the same; arguments and errors as in similarity_map().

    The directions of all tokens are kept: most of what it takes is not done again for the next click.
    """
    first, second = (_directed(each, layer=layer, head=head) for each in (asked, compared))
    return cosine.similarity(first, query, second)


def _directed(analysis: TokenAnalysis, *, layer: int, head: int | None) -> Directions:
    def make() -> Directions:
        return cosine.directions(analysis.features, layer=layer, head=head)

    return _directions().get_or_make((key_of(analysis), layer, head), make)


def norms(analysis: TokenAnalysis, *, head: int | None) -> tuple[ve.TokenNorms, ...]:
    """The lengths of the tokens of every layer, in their order; errors as in token_norms()."""

    def make() -> tuple[ve.TokenNorms, ...]:
        features = analysis.features
        return tuple(ve.token_norms(features, layer=layer, head=head) for layer in sorted(features.layers))

    return _norms().get_or_make((key_of(analysis), head), make)
