"""Chunks of scores: some queries of some heads against some keys, as many at a time as fit into a number of bytes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vit_engine.grid import TokenGrid

# A chunk of scores and its exponentials stay in a core's caches on a CPU. A GPU has cores to fill instead.
CPU_CHUNK_BYTES = 1 << 20
GPU_CHUNK_BYTES = 1 << 26


def chunk_bytes(device: torch.device) -> int:
    """Of scores, where a plan does not say. On a CPU every thread takes a part, which is to fit its own cache."""
    return CPU_CHUNK_BYTES * torch.get_num_threads() if device.type == "cpu" else GPU_CHUNK_BYTES


@dataclass(frozen=True)
class Chunk:
    """Some query rows of some heads against some patch keys: whole rows of patches."""

    heads: slice
    queries: slice  # of all tokens
    keys: slice  # of the patches
    distances: Tensor | None  # (patch queries, keys), in patches; the prefix queries before them have none
    first: bool  # no keys came before these

    @property
    def at(self) -> tuple[slice, slice]:
        return self.heads, self.queries


@dataclass(frozen=True)
class ChunkShape:
    """How many heads, queries, and rows of patches as keys a chunk has at most."""

    heads: int
    queries: int
    patch_rows: int

    @classmethod
    def within(cls, chunk_bytes: int, heads: int, grid: TokenGrid) -> "ChunkShape":
        """Of this many bytes of scores, with twice as many keys as queries; at the least one row of patches."""
        scores = chunk_bytes // 4
        patch_rows = max(1, min(2 * math.isqrt(scores) // grid.cols, grid.rows))
        keys = patch_rows * grid.cols
        queries = max(1, min(scores // keys, grid.tokens))
        return cls(max(1, min(scores // (keys * queries), heads)), queries, patch_rows)

    def scores(self, grid: TokenGrid) -> int:
        """How many scores a chunk has at most."""
        return self.heads * self.queries * self.patch_rows * grid.cols


def chunks(q: Tensor, grid: TokenGrid, shape: ChunkShape, *, distance: bool) -> Iterator[Chunk]:
    """All pairs of queries and patch keys; for each query, the keys in order."""
    for queries in slices(grid.tokens, shape.queries):
        for rows in slices(grid.rows, shape.patch_rows):
            distances = _distances(grid, queries, rows, q.device) if distance else None
            keys = slice(rows.start * grid.cols, rows.stop * grid.cols)
            for heads in slices(q.shape[0], shape.heads):
                yield Chunk(heads, queries, keys, distances, first=rows.start == 0)


def slices(length: int, step: int) -> Iterator[slice]:
    """Slices of nearly one size, at most `step`, that make up the length."""
    count = -(-length // step)
    return (slice(length * i // count, length * (i + 1) // count) for i in range(count))


def _distances(grid: TokenGrid, queries: slice, rows: slice, device: torch.device) -> Tensor | None:
    """(patches among these queries, patches in these rows), in patches; None where all queries are prefix tokens."""
    first, last = (max(token - grid.prefix, 0) for token in (queries.start, queries.stop))
    integers = partial(torch.arange, dtype=torch.int32, device=device)
    patches = integers(first, last)[:, None]
    down = patches // grid.cols - integers(rows.start, rows.stop)
    across = patches % grid.cols - integers(grid.cols)
    squares = down.square().float().unsqueeze(2) + across.square().float().unsqueeze(1)
    return squares.sqrt_().flatten(1) if len(patches) else None
