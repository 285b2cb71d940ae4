"""A ⊙ ∇A, attention weights times their gradients, in chunks: what relevance, gradient rollout and others sum.

∇A = G Vᵀ has rank d, so a chunk of it is one product beside the chunk of A. Each is summed and dropped; only queries
that count and have a gradient are read.
"""

import torch
from torch import Tensor

from vit_engine.analysis.masses import weights_of
from vit_engine.model.chunks import chunk_bytes, slices
from vit_engine.model.weights import AttentionWeights
from vit_engine.trace.gradients import LayerGradients
from vit_engine.trace.record import LayerTrace


def positive_sums(layer: LayerTrace, gradients: LayerGradients, mass: Tensor) -> Tensor:
    """Σ_i mass_i (A ⊙ ∇A)⁺_ij of each head and key j: (heads, tokens), from a mass (tokens,) of at least 0 a query."""
    rows = _rows(mass, gradients.rows)
    if not len(rows):
        return torch.zeros_like(layer.log_normalisers)
    weights = weights_of(layer, rows)
    # The mass is at least 0, so it may enter before the positive part is taken: here it costs nothing.
    g = (gradients.gradients[:, rows] * mass[rows, None]).to(weights.dtype)
    v = gradients.values.to(weights.dtype)
    total = v.new_zeros(v.shape[:2])
    scratch = v.new_empty(0)
    for chunk in weights.chunks():
        scratch = scratch if len(scratch) >= chunk.weights.numel() else v.new_empty(chunk.weights.numel())
        product = scratch[: chunk.weights.numel()].view(chunk.weights.shape)
        torch.bmm(g[chunk.at_queries], v[chunk.at_keys].mT, out=product)
        total[chunk.at_keys] += product.relu_().mul_(chunk.weights).sum(dim=-2)
    return total


def fused_step(layer: LayerTrace, gradients: LayerGradients, mass: Tensor, *, residual: float) -> Tensor:
    """Σ_i mass_i F̃_ij of each key j: (tokens,), where F̃ is residual·I + (1 − residual)·F with rows that sum to 1.

    F = ReLU(mean over heads of A ⊙ ∇A). A query without F keeps its mass by the residual; without either it loses it.
    """
    rows = _rows(mass, gradients.rows)
    kept = mass.clone() if residual else torch.zeros_like(mass)
    if not len(rows) or residual == 1:
        return kept
    kept[rows] = 0
    weights = weights_of(layer, rows)
    g, v = (x.to(weights.dtype) for x in (gradients.gradients[:, rows], gradients.values))
    for some in slices(len(rows), _band(v)):
        fused = _fused(weights, g, v, some)
        totals = residual + (1 - residual) * fused.sum(dim=-1)
        share = mass[rows[some]] / torch.where(totals > 0, totals, 1)
        kept += ((1 - residual) * share.to(fused.dtype)) @ fused
        kept[rows[some]] += residual * share
    return kept


def _fused(weights: AttentionWeights, g: Tensor, v: Tensor, queries: slice) -> Tensor:
    """Rows of F (queries, tokens)."""
    total = v.new_zeros(queries.stop - queries.start, v.shape[1])
    for head in range(len(v)):
        total.addcmul_(weights.rows(head, queries), g[head, queries] @ v[head].mT)
    return total.div_(len(v)).relu_()


def _band(v: Tensor) -> int:
    """How many queries at a time, against all keys, fit a core's cache."""
    return max(1, chunk_bytes(v.device) // (v.element_size() * v.shape[1]))


def _rows(mass: Tensor, with_gradient: Tensor | None) -> Tensor:
    """The queries that have a mass and a gradient."""
    counts = mass != 0
    if with_gradient is not None:
        counts &= torch.zeros_like(counts).index_fill_(0, with_gradient, value=True)
    return torch.nonzero(counts).flatten()
