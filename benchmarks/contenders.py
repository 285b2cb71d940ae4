"""The contenders: each takes a loaded model, builds what it runs, and then runs on pictures.

limit             a plain forward pass, which shows no attention: nothing can cost less
ours              attend(), all statistics of all layers and heads
entropy           attend(), entropies without distances
ours_last_layer   attend(), all statistics of the last layer only
ours_first_layer  attend(), all statistics of layer 0 only
explicit          as DINO computes attention; the matrices of all layers are kept, then their entropies computed
last              as DINO's get_last_selfattention(): matrices in every layer, the last ones are kept
timm              timm's AttentionExtract: all layers' matrices by hooks, no statistics
transformers      transformers' ViTModel with output_attentions: all layers' matrices, no statistics

All compute with the same weights, so that all show the same attention; a test holds them to it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import vit_engine as ve
from vit_engine.model import Block


@dataclass(frozen=True)
class Pictures:
    """The same pictures in both forms: prepared for attend(), and as one batch (B, 3, height, width)."""

    prepared: tuple[ve.PreparedImage, ...]
    images: Tensor

    @classmethod
    def of_noise(cls, spec: ve.ModelSpec, *, size: tuple[int, int], count: int = 1) -> "Pictures":
        """size: (height, width) in pixels."""
        noise = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
        prepared = tuple(ve.prepare_image(Image.fromarray(each), spec, size=size) for each in noise)
        return cls(prepared, torch.stack([each.tensor for each in prepared]))


Run = Callable[[Pictures], object]
Build = Callable[[ve.LoadedModel], Run]


def build_limit(loaded: ve.LoadedModel) -> Run:
    return lambda pictures: loaded.model(pictures.images)


def attending(*, layers: str | int | Sequence[int] = "all", statistics: str = "all") -> Build:
    """attend(), one picture after another; it leaves the traces."""
    return lambda loaded: (
        lambda pictures: [ve.attend(loaded, each, layers=layers, statistics=statistics) for each in pictures.prepared]
    )


def build_explicit(loaded: ve.LoadedModel) -> Run:
    """Leaves (matrices, entropies), both by layer: (B, H, N, N) and (B, H, N)."""

    def run(pictures: Pictures) -> tuple[list[Tensor], list[Tensor]]:
        kept = []
        x = loaded.model.embed(pictures.images)
        for block in cast(Sequence[Block], loaded.model.blocks):
            x, weights = dino_block(block, x)
            kept.append(weights)
        return kept, [torch.special.entr(weights).sum(dim=-1) for weights in kept]

    return run


def build_last(loaded: ve.LoadedModel) -> Run:
    """Leaves one layer's matrices (B, H, N, N)."""

    def run(pictures: Pictures) -> Tensor:
        x = loaded.model.embed(pictures.images)
        *before, last = cast(Sequence[Block], loaded.model.blocks)
        for block in before:
            x, _ = dino_block(block, x)
        return dino_attention(last, x)[0]

    return run


def dino_block(block: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens after the block, and its matrices."""
    weights, v = dino_attention(block, x)
    return block.add(x, block.attn.project(weights @ v)), weights


def dino_attention(block: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices (B, H, N, N) and the values, as facebookresearch/dino computes them: the scores are scaled."""
    q, k, v = block.attn.queries_keys_values(block.norm1(x))
    scores = (q @ k.transpose(-2, -1)) * block.attn.scale
    return scores.softmax(dim=-1), v


def build_timm(loaded: ve.LoadedModel) -> Run:
    """Leaves the matrices (B, H, N, N) by the names of the modules that were hooked, in order of the layers."""
    from timm.utils import AttentionExtract  # noqa: PLC0415 - slow to import, and only needed here

    extract = AttentionExtract(timm_model(loaded), method="hook")
    return lambda pictures: extract(pictures.images)


def timm_model(loaded: ve.LoadedModel) -> nn.Module:
    """timm's model of the same shape with the same weights, its fused attention off."""
    from timm.models import VisionTransformer  # noqa: PLC0415 - slow to import, and only needed here

    spec = loaded.spec
    model = VisionTransformer(
        img_size=spec.native_size,
        patch_size=spec.patch_size,
        embed_dim=spec.dim,
        depth=spec.depth,
        num_heads=spec.heads,
        mlp_ratio=spec.mlp_ratio,
        num_classes=0,
        dynamic_img_size=True,
        weight_init="skip",
    )
    model.load_state_dict(loaded.model.state_dict())
    for block in model.blocks:
        block.attn.fused_attn = False  # fused attention never calls the module that is hooked: no maps come back
    return model.eval()


def build_transformers(loaded: ve.LoadedModel) -> Run:
    """Leaves the matrices (B, H, N, N), a tuple by layer."""
    model = transformers_model(loaded)
    return lambda pictures: model(pictures.images, output_attentions=True, interpolate_pos_encoding=True).attentions


def transformers_model(loaded: ve.LoadedModel) -> nn.Module:
    """transformers' model of the same shape with the same weights; eager: its fused attention returns no matrices."""
    from transformers import ViTConfig, ViTModel  # noqa: PLC0415 - slow to import, and only needed here

    spec = loaded.spec
    config = ViTConfig(
        hidden_size=spec.dim,
        num_hidden_layers=spec.depth,
        num_attention_heads=spec.heads,
        intermediate_size=round(spec.dim * spec.mlp_ratio),
        layer_norm_eps=1e-6,
        image_size=spec.native_size,
        patch_size=spec.patch_size,
        attn_implementation="eager",
    )
    model = ViTModel(config, add_pooling_layer=False)
    model.load_state_dict(transformers_weights(loaded.model.state_dict()))
    return model.eval()


# DINO's names to those of transformers' ViTModel, one after another.
RENAMED = (
    (r"^(cls_token)", r"embeddings.\1"),
    (r"^pos_embed", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "layers."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
)


def transformers_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same parameters by transformers' names: queries, keys and values are three there, not one."""
    renamed: dict[str, Tensor] = {}
    for own, value in weights.items():
        name = own
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        if ".attn.qkv." in name:
            three = (name.replace("attn.qkv", f"attention.{letter}_proj") for letter in "qkv")
            renamed |= zip(three, value.chunk(3), strict=True)
        else:
            renamed[name] = value
    return renamed


CONTENDERS: dict[str, Build] = {
    "limit": build_limit,
    "ours": attending(),
    "entropy": attending(statistics="entropy"),
    "ours_last_layer": attending(layers=-1),
    "ours_first_layer": attending(layers=[0]),
    "explicit": build_explicit,
    "last": build_last,
    "timm": build_timm,
    "transformers": build_transformers,
}
