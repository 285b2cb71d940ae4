"""What Hugging Face's Vision Transformers have in common: names of tensors, older spellings and newer ones.

transformers 5 has other names in memory (`layers.0.attention.q_proj`) than in the files that it writes
(`encoder.layer.0.attention.attention.query`); people save both.
"""

from collections.abc import Sequence, Set

import torch

from vit_engine.weights.conversion import Conversion

LAYER = r"(?:encoder\.|model\.)?layers?\.(\d+)\."
EMBEDDINGS = (
    (r"embeddings\.cls_token", r"cls_token"),
    (r"embeddings\.distillation_token", r"dist_token"),
    (r"embeddings\.register_tokens", r"register_tokens"),
    (r"embeddings\.position_embeddings", r"pos_embed"),
    (r"embeddings\.patch_embeddings\.(?:projection\.)?(weight|bias)", r"patch_embed.proj.\1"),
)
ATTENTION = (
    (LAYER + r"attention\.(?:attention\.query|q_proj)\.(weight|bias)", r"blocks.\1.attn.q.\2"),
    (LAYER + r"attention\.(?:attention\.key|k_proj)\.(weight|bias)", r"blocks.\1.attn.k.\2"),
    (LAYER + r"attention\.(?:attention\.value|v_proj)\.(weight|bias)", r"blocks.\1.attn.v.\2"),
    (LAYER + r"attention\.(?:output\.dense|o_proj)\.(weight|bias)", r"blocks.\1.attn.proj.\2"),
)
DINO_LAYER = (  # of Dinov2 and DINOv3
    (LAYER + r"norm([12])\.(weight|bias)", r"blocks.\1.norm\2.\3"),
    (LAYER + r"layer_scale([12])\.lambda1", r"blocks.\1.ls\2.gamma"),
)
WHY_MASK = "stands for patches that are hidden while it is trained"


def has(names: Set[str], *wanted: str, prefixes: Sequence[str] = ("",)) -> bool:
    """Whether all of the wanted names are there behind one and the same prefix."""
    return any({prefix + name for name in wanted} <= names for prefix in prefixes)


def join_projections(conversion: Conversion, *, unbiased: str = "") -> None:
    """Queries, keys and values, apart in the file, become one projection in every block.

    All three have a bias or none has, but for those in `unbiased`, some of "qkv": a zero bias, where the
    others have one and block 0 lacks theirs.
    """
    biased = [part for part in "qkv" if f"blocks.0.attn.{part}.bias" in conversion]
    for layer in conversion.layers():
        parts = [f"blocks.{layer}.attn.{part}" for part in "qkv"]
        if biased:
            _set_zeros(conversion, *(f"blocks.{layer}.attn.{part}" for part in unbiased if part not in biased))
            conversion.join([f"{part}.bias" for part in parts], f"blocks.{layer}.attn.qkv.bias")
        conversion.join([f"{part}.weight" for part in parts], f"blocks.{layer}.attn.qkv.weight")


def join_gates(conversion: Conversion) -> None:
    """Gates and values of a gated MLP, where they are apart in the file, become one projection in every block."""
    if "blocks.0.mlp.gate.weight" in conversion:
        for layer in conversion.layers():
            for kind in ("weight", "bias"):
                parts = [f"blocks.{layer}.mlp.{part}.{kind}" for part in ("gate", "up")]
                conversion.join(parts, f"blocks.{layer}.mlp.w12.{kind}")


def set_zero_biases(conversion: Conversion, *layers: str) -> None:
    """Linear layers of every block, by their names in it, have none in this model: zeros do the same."""
    for number in conversion.layers():
        _set_zeros(conversion, *(f"blocks.{number}.{layer}" for layer in layers))


def _set_zeros(conversion: Conversion, *layers: str) -> None:
    for layer in layers:
        conversion.set(f"{layer}.bias", torch.zeros(conversion[f"{layer}.weight"].shape[0]))
