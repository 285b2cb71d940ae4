"""Attention and its gradient by PyTorch's fused kernels for CPUs, which leave and take the log-normalisers too.

Scores that are too large for float32, and other devices, go the engine's own way: stream_attention() and
attention_backward(), which are exact at any size.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.grid import TokenGrid
from vit_engine.model.backward import AttentionGradients, attention_backward
from vit_engine.model.streaming import AttentionPlan, StreamedAttention, stream_attention
from vit_engine.model.weights import are_coarse

# What scaled_dot_product_attention() calls on a CPU; only this way does it also return the log-normalisers.
_FORWARD = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_BACKWARD = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


def exact_attention(
    queries: Float[Tensor, "B H N d"],
    keys: Float[Tensor, "B H N d"],
    values: Float[Tensor, "B H N d"],
    *,
    scale: float,
    plan: AttentionPlan,
) -> StreamedAttention:
    """What the plan asks of softmax(scale · q kᵀ) v; where that is no statistic, by the fused kernel. No gradients."""
    if plan.quantities:
        return stream_attention(queries, keys, values, scale=scale, plan=plan)
    output, log_normalisers = fused_attention(queries, keys, values, scale=scale, grid=plan.grid)
    return StreamedAttention(log_normalisers, output if plan.output else None)


def fused_attention(
    queries: Float[Tensor, "B H N d"],
    keys: Float[Tensor, "B H N d"],
    values: Float[Tensor, "B H N d"],
    *,
    scale: float,
    grid: TokenGrid,
) -> tuple[Float[Tensor, "B H N d"], Float[Tensor, "B H N"]]:
    """The output softmax(scale · q kᵀ) v and the log-normalisers, without statistics. No gradients are kept."""
    if _FORWARD is not None and _suits(queries.flatten(0, 1), keys.flatten(0, 1), scale):
        output, log_normalisers = _FORWARD(queries, keys, values, 0.0, False, scale=scale)
        return output, log_normalisers
    plan = AttentionPlan(grid, entropy=False, distance=False, argmax=False)
    streamed = stream_attention(queries, keys, values, scale=scale, plan=plan)
    assert streamed.output is not None
    return streamed.output, streamed.log_normaliser


def fused_backward(
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
    """As attention_backward(); its own way too where only some rows have a gradient."""
    if _BACKWARD is None or rows is not None or not _suits(queries, keys, scale):
        known = {"log_normalisers": log_normalisers, "output": output, "gradient": gradient}
        return attention_backward(queries, keys, values, **known, scale=scale, rows=rows)
    batched = (x[None] for x in (gradient, queries, keys, values, output, log_normalisers))
    return AttentionGradients(*(x[0] for x in _BACKWARD(*batched, 0.0, False, scale=scale)))


def _suits(queries: Tensor, keys: Tensor, scale: float) -> bool:
    exact = queries.dtype in {torch.float32, torch.float64}
    return queries.device.type == "cpu" and exact and not are_coarse(queries, keys, scale)
