"""Traces whose maps are written down, for tests that need to know them."""

from collections.abc import Mapping

import numpy as np
import torch

from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace
from vit_engine.trace.record import LayerTrace
from vit_engine.trace.statistics import HeadStatistics

NOTHING = 1e-300  # a weight that is as good as none, and has a logarithm


def made_trace(
    weights: Mapping[int, np.ndarray],
    *,
    grid: TokenGrid,
    query: int = 0,
    depth: int | None = None,
    distance: np.ndarray | None = None,
) -> AttentionTrace:
    """A trace in which one query token has these weights: layer -> (heads, tokens); they need not sum to 1.

    distance: (layers, heads) in pixels; without it the trace has no statistics.
    """
    heads, tokens = next(iter(weights.values())).shape
    spec = ModelSpec(
        "made",
        "Made",
        "test",
        grid.patch_size,
        heads * tokens,
        max(weights) + 1 if depth is None else depth,
        heads,
        native_size=(grid.height, grid.width),
        registers=grid.prefix - 1,
    )
    layers = {number: _layer(each, query) for number, each in weights.items()}
    table = None if distance is None else _statistics(tuple(weights), grid, distance)
    return AttentionTrace(spec, grid, "0" * 64, layers, table, (), 0.0)


def _layer(weights: np.ndarray, query: int) -> LayerTrace:
    """Keys are the unit vectors, so that a query's scores are its own entries."""
    heads, tokens = weights.shape
    queries = torch.zeros(heads, tokens, tokens, dtype=torch.float64)
    queries[:, query] = torch.from_numpy(weights.astype(np.float64)).clamp(min=NOTHING).log()
    keys = torch.eye(tokens, dtype=torch.float64).repeat(heads, 1, 1)
    return LayerTrace(queries, keys, torch.zeros(heads, tokens), 1.0)


def _statistics(layers: tuple[int, ...], grid: TokenGrid, distance: np.ndarray) -> HeadStatistics:
    return HeadStatistics(layers, grid, {"distance_px": distance.astype(np.float32)})
