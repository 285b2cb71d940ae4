"""Attention to stream: drawn at random, or of given scores."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vit_engine.grid import TokenGrid
from vit_engine.model.streaming import AttentionPlan, StreamedAttention, stream_attention


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


class LargestStorage(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation makes."""

    nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.nbytes = max(self.nbytes, tensor.untyped_storage().nbytes())
        return result
