"""Cosine similarity of one token to all patches, in its own picture or in another."""

from dataclasses import dataclass

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.grid import Query, TokenGrid, token_name
from vit_engine.trace.attention_map import AttentionMap, Quantity
from vit_engine.trace.features import Features, common_layer

UNIT = "cosine similarity"


def similarity_map(
    features: Features,
    query: Query,
    other: Features | None = None,
    *,
    layer: int = -1,
    head: int | None = None,
) -> AttentionMap:
    """The cosine similarity of one token to every patch: −1..1, 1 for tokens that point the same way.

    query: "cls", a patch (row, col) of the first picture, or a region of them (top, left, bottom, right): the mean of
    its patches' similarities. other: another picture's features, or the same picture's at
    another size, whose patches are compared with it; None for the query's own picture. layer: from 0; negative from the
    last. head: of queries, keys or values, one head's; None for all side by side. Computed in float64 (Amir et al.
    2021, arXiv 2112.05814). Raises SpecError for features of two models or facets, a layer, head or query that is not
    here, and a query whose token is zero.
    """
    compared = features if other is None else other
    number = common_layer({"the query's picture": features, "the other picture": compared}, layer)
    asked = directions(features, layer=number, head=head)
    return similarity(asked, query, asked if other is None else directions(other, layer=number, head=head))


@dataclass(frozen=True, eq=False)
class Directions:
    """The tokens of a layer at length 1, to be compared again and again: float64 (tokens, dim), the prefix first."""

    vectors: np.ndarray
    grid: TokenGrid
    layer: int
    label: str


def directions(features: Features, *, layer: int = -1, head: int | None = None) -> Directions:
    """Of a layer; layer, head and errors as in similarity_map()."""
    vectors = unit_vectors(features.tokens(layer, head=head))
    return Directions(vectors, features.grid, features.layer_number(layer), features.label(layer, head))


def similarity(asked: Directions, query: Query, compared: Directions) -> AttentionMap:
    """Of one token to every patch of a picture, its own or another, of one model, facet and layer: similarity_map()."""
    directions = asked.vectors[asked.grid.query_tokens(query)]
    if not directions.any(axis=1).all():
        raise SpecError(
            f"{token_name(query)} carries zeros in layer {asked.layer}, which have no direction to compare."
        )
    values = compared.vectors[compared.grid.prefix :] @ directions.mean(axis=0)
    label = f"similarity to {token_name(query)} · {compared.label}"
    values = values.reshape(compared.grid.shape).astype(np.float32)
    return AttentionMap(values, compared.grid, label, UNIT, Quantity.INTENSIVE)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, dim) at length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
