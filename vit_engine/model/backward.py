"""The gradient of exact attention, in memory linear in the tokens.

With O = A V and G = ∂y/∂O, the gradient of the weights is ∇A = G Vᵀ, which is never held whole: a chunk of weights
gives its part of ∂y/∂V = Aᵀ G and, by ∂y/∂S = A ⊙ (∇A − (G ⊙ O) 1), of the gradients of queries and keys (Dao et al.
2022, arXiv 2205.14135, appendix B). Queries without a gradient are left out: under a classifier that reads the CLS
token, the last layer has one row.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.model.chunks import chunk_bytes
from vit_engine.model.weights import AttentionWeights, are_coarse


class AttentionGradients(NamedTuple):
    """∂y/∂q, ∂y/∂k and ∂y/∂v: (H, N, d) each, in the dtype of the inputs."""

    queries: Tensor
    keys: Tensor
    values: Tensor


def attention_backward(
    queries: Float[Tensor, "H N d"],
    keys: Float[Tensor, "H N d"],
    values: Float[Tensor, "H N d"],
    *,
    log_normalisers: Float[Tensor, "H N"],
    output: Float[Tensor, "H N d"],
    gradient: Float[Tensor, "H N d"],
    scale: float,
    rows: Tensor | None = None,
) -> AttentionGradients:
    """The gradients of a scalar by queries, keys and values, from its gradient by the output softmax(scale · q kᵀ) v.

    rows: the queries whose gradient is not zero; None for all.
    """
    if rows is not None and not len(rows):
        return AttentionGradients(*(torch.zeros_like(x) for x in (queries, keys, values)))
    if len(queries) > 1 and are_coarse(queries, keys, scale):  # in float64: one head at a time, which needs less memory
        vectors = queries, keys, values, log_normalisers, output, gradient
        return _by_head(*vectors, scale=scale, rows=rows)
    weights = AttentionWeights(queries, keys, log_normalisers, scale=scale, rows=rows)
    chosen = slice(None) if rows is None else rows
    q, k, v, o, g = (
        x.to(weights.dtype) for x in (queries[:, chosen], keys, values, output[:, chosen], gradient[:, chosen])
    )
    of_q, of_k, of_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    # ∇A − (G ⊙ O) 1 in one product: what is subtracted from a row is one more dimension, against ones.
    rise = torch.cat([g, -(g * o).sum(dim=-1, keepdim=True)], dim=-1)
    ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    for chunk in weights.chunks():
        of_v[chunk.at_keys].baddbmm_(chunk.weights.mT, g[chunk.at_queries])
        of_scores = torch.bmm(rise[chunk.at_queries], ones[chunk.at_keys].mT).mul_(chunk.weights)
        of_q[chunk.at_queries].baddbmm_(of_scores, k[chunk.at_keys])
        of_k[chunk.at_keys].baddbmm_(of_scores.mT, q[chunk.at_queries])
    whole = of_q if rows is None else torch.zeros_like(k).index_copy_(1, rows, of_q)
    return AttentionGradients(*(x.to(queries.dtype) for x in (whole.mul_(scale), of_k.mul_(scale), of_v)))


def _by_head(*vectors: Tensor, scale: float, rows: Tensor | None) -> AttentionGradients:
    names = "queries", "keys", "values", "log_normalisers", "output", "gradient"
    of_heads = [
        attention_backward(**dict(zip(names, head, strict=True)), scale=scale, rows=rows)
        for head in zip(*(each.split(1) for each in vectors), strict=True)
    ]
    return AttentionGradients(*(torch.cat(parts) for parts in zip(*of_heads, strict=True)))


def relu_row_sum(gradients: Tensor, values: Tensor) -> Tensor:
    """Σ_i ReLU(G_i · V_j) of each head and key j: (heads, tokens), from G (heads, rows, d) and V (heads, tokens, d)."""
    total = values.new_zeros(values.shape[:2])
    step = max(1, chunk_bytes(values.device) // (values.element_size() * values.shape[1]))
    for head, (g, v) in enumerate(zip(gradients, values, strict=True)):
        for rows in g.split(step):
            total[head] += (rows @ v.mT).relu_().sum(dim=0)
    return total
