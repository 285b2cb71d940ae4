"""How many bytes a run has at once, counted before it is made.

All of it is linear in the tokens. A run holds what it keeps, and one layer at work, which is at its
largest either while its attention is streamed or in the middle of its MLP. The embedding before them
needs less.
"""

from dataclasses import dataclass

import torch

from vit_engine.grid import TokenGrid
from vit_engine.model.chunks import chunk_bytes
from vit_engine.planning.plan import STATISTICS, RunPlan
from vit_engine.spec import GATED_MLPS

_FLOAT32 = 4  # bytes: what sums run in, whatever the model is in
_COUNT = 4  # bytes: of queries that have their largest weight on a token
_CHUNKS = 4  # scores, their exponentials, and scores in float64, where they are large; distances are one more
_SUMS, _REDUCED, _PER_PREFIX_TOKEN = 6, 14, 3  # numbers a query and head: while keys pass, and when they are joined
# Blocks of up to 32 MiB come from glibc's heap (mallopt(3), M_MMAP_THRESHOLD), where a layer leaves holes that do not
# always fit what the next one needs. Measured, they take at most as much as a layer at work, and at most 16 MiB for
# each of the first six layers.
_HOLE, _HOLES = 16 << 20, 6
_TOKENS_BACK = 1024  # that differentiate() takes back through an MLP at a time
_LIBRARIES = 8 << 20  # workspace of matrix products, and what else does not grow with the picture


@dataclass(frozen=True)
class _Sizes:
    """Bytes of what a run is made of. N tokens, D dimensions, H heads."""

    stream: int  # (N, D) in the model's precision, as tokens, normalised tokens, queries, keys, values and outputs are
    wide: int  # the same in float32
    hidden: int  # (N, mlp hidden)
    vector: int  # (H, N) in float32
    chunk: int  # of scores
    picture: int  # in the model's precision, where that is a copy


def kept_bytes(run: RunPlan, grid: TokenGrid) -> int:
    """What the trace keeps: queries, keys, log-normalisers, lengths of values, and counts.

    Or what features keep, one facet, or gradients.
    """
    size = _sizes(run, grid)
    if run.facet:
        return len(run.traced) * grid.tokens * run.spec.dim * run.precision.itemsize
    if run.gradients:  # values and their outputs' gradients; readouts of each head, weighted activations
        return run.spec.depth * (2 * size.stream + (run.spec.heads + 1) * grid.patches * _FLOAT32)
    counts = grid.tokens * run.spec.heads * _COUNT if "argmax" in STATISTICS[run.statistics] else 0
    return len(run.traced) * (2 * size.stream + 2 * size.vector + counts)


def peak_bytes(run: RunPlan, grid: TokenGrid) -> int:
    """The most bytes at once, beside the model and the prepared picture: an upper bound that grows with the grid."""
    size = _sizes(run, grid)
    if run.gradients:
        return size.picture + kept_bytes(run, grid) + _gradients(size, run, grid) + _LIBRARIES
    attention = _plain_attention(size, run) if run.facet else _attention(size, run)
    at_work = max(attention, _mlp(size, run))
    holes = min(at_work, _HOLE * min(run.whole_layers, _HOLES))
    return size.picture + kept_bytes(run, grid) + at_work + holes + _LIBRARIES


def _sizes(run: RunPlan, grid: TokenGrid) -> _Sizes:
    spec, itemsize = run.spec, run.dtype.itemsize
    widened, on_cpu = max(_FLOAT32, itemsize), run.device.type == "cpu"
    return _Sizes(
        stream=grid.tokens * spec.dim * itemsize,
        wide=grid.tokens * spec.dim * widened,
        hidden=grid.tokens * spec.hidden * itemsize,
        vector=grid.tokens * spec.heads * widened,
        chunk=min(chunk_bytes(run.device), grid.tokens * spec.heads * grid.patches * widened),
        picture=0 if on_cpu and run.dtype == torch.float32 else 3 * grid.height * grid.width * itemsize,
    )


def _plain_attention(size: _Sizes, run: RunPlan) -> int:
    """Tokens, normalised tokens, queries, keys and values, mixed values; and what is read, before it is narrowed."""
    rotated = 4 * size.stream if run.spec.positions == "rope" else 0
    return 6 * size.stream + rotated + 2 * size.wide + _SUMS * size.vector


def _attention(size: _Sizes, run: RunPlan) -> int:
    """Tokens, normalised tokens, queries, keys and values; mixed values where they are needed; and what streams.

    Rotated queries and keys are copies, made of two more while they turn; the angles' sines and cosines stay.
    """
    mixed = size.wide if run.whole_layers else 0
    rotated = 4 * size.stream if run.spec.positions == "rope" else 0
    widened = 3 * size.wide if size.wide > size.stream else 0
    doubled = 2 * size.wide  # queries in float64, where scores are large
    vectors = (_SUMS + _REDUCED + _PER_PREFIX_TOKEN * run.spec.prefix) * size.vector
    chunks = (_CHUNKS + ("distance" in STATISTICS[run.statistics])) * size.chunk
    return 5 * size.stream + rotated + mixed + widened + doubled + vectors + chunks


def _mlp(size: _Sizes, run: RunPlan) -> int:
    """Tokens before and after attention, what it adds, normalised tokens and what comes of them; hidden, its GELU."""
    # A gated MLP has gates and values side by side, the gates' activation, and the product; CLIP's GELU as many steps.
    hidden = 4 if run.spec.mlp in {*GATED_MLPS, "quick_gelu"} else 2
    return 5 * size.stream + hidden * size.hidden if run.whole_layers else 0


def _gradients(size: _Sizes, run: RunPlan, grid: TokenGrid) -> int:
    """Beside what is kept: log-normalisers of all layers, and one block at work, or the embedding of the pixels.

    A block has its tokens and what comes to them from above, values, the gradients of queries, keys and values; then
    either attention's own, or the MLP's: its hidden layer, forward of all tokens, back of some at a time.
    """
    many = run.spec.mlp in {*GATED_MLPS, "quick_gelu"}
    rotated = 4 * size.stream if run.spec.positions == "rope" else 0
    # Where scores are large, one head is taken in float64; a model in float64 has it already.
    doubled = 20 * size.wide // run.spec.heads if run.dtype.itemsize < 8 else 0
    attention = 18 * size.stream + rotated + max(doubled, _CHUNKS * size.chunk)
    back = 12 * size.stream + (10 if many else 4) * min(
        size.hidden, _TOKENS_BACK * run.spec.hidden * run.dtype.itemsize
    )
    pixels = 3 * 3 * grid.height * grid.width * run.dtype.itemsize + 6 * size.stream
    at_work = max(attention, _mlp(size, run), back, pixels)
    holes = min(at_work, _HOLE * min(run.spec.depth, _HOLES))
    return run.spec.depth * size.vector + at_work + holes
