"""Hugging Face's ViT, ViT-MAE and ViT-MSN (transformers.models.vit, …), with classifier, pooler or decoder."""

from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named
from vit_engine.weights.formats.common.hf_config import BASE, HALF, Defaults, read_config, read_preprocessing
from vit_engine.weights.formats.common.hf_names import LAYER, RULES, WHY_MASK, join_parts
from vit_engine.weights.formats.common.published import VIT, Published

DEFAULTS = {**BASE, "layer_norm_eps": 1e-12, "qkv_bias": True}
_RULES = (
    *RULES,
    (LAYER + r"layernorm_before\.(weight|bias)", r"blocks.\1.norm1.\2"),
    (LAYER + r"layernorm_after\.(weight|bias)", r"blocks.\1.norm2.\2"),
    (LAYER + r"(?:intermediate\.dense|mlp\.fc1)\.(weight|bias)", r"blocks.\1.mlp.fc1.\2"),
    (LAYER + r"(?:output\.dense|mlp\.fc2)\.(weight|bias)", r"blocks.\1.mlp.fc2.\2"),
    (r"layernorm\.(weight|bias)", r"norm.\1"),
    (r"(?:cls_)?classifier\.(weight|bias)", r"head.\1"),
    (r"distillation_classifier\.(weight|bias)", r"head_dist.\1"),
)
_ASSUMED = "GELU and LayerNorm's eps 1e-12: there is no config.json, and all published models of this format have them."


def make_format(
    family: str, name: str, telling: str, *, types: Defaults, pictures: Preprocessing, published: Published
) -> Format:
    """ViT's or DeiT's. telling: a tensor that is there, too. pictures: how they are wanted where nothing says it."""

    def convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
        config = read_config(sidecar, types)
        conversion.strip(f"{family}.")
        conversion.drop(r"pooler\.dense\.(weight|bias)", "projects the CLS token further, after all attention")
        conversion.drop(r"embeddings\.mask_token", WHY_MASK)
        conversion.drop(r"decoder\..*", "decoder of masked image modelling")
        conversion.rename(_RULES)
        join_parts(conversion)
        config.check_agreement(conversion, qkv_bias="blocks.0.attn.qkv.bias" in conversion)
        return config.metadata(
            conversion,
            family=family,
            pooling="cls_dist" if "head_dist.weight" in conversion else "cls",
            preprocessing=read_preprocessing(sidecar, pictures),
            published=published,
            assumed=config.assumed(_ASSUMED) + _assumed_pictures(sidecar, pictures),
        )

    recognises = named("embeddings.patch_embeddings.projection.weight", telling, prefixes=("", f"{family}."))
    return Format(name, recognises, convert, config_file="config.json", model_types=tuple(types))


def _assumed_pictures(sidecar: Sidecar, default: Preprocessing) -> tuple[str, ...]:
    """For the report, of formats whose models differ in it, where no preprocessor_config.json says it."""
    if sidecar.preprocessor:
        return ()
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (default.mean, default.std))
    return (
        f"Pictures are normalised with mean {mean} and std {std}, transformers' default: there is no "
        "preprocessor_config.json, and published models of this format differ in it.",
    )


FORMAT = make_format(
    "vit",
    "Hugging Face ViT",
    "embeddings.position_embeddings",
    types={"vit": DEFAULTS, "vit_mae": DEFAULTS, "vit_msn": {**DEFAULTS, "layer_norm_eps": 1e-6}},
    pictures=Preprocessing(mean=HALF, std=HALF, interpolation="bilinear"),
    published=VIT,
)
