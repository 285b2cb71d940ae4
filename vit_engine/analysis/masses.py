"""What tokens hold, one number each, as it is passed on through layers of attention."""

import numpy as np
import torch
from torch import Tensor

from vit_engine.devices import widened
from vit_engine.grid import Query, TokenGrid
from vit_engine.model.weights import AttentionWeights
from vit_engine.trace.record import AttentionTrace, LayerTrace


def mass_of(trace: AttentionTrace, query: Query) -> Tensor:
    """One mass that the query's tokens share evenly: (tokens,), widened, on the trace's device."""
    tokens = torch.from_numpy(trace.grid.query_tokens(query))
    mass = widened(torch.zeros(trace.grid.tokens, device=next(iter(trace.layers.values())).keys.device))
    mass[tokens] = 1 / len(tokens)
    return mass


def patch_maps(tokens: Tensor, grid: TokenGrid) -> np.ndarray:
    """Of values (maps, tokens), those of the patches: float32 (maps, rows, cols)."""
    return tokens[:, grid.prefix :].float().unflatten(1, grid.shape).cpu().numpy()


def weights_of(layer: LayerTrace, rows: Tensor) -> AttentionWeights:
    """The weights that these tokens as queries give, ascending, to be read in chunks."""
    every = len(rows) == layer.queries.shape[1]
    vectors = layer.queries, layer.keys, layer.log_normalisers
    return AttentionWeights(*vectors, scale=layer.scale, rows=None if every else rows)
