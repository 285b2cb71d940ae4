"""DINOv3's ViTs (facebookresearch/dinov3): rotary positions, storage tokens (registers), keys without a bias."""

import torch
from torch import Tensor

from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named
from vit_engine.weights.formats.dinov2 import drop_training, take_classifier
from vit_engine.weights.formats.hf_dinov3 import native_size

_RULES = (
    (r"storage_tokens", r"register_tokens"),
    (r"rope_embed\.periods", r"rope_periods"),
)
_ASSUMED = (
    "LayerNorm's eps 1e-5 and places from −1 to 1 over each side: all published models have them, and no tensor "
    "shows them.",
)


def masked(bias: Tensor, mask: Tensor) -> Tensor:
    """A bias (3 D,) of queries, keys and values as LinearKMaskedBias uses it: zero where the mask is.

    The product would keep a NaN that is masked. A mask that nobody has set is NaN, and means that of the keys.
    """
    if mask.isnan().any():
        mask = torch.ones_like(mask)
        mask[len(mask) // 3 : 2 * len(mask) // 3] = 0
    return torch.where(mask == 0, torch.zeros_like(bias), bias * mask.to(bias.dtype))


def _convert(conversion: Conversion, _: Sidecar) -> Metadata:
    drop_training(conversion)
    conversion.drop(r"local_cls_norm\.(weight|bias)", "normalises small crops while it is trained")
    conversion.rename(_RULES)
    for layer in conversion.layers():
        bias, mask = f"blocks.{layer}.attn.qkv.bias", f"blocks.{layer}.attn.qkv.bias_mask"
        if mask in conversion:
            conversion.combine([bias, mask], bias, masked)
    if "blocks.0.mlp.w1.weight" in conversion:
        conversion.join_layers(("mlp.w1", "mlp.w2"), "mlp.w12")
    # A period turns a pair of dimensions with the row and a pair with the column: four of a head's.
    dim, head_dim = conversion["cls_token"].shape[-1], 4 * conversion["rope_periods"].numel()
    if not head_dim or dim % head_dim:
        raise CheckpointError(
            f"its {head_dim // 4} rotary periods are of heads of {head_dim} dimensions, which {dim} are no multiple of."
        )
    return Metadata(
        family="dinov3",
        heads=dim // head_dim,
        heads_from="the periods of its rotary positions",
        native_size=native_size(conversion),
        norm_eps=1e-5,
        pooling=take_classifier(conversion),
        preprocessing=Preprocessing(interpolation="bilinear"),
        published=published.DINOV3,
        assumed_equations=_ASSUMED,
    )


FORMAT = Format("DINOv3", named("cls_token", "rope_embed.periods", "patch_embed.proj.weight"), _convert)
