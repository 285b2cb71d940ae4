"""What a run leaves, linear in the tokens: of each layer queries and keys, from which any row follows exactly."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from vit_engine.devices import widened
from vit_engine.errors import ResourceError, SpecError
from vit_engine.grid import Query, TokenGrid, token_name
from vit_engine.model.streaming import explicit_weights
from vit_engine.spec import ModelSpec
from vit_engine.trace.attention_map import AttentionMap, reduce_heads
from vit_engine.trace.shared import SharedLayers
from vit_engine.trace.statistics import HeadStatistics

WEIGHTS_BUDGET = 2 << 30  # bytes of one layer's whole matrices, on request
ROWS = 256  # of a matrix at a time, in float64
SOME = 64  # tokens of a region at a time, in float64


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer: queries and keys (heads, tokens, head_dim), log-normalisers (heads, tokens), the scores' scale.

    value_norms: (heads, tokens), how long what a token's value adds to the output is, ‖v W_O‖ with the head's part of
    the output projection (Kobayashi et al. 2020, arXiv 2004.10102); None where they are not known. argmax_counts: int32
    (heads, tokens), how many queries of a head have their largest weight on a token as a key; None where they were not
    asked for.
    """

    queries: Tensor
    keys: Tensor
    log_normalisers: Tensor
    scale: float
    argmax_counts: Tensor | None = None
    value_norms: Tensor | None = None

    def __post_init__(self) -> None:
        shapes = tuple(self.queries.shape), tuple(self.keys.shape), tuple(self.log_normalisers.shape)
        if len(shapes[0]) != 3 or shapes != (shapes[0], shapes[0], shapes[0][:2]):
            raise SpecError(
                "a layer's trace needs queries and keys of one shape (heads, tokens, head_dim), and log-normalisers "
                f"(heads, tokens); got {', '.join(map(str, shapes))}."
            )
        counts = self.argmax_counts
        if counts is not None and (tuple(counts.shape) != shapes[2] or counts.dtype != torch.int32):
            raise SpecError(
                f"argmax_counts must be int32 of shape {shapes[2]}, (heads, tokens); got {counts.dtype} of "
                f"{tuple(counts.shape)}."
            )

    def scores(self, token: int) -> Tensor:
        """scale · q·k of this token as a query: (heads, tokens), widened. Head by head is faster than all at once."""
        products = [widened(k) @ widened(q) for q, k in zip(self.queries[:, token], self.keys, strict=True)]
        return torch.stack(products).mul_(self.scale)

    def log_row(self, tokens: Sequence[int] | np.ndarray) -> Tensor:
        """ln of the mean weight that these tokens, as queries, give to every key: (heads, tokens), widened."""
        heads = []
        for q, k in zip(self.queries[:, torch.as_tensor(tokens)], self.keys, strict=True):
            keys = widened(k)
            parts = ((part @ keys.mT).mul_(self.scale).log_softmax(dim=-1) for part in widened(q).split(SOME))
            heads.append(_log_mean(parts, len(tokens)))
        return torch.stack(heads)

    def log_column(self, tokens: Sequence[int] | np.ndarray, heads: slice = slice(None)) -> Tensor:
        """ln of the mean weight that every query gives to these tokens as keys: (heads, tokens), widened, at most 0."""
        columns = []
        kept = self.queries[heads], self.keys[heads][:, torch.as_tensor(tokens)], self.log_normalisers[heads]
        for q, k, log_normaliser in zip(*map(widened, kept), strict=True):
            # Log-normalisers are kept in float32: no weight is over 1 for that.
            parts = ((part @ q.mT).mul_(self.scale).sub_(log_normaliser).clamp_(max=0) for part in k.split(SOME))
            columns.append(_log_mean(parts, len(tokens)))
        return torch.stack(columns)

    def weights(self) -> Tensor:
        """The whole matrices: float32 (heads, tokens, tokens), from scores as wide as those of scores()."""
        heads, tokens, _ = self.queries.shape
        weights = torch.empty(heads, tokens, tokens, device=self.keys.device)
        for q, k, matrix in zip(self.queries, self.keys, weights, strict=True):
            for rows, part in zip(widened(q).split(ROWS), matrix.split(ROWS), strict=True):
                part.copy_(explicit_weights(rows, widened(k), scale=self.scale))
        return weights

    @property
    def nbytes(self) -> int:
        kept = self.queries, self.keys, self.log_normalisers, self.argmax_counts, self.value_norms
        return sum(tensor.nbytes for tensor in kept if tensor is not None)


def _log_mean(parts: Iterable[Tensor], count: int) -> Tensor:
    """ln of the mean of `count` rows (·, tokens) that are given by their logarithms: (tokens,)."""
    rows = (part[0] if count == 1 else part.logsumexp(dim=0) for part in parts)
    return reduce(torch.logaddexp, rows) - math.log(count)


@dataclass(frozen=True)
class Prediction:
    """A class: its name, its probability 0..1, and its number from 0."""

    label: str
    probability: float
    number: int


@dataclass(frozen=True, eq=False)
class AttentionTrace(SharedLayers):
    """The attention of one picture in one model. Holds no model and no N×N matrix.

    layers: LayerTrace by number, of the layers that were asked for; read-only. predictions: all classes, the likeliest
    first; none without a classifier. seconds: of the run. SpecError for layers or statistics of another spec or grid.
    """

    spec: ModelSpec
    grid: TokenGrid
    image_sha256: str
    layers: Mapping[int, LayerTrace]
    head_statistics: HeadStatistics | None
    predictions: tuple[Prediction, ...]
    seconds: float
    random: bool = False

    def __post_init__(self) -> None:
        self._share()
        expected = (self.spec.heads, self.grid.tokens, self.spec.dim // self.spec.heads)
        for number, layer in self.layers.items():
            if not 0 <= number < self.spec.depth or tuple(layer.queries.shape) != expected:
                raise SpecError(
                    f"layers of {self.spec.name!r} are 0..{self.spec.depth - 1} with queries of shape {expected}; "
                    f"got layer {number} with {tuple(layer.queries.shape)}."
                )
        table, own = self.head_statistics, (tuple(self.layers), self.grid, self.spec.heads)
        if table is not None and (table.layers, table.grid, table.heads) != own:
            raise SpecError(
                f"a trace of layers {list(self.layers)} with {self.spec.heads} heads on {self.grid} needs statistics "
                f"of just these; got layers {list(table.layers)}, {table.heads} heads, {table.grid}."
            )

    def __repr__(self) -> str:
        numbers = sorted(self.layers)
        layers = f"layers {numbers[0]}..{numbers[-1]}" if len(numbers) > 1 else f"layer {numbers[0]}"
        size = f"{self.grid.rows}×{self.grid.cols} patches, {layers}, {self.spec.heads} heads"
        return f"AttentionTrace({self.spec.name!r}, {size}, {self.nbytes / 1e6:.1f} MB, {self.seconds:.2f} s)"

    @property
    def statistics(self) -> HeadStatistics:
        """Of every traced (layer, head); SpecError if they were not asked for."""
        if self.head_statistics is None:
            raise SpecError("this trace has no statistics: it was made with statistics='none'; use 'all' or 'entropy'.")
        return self.head_statistics

    @property
    def nbytes(self) -> int:
        """Bytes that the trace keeps in memory."""
        return sum(layer.nbytes for layer in self.layers.values())

    def layer(self, layer: int = -1) -> LayerTrace:
        """Of a layer counted from 0, or negative from the last; SpecError for one that is not here."""
        number = self.spec.layer_number(layer)
        if number not in self.layers:
            raise SpecError(f"layer {number} was not traced; this trace has {sorted(self.layers)}.")
        return self.layers[number]

    def rows(self, layer: int = -1, query: Query = "cls") -> np.ndarray:
        """The weights that one query gives to all tokens, in each head: float32 (heads, tokens), rows sum to 1.

        query: "cls", a patch (row, col), or a region of patches (top, left, bottom, right), the last ones included:
        the mean of its patches' rows. Raises SpecError for a layer or a query that is not here.
        """
        return self.layer(layer).log_row(self.grid.query_tokens(query)).exp().float().cpu().numpy()

    def head_maps(self, layer: int = -1, query: Query = "cls") -> np.ndarray:
        """The weights that one query gives to the patches, in each head: float32 (heads, rows, cols).

        Not renormalised: what is missing to 1 goes to the prefix tokens.
        """
        return self.rows(layer, query)[:, self.grid.prefix :].reshape(-1, *self.grid.shape)

    def attention_map(self, layer: int = -1, head: int | str = "mean", query: Query = "cls") -> AttentionMap:
        """The weights that one query gives to the patches, in one head or over all: not renormalised.

        layer: from 0; negative from the last. head: a number from 0, or "mean", "max", "min" over heads, patch by
        patch. query: as in rows(). Raises SpecError for a layer, head or query that is not here.
        """
        values = reduce_heads(self.head_maps(layer, query), head, self.spec)
        label = f"layer {self.spec.layer_number(layer)} · head {head} · query {token_name(query)}"
        return AttentionMap(values, self.grid, label)

    def weights(self, layer: int = -1, *, budget: int = WEIGHTS_BUDGET) -> np.ndarray:
        """The whole attention matrices of a layer: float32 (heads, tokens, tokens), rows sum to 1.

        Quadratic in the tokens: ResourceError where they need more than `budget` bytes.
        """
        kept = self.layer(layer)
        needed = 4 * self.spec.heads * self.grid.tokens**2
        if needed > budget:
            raise ResourceError(
                f"the matrices of one layer need {needed:,} bytes, over the budget of {budget:,}; use rows() or "
                "attention_map(), which are exact too, prepare a smaller image, or pass budget=."
            )
        return kept.weights().cpu().numpy()
