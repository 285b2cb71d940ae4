"""Hugging Face's ViT (transformers.models.vit), with its classifier, its pooler or its decoder.

ViT-MAE and ViT-MSN have the same encoder and the same names.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar
from vit_engine.weights.formats.common.hf_config import HALF, assumed_pictures, read_config, read_preprocessing
from vit_engine.weights.formats.common.hf_names import ATTENTION, EMBEDDINGS, LAYER, WHY_MASK, has, join_projections
from vit_engine.weights.formats.common.published import VIT, Published

DEFAULTS = {
    "num_attention_heads": 12,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
}
RULES = (
    *EMBEDDINGS,
    *ATTENTION,
    (LAYER + r"layernorm_before\.(weight|bias)", r"blocks.\1.norm1.\2"),
    (LAYER + r"layernorm_after\.(weight|bias)", r"blocks.\1.norm2.\2"),
    (LAYER + r"(?:intermediate\.dense|mlp\.fc1)\.(weight|bias)", r"blocks.\1.mlp.fc1.\2"),
    (LAYER + r"(?:output\.dense|mlp\.fc2)\.(weight|bias)", r"blocks.\1.mlp.fc2.\2"),
    (r"layernorm\.(weight|bias)", r"norm.\1"),
    (r"(?:cls_)?classifier\.(weight|bias)", r"head.\1"),
    (r"distillation_classifier\.(weight|bias)", r"head_dist.\1"),
)
ASSUMED = "GELU and LayerNorm's eps 1e-12: there is no config.json, and all published models of this format have them."
_TYPES = {"vit": DEFAULTS, "vit_mae": DEFAULTS, "vit_msn": {**DEFAULTS, "layer_norm_eps": 1e-6}}


def rename(conversion: Conversion, prefix: str) -> None:
    """The names of ViT and DeiT, which differ in their prefix and in what stands before the patches."""
    conversion.strip(prefix)
    conversion.drop(r"pooler\.dense\.(weight|bias)", "projects the CLS token further, after all attention")
    conversion.drop(r"embeddings\.mask_token", WHY_MASK)
    conversion.drop(r"decoder\..*", "decoder of masked image modelling")
    conversion.rename(RULES)
    join_projections(conversion)


def convert(
    conversion: Conversion,
    sidecar: Sidecar,
    *,
    family: str,
    types: Mapping[str, Mapping[str, Any]],
    pictures: Preprocessing,
    published: Published,
) -> Metadata:
    """ViT and DeiT. types: defaults by model type; pictures: how they are wanted where nothing says it."""
    config = read_config(sidecar, types)
    rename(conversion, f"{family}.")
    config.check_agreement(conversion, qkv_bias="blocks.0.attn.qkv.bias" in conversion)
    return Metadata(
        family=family,
        heads=config.heads,
        heads_from="config.json",
        native_size=config.native_size(conversion),
        mlp=config.mlp,
        norm_eps=config.norm_eps,
        pooling="cls_dist" if "head_dist.weight" in conversion else "cls",
        preprocessing=read_preprocessing(sidecar, pictures),
        class_names=config.class_names(conversion),
        published=published,
        assumed=config.assumed(ASSUMED) + assumed_pictures(sidecar, pictures),
    )


FORMAT = Format(
    "Hugging Face ViT",
    lambda names, sidecar: has(
        names,
        "embeddings.patch_embeddings.projection.weight",
        "embeddings.position_embeddings",
        prefixes=("", "vit."),
    ),
    partial(
        convert,
        family="vit",
        types=_TYPES,
        pictures=Preprocessing(mean=HALF, std=HALF, interpolation="bilinear"),
        published=VIT,
    ),
    config_file="config.json",
)
