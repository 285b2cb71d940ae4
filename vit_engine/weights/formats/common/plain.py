"""What files with timm's names can hold and VisionTransformer cannot be: refused by name, because some would pass."""

import math
import re
from collections.abc import Set

import torch

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion

# (pattern of a whole name, what such a tensor belongs to), asked in this order.
UNUSUAL = (
    (r"embeds\..*", "the embedding of a NaFlexVit, for pictures of many shapes at once"),
    (r".*\.rel_pos\..*", "relative positions"),
    (r"(.*\.)?rope\..*", "rotary positions of its own"),
    (r"patch_embed\.norm\..*", "a normalisation of the patch embedding"),
    (r"patch_embed\.(?!proj\.(weight|bias)$).*", "a stem of several layers in place of the patch projection"),
    (r"blocks\.\d+\.(attn\.)?[qk]_norm\..*", "normalised queries and keys (qk_norm)"),
    (r"blocks\.\d+\.((attn|mlp)\.norm|attn\.inner_attn_ln)\..*", "normalisations within attention or MLP"),
    (r"blocks\.\d+\.(attns|ffns|in_proj|in_norm)\..*", "attention and MLP side by side (parallel blocks)"),
    (r"blocks\.\d+\.(attn\.)?(lambda_.*|sub_norm\..*)", "differential attention"),
    (r"blocks\.\d+\.attn\.(gate\..*|gating_param)", "gated attention"),
    (r"blocks\.\d+\.attn\.([qkv]_(bias|proj)|qk|[qkv])(\..*)?", "queries, keys and values of separate projections"),
    (r"blocks\.\d+\.attn\.proj_[lw]\..*|blocks_token_only\..*", "talking heads and class attention (CaiT)"),
)


def canonical(names: Set[str]) -> bool:
    """Whether names are those that timm, DeiT, MAE and DINO share, of whatever Vision Transformer."""
    embedded = any(name.startswith(("patch_embed.", "embeds.")) for name in names)
    return embedded and any(name.startswith("blocks.0.") for name in names)


def refuse_unusual(conversion: Conversion) -> None:
    """CheckpointError where tensors show equations that VisionTransformer does not have, or no CLS token."""
    for pattern, what in UNUSUAL:
        found = [name for name in conversion.tensors if re.fullmatch(pattern, name)]
        if found:
            raise _refusal(f"it has {what}: {found[0]}")
    if "blocks.0.norm1.weight" in conversion and "blocks.0.norm1.bias" not in conversion:
        raise _refusal("its normalisations have no bias (RMSNorm)")
    if "cls_token" not in conversion:
        raise _refusal("it has no CLS token (timm's class_token=False), and every query 'cls' would mean nothing")
    if "norm.weight" not in conversion and "fc_norm.weight" not in conversion:
        raise _refusal("it has no normalisation after the last block (timm's final_norm=False), or lost it")


def _refusal(found: str) -> CheckpointError:
    return CheckpointError(
        f"{found}. Expected a plain Vision Transformer: a CLS token, a patch projection, blocks of attention and MLP "
        "one after the other, LayerNorms. Load a model of that kind."
    )


def without_cls_position(conversion: Conversion) -> None:
    """Positions of patches alone get a row of zeros for the CLS token in front, which adds nothing to it."""
    conversion.combine(["pos_embed"], "pos_embed", lambda rows: torch.cat([torch.zeros_like(rows[:, :1]), rows], dim=1))


def is_square(patches: int) -> bool:
    """Whether so many patches, at least one, are a square grid."""
    return patches > 0 and math.isqrt(patches) ** 2 == patches
