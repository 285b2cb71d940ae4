"""How many bytes a run has at once, counted before it is made.

Everything is linear in the tokens. At its largest, memory holds what is kept of all traced layers, and
the last of them at work: either while its attention is streamed, or within its MLP. The embedding,
which comes before, is counted too, for models with a narrow MLP.
"""

from dataclasses import dataclass

import torch

from vit_engine.planning.run import STATISTICS, Run
from vit_engine.spec import TokenGrid
from vit_engine.streaming import CPU_CHUNK_BYTES, GPU_CHUNK_BYTES

_FLOAT32 = 4  # bytes: what sums run in, whatever the model is in
_CHUNKS = 4  # scores, their exponentials, one product of them, and distances
# An allocator cannot use all that was freed between blocks that live on, and rounds every block up.
_ALLOCATOR_SHARE = 0.15
_ALLOCATOR_FLOOR = 8 << 20


@dataclass(frozen=True)
class _Sizes:
    """Bytes of what a run is made of. N tokens, D dimensions, H heads.

    stream: one tensor (N, D) in the model's precision, as tokens, normalised tokens, queries, keys,
    values and outputs all are. hidden: (N, mlp hidden). widened: (N, D) in float32, where the model is in
    less. vector: (H, N) in float32. picture: in the model's precision, where that is a copy. chunk: of
    scores.
    """

    stream: int
    hidden: int
    widened: int
    vector: int
    picture: int
    chunk: int


def kept_bytes(run: Run, grid: TokenGrid) -> int:
    """What the trace keeps: queries, keys and log-normalisers of every traced layer."""
    size = _sizes(run, grid)
    return run.traced * (2 * size.stream + size.vector)


def peak_bytes(run: Run, grid: TokenGrid) -> int:
    """The most bytes at once, beside the model and the prepared picture: an upper bound, monotone in the grid."""
    size = _sizes(run, grid)
    work = max(_embedding(size), _attention(size, run), _mlp(size))
    planned = size.picture + kept_bytes(run, grid) + work
    return int(planned * (1 + _ALLOCATOR_SHARE)) + _ALLOCATOR_FLOOR


def _sizes(run: Run, grid: TokenGrid) -> _Sizes:
    stream = grid.tokens * run.spec.dim * run.dtype.itemsize
    on_cpu, full = run.device.type == "cpu", run.dtype.itemsize >= _FLOAT32
    as_prepared = on_cpu and run.dtype == torch.float32
    return _Sizes(
        stream=stream,
        hidden=grid.tokens * run.spec.hidden * run.dtype.itemsize,
        widened=0 if full else grid.tokens * run.spec.dim * _FLOAT32,
        vector=grid.tokens * run.spec.heads * _FLOAT32,
        picture=0 if as_prepared else 3 * grid.height * grid.width * run.dtype.itemsize,
        chunk=CPU_CHUNK_BYTES if on_cpu else GPU_CHUNK_BYTES,
    )


def _embedding(size: _Sizes) -> int:
    """Patches, positions in two layouts, patches joined with the prefix, and their sum with the positions."""
    return 5 * size.stream


def _attention(size: _Sizes, run: Run) -> int:
    """Tokens, normalised tokens, queries, keys and values, output and its copy with the heads joined."""
    entropy, distance = STATISTICS[run.statistics]
    vectors = 1 + 4 * entropy + distance  # log-normaliser; entropies, prefix mass and maximum; distance
    return 7 * size.stream + 3 * size.widened + vectors * size.vector + _CHUNKS * size.chunk


def _mlp(size: _Sizes) -> int:
    """Tokens before and after attention, normalised tokens, output, and the hidden layer before and after GELU."""
    return 4 * size.stream + 2 * size.hidden
