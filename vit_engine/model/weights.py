"""One layer's attention weights where the log-normalisers are known already: chunk by chunk, never whole.

exp(scale · q·k − ln Z) needs neither a maximum nor a second pass. What is made of the weights afterwards (rollout,
relevance, the gradients of attention) reads each chunk once and drops it. Scores too large for float32 are taken in
float64, with log-normalisers of their own, on a CPU.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.model.chunks import chunk_bytes, slices
from vit_engine.model.streaming import COARSE_SCORE, LOG2_E

Fusion = Literal["mean", "max", "min"]
_FUSE: dict[Fusion, Callable[..., Tensor]] = {"mean": torch.add, "max": torch.maximum, "min": torch.minimum}
KEYS_A_QUERY = 4  # measured: chunks with four times as many keys as queries are the fastest


@dataclass(frozen=True)
class WeightChunk:
    """Weights (heads, queries, keys) of some queries to some keys. They are overwritten by the next chunk."""

    heads: slice
    queries: slice  # of those that were asked for
    keys: slice
    weights: Tensor

    @property
    def at_queries(self) -> tuple[slice, slice]:
        return self.heads, self.queries

    @property
    def at_keys(self) -> tuple[slice, slice]:
        return self.heads, self.keys


class AttentionWeights:
    """softmax(scale · q kᵀ) of some queries, from what is kept of a layer. Memory is linear in the tokens.

    rows: the queries' numbers, all of them where None. dtype: of the weights, float32 or wider.
    """

    def __init__(
        self,
        queries: Float[Tensor, "H N d"],
        keys: Float[Tensor, "H N d"],
        log_normalisers: Float[Tensor, "H N"],
        *,
        scale: float,
        rows: Tensor | None = None,
    ) -> None:
        if rows is not None:
            queries, log_normalisers = queries[:, rows], log_normalisers[:, rows]
        wide = torch.promote_types(queries.dtype, torch.float32)
        if are_coarse(queries, keys, scale):
            queries, keys = queries.double(), keys.double()
            log_normalisers = _log_normalisers(queries, keys, scale)
            wide = torch.float64
        # One product gives the whole exponent: the log-normaliser is one more dimension, against ones.
        self._queries = torch.cat(
            [queries.to(wide) * (scale * LOG2_E), -LOG2_E * log_normalisers.to(wide)[..., None]], -1
        )
        self._keys = torch.cat([keys.to(wide), torch.ones_like(keys[..., :1], dtype=wide)], -1)

    @property
    def dtype(self) -> torch.dtype:
        return self._queries.dtype

    @property
    def heads(self) -> int:
        return len(self._keys)

    @property
    def tokens(self) -> int:
        """Keys."""
        return self._keys.shape[1]

    def chunks(self) -> Iterator[WeightChunk]:
        """All weights, each once; for each query, the keys in order."""
        heads, queries, keys = len(self._queries), self._queries.shape[1], self._keys.shape[1]
        shape = _chunk_shape(heads, queries, keys, chunk_bytes(self._queries.device) // 4)
        scratch = self._queries.new_empty(math.prod(shape))
        for some_heads in slices(heads, shape[0]):
            for some_queries in slices(queries, shape[1]):
                for some_keys in slices(keys, shape[2]):
                    q, k = self._queries[some_heads, some_queries], self._keys[some_heads, some_keys]
                    cells = (*q.shape[:2], k.shape[1])
                    weights = torch.bmm(q, k.mT, out=scratch[: math.prod(cells)].view(cells)).exp2_()
                    yield WeightChunk(some_heads, some_queries, some_keys, weights)

    def rows(self, head: int, queries: slice) -> Tensor:
        """Of one head, some of the queries that were asked for, and all keys: (queries, keys)."""
        return (self._queries[head, queries] @ self._keys[head].mT).exp2_()

    def fused(self, fuse: Fusion) -> Iterator[tuple[slice, Float[Tensor, "queries keys"]]]:
        """Rows of one matrix that all heads are fused to, entry by entry, in order: some queries, and all keys.

        They are overwritten by the next. Each pass yields the same numbers.
        """
        queries, keys = self._queries.shape[1], self._keys.shape[1]
        size = max(1, chunk_bytes(self._queries.device) // (self._queries.element_size() * keys))
        scratch = [self._queries.new_empty(min(size, queries), keys) for _ in range(2)]
        for some in slices(queries, size):
            fused, own = (buffer[: some.stop - some.start] for buffer in scratch)
            for head, (q, k) in enumerate(zip(self._queries[:, some], self._keys, strict=True)):
                torch.mm(q, k.mT, out=own if head else fused)
                if fuse == "mean":
                    (own if head else fused).exp2_()
                if head:
                    _FUSE[fuse](fused, own, out=fused)
            # The largest exponent is that of the largest weight.
            yield some, fused.div_(len(self._queries)) if fuse == "mean" else fused.exp2_()


def _chunk_shape(heads: int, queries: int, keys: int, cells: int) -> tuple[int, int, int]:
    some_keys = min(keys, KEYS_A_QUERY * max(1, math.isqrt(cells // KEYS_A_QUERY)))
    some_queries = max(1, min(queries, cells // some_keys))
    return max(1, min(heads, cells // (some_keys * some_queries))), some_queries, some_keys


def are_coarse(queries: Tensor, keys: Tensor, scale: float) -> bool:
    """Whether float32 scores are too large for exact weights; False on a GPU, as in stream_attention()."""
    if queries.device.type != "cpu" or queries.dtype == torch.float64:
        return False
    q, k = queries.float(), keys.float()
    bounds = torch.linalg.vector_norm(q, dim=-1).amax(dim=-1) * torch.linalg.vector_norm(k, dim=-1).amax(dim=-1)
    if bounds.max().item() * scale <= COARSE_SCORE:  # no score is larger than the product of the lengths
        return False
    return any((part @ k.mT).abs().max().item() * scale > COARSE_SCORE for part in q.split(_ROWS, dim=1))


_ROWS = 64  # queries at a time, where there is no cache to fit


def _log_normalisers(queries: Tensor, keys: Tensor, scale: float) -> Tensor:
    """ln Σ_j exp(scale · q·k_j): (H, N)."""
    parts = [((part @ keys.mT) * scale).logsumexp(dim=-1) for part in queries.split(_ROWS, dim=1)]
    return torch.cat(parts, dim=1)
