"""Hugging Face's DeiT (transformers.models.deit), with one classifier, or one for each of its two tokens."""

from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.format import Format, Origin, Traits
from vit_engine.weights.formats.hf_config import HALF, assumed_pictures, read_config, read_preprocessing
from vit_engine.weights.formats.hf_names import has
from vit_engine.weights.formats.hf_vit import ASSUMED, DEFAULTS, rename

PUBLISHED = {(192, 12): 3, (384, 12): 6, (768, 12): 12}


def _convert(conversion: Conversion, origin: Origin) -> Traits:
    config, pictures = read_config(origin, {"deit": DEFAULTS}), Preprocessing(mean=HALF, std=HALF)
    rename(conversion, "deit.")
    config.demand_agreement(conversion, qkv_bias="blocks.0.attn.qkv.bias" in conversion)
    return Traits(
        family="deit",
        heads=config.heads,
        heads_from="config.json",
        native_size=config.native_size(conversion),
        mlp=config.mlp,
        norm_eps=config.norm_eps,
        pooling="cls_dist" if "head_dist.weight" in conversion else "cls",
        preprocessing=read_preprocessing(origin, pictures),
        class_names=config.class_names(conversion),
        published=PUBLISHED,
        assumed=config.assumed(ASSUMED) + assumed_pictures(origin, pictures),
    )


FORMAT = Format(
    "Hugging Face DeiT",
    lambda names, origin: has(
        names,
        "embeddings.patch_embeddings.projection.weight",
        "embeddings.distillation_token",
        prefixes=("", "deit."),
    ),
    _convert,
    companion="config.json",
)
