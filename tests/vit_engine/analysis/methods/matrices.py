"""Traces of random attention, and what is made of their whole matrices in float64, as the papers write it."""

import math

import numpy as np
import torch
from torch import Tensor

from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace
from vit_engine.trace.record import LayerTrace


def random_trace(
    grid: TokenGrid,
    *,
    heads: int = 3,
    depth: int = 4,
    spread: float = 1.0,
    dtype: torch.dtype = torch.float32,
    values: bool = True,
) -> AttentionTrace:
    """Scores have about this standard deviation."""
    generator, head_dim, scale = torch.Generator().manual_seed(grid.tokens), 4, 0.5
    wide = torch.promote_types(dtype, torch.float32)
    layers = {}
    for number in range(depth):
        q, k = torch.randn(2, heads, grid.tokens, head_dim, generator=generator, dtype=torch.float64).to(dtype)
        q = (q * spread).to(dtype)
        log_normalisers = (q.double() @ k.double().mT * scale).logsumexp(dim=-1)
        norms = torch.rand(heads, grid.tokens, generator=generator) if values else None
        layers[number] = LayerTrace(q, k, log_normalisers.to(wide), scale, value_norms=norms)
    dim, native = heads * head_dim, (grid.height, grid.width)
    spec = ModelSpec("random", "Random", "test", grid.patch_size, dim, depth, heads, native_size=native)
    return AttentionTrace(spec, grid, "0" * 64, layers, None, (), 0.0)


def matrices(trace: AttentionTrace, layer: int) -> np.ndarray:
    """All weights of a layer: float64 (heads, tokens, tokens)."""
    kept = trace.layers[layer]
    scores: Tensor = kept.queries.double() @ kept.keys.double().mT * kept.scale
    return scores.softmax(dim=-1).numpy()


def rolled_out(
    trace: AttentionTrace, *, layer: int, start: int = 0, fuse: str = "mean", discard: float = 0, residual: float = 0.5
) -> np.ndarray:
    """The whole rollout: float64 (tokens, tokens)."""
    tokens = trace.grid.tokens
    result = np.eye(tokens)
    for number in range(start, layer + 1):
        fused = getattr(matrices(trace, number), fuse)(axis=0)
        lowest = np.argsort(fused.ravel(), kind="stable")[: math.floor(discard * tokens**2)]
        fused.ravel()[lowest] = 0
        mixed = residual * np.eye(tokens) + (1 - residual) * fused
        sums = mixed.sum(axis=1, keepdims=True)
        result = np.divide(mixed, sums, out=np.zeros_like(mixed), where=sums > 0) @ result
    return result
