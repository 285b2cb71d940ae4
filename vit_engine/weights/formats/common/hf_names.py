"""What Hugging Face's Vision Transformers have in common: names of tensors, older spellings and newer ones.

transformers 5 has other names in memory (`layers.0.attention.q_proj`) than in the files that it writes
(`encoder.layer.0.attention.attention.query`); people save both.
"""

from collections.abc import Collection

import torch

from vit_engine.weights.conversion import Conversion

LAYER = r"(?:encoder\.|model\.)?layers?\.(\d+)\."
RULES = (
    (r"embeddings\.cls_token", r"cls_token"),
    (r"embeddings\.distillation_token", r"dist_token"),
    (r"embeddings\.register_tokens", r"register_tokens"),
    (r"embeddings\.position_embeddings", r"pos_embed"),
    (r"embeddings\.patch_embeddings\.(?:projection\.)?(weight|bias)", r"patch_embed.proj.\1"),
    (LAYER + r"attention\.(?:attention\.query|q_proj)\.(weight|bias)", r"blocks.\1.attn.q.\2"),
    (LAYER + r"attention\.(?:attention\.key|k_proj)\.(weight|bias)", r"blocks.\1.attn.k.\2"),
    (LAYER + r"attention\.(?:attention\.value|v_proj)\.(weight|bias)", r"blocks.\1.attn.v.\2"),
    (LAYER + r"attention\.(?:output\.dense|o_proj)\.(weight|bias)", r"blocks.\1.attn.proj.\2"),
)
DINO_RULES = (  # of Dinov2 and DINOv3
    *RULES,
    (LAYER + r"norm([12])\.(weight|bias)", r"blocks.\1.norm\2.\3"),
    (LAYER + r"layer_scale([12])\.lambda1", r"blocks.\1.ls\2.gamma"),
    (LAYER + r"mlp\.gate_proj\.(weight|bias)", r"blocks.\1.mlp.gate.\2"),
    (LAYER + r"mlp\.up_proj\.(weight|bias)", r"blocks.\1.mlp.up.\2"),
    (LAYER + r"mlp\.down_proj\.(weight|bias)", r"blocks.\1.mlp.w3.\2"),
)
WHY_MASK = "stands for patches that are hidden while it is trained"


def join_parts(conversion: Conversion, *, unbiased: Collection[str] = ()) -> None:
    """Queries, keys and values of every block become one projection, and so do a gated MLP's gates and values.

    unbiased: of "attn.q", "attn.k", "attn.v", those whose bias is zero where only others of the three have one.
    """
    parts = ("attn.q", "attn.k", "attn.v")
    biased = [part for part in parts if f"blocks.0.{part}.bias" in conversion]
    if biased:
        set_zero_biases(conversion, *(part for part in unbiased if part not in biased))
    conversion.join_layers(parts, "attn.qkv", kinds=("bias", "weight"))
    if "blocks.0.mlp.gate.weight" in conversion:
        conversion.join_layers(("mlp.gate", "mlp.up"), "mlp.w12")


def set_zero_biases(conversion: Conversion, *layers: str) -> None:
    """Linear layers of every block, by their names in it, have none in this model: zeros do the same."""
    for name in [f"blocks.{number}.{layer}" for number in conversion.layers() for layer in layers]:
        conversion.set(f"{name}.bias", torch.zeros(conversion[f"{name}.weight"].shape[0]))
