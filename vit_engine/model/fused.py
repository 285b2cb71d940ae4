"""Attention by PyTorch's fused kernel for CPUs, which leaves the log-normalisers too."""

import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.model.streaming import AttentionPlan, stream_attention
from vit_engine.model.weights import are_coarse
from vit_engine.spec import TokenGrid

# What scaled_dot_product_attention() calls on a CPU; only this way does it also return the log-normalisers.
_FUSED = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)


def fused_attention(
    queries: Float[Tensor, "B H N d"],
    keys: Float[Tensor, "B H N d"],
    values: Float[Tensor, "B H N d"],
    *,
    scale: float,
    grid: TokenGrid,
) -> tuple[Float[Tensor, "B H N d"], Float[Tensor, "B H N"]]:
    """The output softmax(scale · q kᵀ) v and the log-normalisers, without statistics. No gradients.

    Of scores that are too large for float32, and on other devices, by stream_attention().
    """
    suits = queries.device.type == "cpu" and queries.dtype in {torch.float32, torch.float64}
    if _FUSED is not None and suits and not are_coarse(queries.flatten(0, 1), keys.flatten(0, 1), scale):
        return tuple(_FUSED(queries, keys, values, 0.0, False, scale=scale))
    plan = AttentionPlan(grid, entropy=False, distance=False, argmax=False)
    streamed = stream_attention(queries, keys, values, scale=scale, plan=plan)
    assert streamed.output is not None
    return streamed.output, streamed.log_normaliser
