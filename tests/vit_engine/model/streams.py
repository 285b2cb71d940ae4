"""Attention to stream: drawn at random, or of given scores."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vit_engine.model.streaming import AttentionPlan, StreamedAttention, stream_attention
from vit_engine.spec import TokenGrid


def stream(
    q: Tensor, k: Tensor, v: Tensor, grid: TokenGrid, *, scale: float = 1.0, **plan: object
) -> StreamedAttention:
    return stream_attention(q, k, v, scale=scale, plan=AttentionPlan(grid, **plan))


def draw(seed: int, *shape: int, spread: float = 1.0) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(shape, generator=generator) * spread


def scored(scores: list[float]) -> tuple[Tensor, Tensor]:
    """Queries and keys (1, 1, N, 1) where every query has these scores."""
    return torch.ones(1, 1, len(scores), 1), torch.tensor(scores).view(1, 1, -1, 1)
