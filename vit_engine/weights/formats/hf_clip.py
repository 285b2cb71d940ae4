"""Hugging Face's CLIP (transformers.models.clip): the vision tower, alone or in a whole model."""

from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named
from vit_engine.weights.formats.common.hf_config import BASE, Config, read_config, read_preprocessing
from vit_engine.weights.formats.common.hf_names import LAYER, join_parts
from vit_engine.weights.formats.common.text import WHY_VISUAL, TextTower, layer_numbers, no_text_tower, take_projection
from vit_engine.weights.formats.common.text_config import check_text_agreement, read_text_config

PREPROCESSING = Preprocessing(mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711))
WHY_TEXT = "text tower, which text_target() reads when it is asked for"
WHY_PROJECTION = "projects the CLS token into the space that it shares with texts"
WHY_SCALE = "scales the similarity of pictures and texts"
_TOWER = "vision_model."
_DEFAULTS = {**BASE, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
_TYPES = {"clip_vision_model": _DEFAULTS, "clip": _DEFAULTS}
_RULES = (
    (r"embeddings\.class_embedding", r"cls_token"),
    (r"embeddings\.position_embedding\.weight", r"pos_embed"),
    (r"embeddings\.patch_embedding\.weight", r"patch_embed.proj.weight"),
    (r"pre_layrnorm\.(weight|bias)", r"norm_pre.\1"),  # as transformers spells it
    (LAYER + r"layer_norm([12])\.(weight|bias)", r"blocks.\1.norm\2.\3"),
    (LAYER + r"self_attn\.([qkv])_proj\.(weight|bias)", r"blocks.\1.attn.\2.\3"),
    (LAYER + r"self_attn\.out_proj\.(weight|bias)", r"blocks.\1.attn.proj.\2"),
    (LAYER + r"mlp\.fc([12])\.(weight|bias)", r"blocks.\1.mlp.fc\2.\3"),
    (r"post_layernorm\.(weight|bias)", r"norm.\1"),
)
_TEXT_TOWER = "text_model."
_TEXT_RULES = (
    (r"embeddings\.token_embedding\.weight", r"token_embedding.weight"),
    (r"embeddings\.position_embedding\.weight", r"positional_embedding"),
    (LAYER + r"layer_norm([12])\.(weight|bias)", r"transformer.resblocks.\1.ln_\2.\3"),
    (LAYER + r"self_attn\.([qkv])_proj\.(weight|bias)", r"transformer.resblocks.\1.attn.\2_\3"),
    (LAYER + r"self_attn\.out_proj\.(weight|bias)", r"transformer.resblocks.\1.attn.out_proj.\2"),
    (LAYER + r"mlp\.fc1\.(weight|bias)", r"transformer.resblocks.\1.mlp.c_fc.\2"),
    (LAYER + r"mlp\.fc2\.(weight|bias)", r"transformer.resblocks.\1.mlp.c_proj.\2"),
    (r"final_layer_norm\.(weight|bias)", r"ln_final.\1"),
)


def read_clip_config(sidecar: Sidecar) -> Config:
    """Of a vision tower, alone or in a whole model."""
    return read_config(sidecar, _TYPES)


def add_axes(conversion: Conversion) -> None:
    """The CLS token (D,) and the positions (N, D) get the axes that they lack."""
    conversion.combine(["cls_token"], "cls_token", lambda token: token[None, None])
    conversion.combine(["pos_embed"], "pos_embed", lambda positions: positions[None])


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    config = read_clip_config(sidecar)
    if not config.given and not sidecar.graph:
        raise CheckpointError(
            "a CLIP in Hugging Face's format does not show its activation, and published ones differ in it "
            "(OpenAI's have quick_gelu, LAION's gelu). Put its config.json beside it."
        )
    conversion.drop(r"text_(model|projection)\..*", WHY_TEXT)
    conversion.drop(r"visual_projection\.weight", WHY_PROJECTION)
    conversion.drop(r"logit_scale", WHY_SCALE)
    conversion.drop(
        r"classifier\.(weight|bias)", "classifier of the mean of patches that are not normalised, unknown here"
    )
    conversion.drop(r"(vision_model\.)?embeddings\.position_ids", "the numbers 0, 1, 2, …")
    conversion.strip(_TOWER)
    conversion.rename(_RULES)
    add_axes(conversion)
    join_parts(conversion)
    config.check_agreement(conversion)
    return config.metadata(conversion, family="clip", preprocessing=read_preprocessing(sidecar, PREPROCESSING))


def _text(conversion: Conversion, sidecar: Sidecar) -> TextTower:
    if f"{_TEXT_TOWER}embeddings.token_embedding.weight" not in conversion:
        raise no_text_tower()
    conversion.drop(r"vision_model\..*", WHY_VISUAL)
    conversion.drop(r"logit_scale", WHY_SCALE)
    conversion.drop(r"text_model\.embeddings\.position_ids", "the numbers 0, 1, 2, …")
    projection = take_projection(conversion, "visual_projection.weight")
    conversion.strip(_TEXT_TOWER)
    conversion.rename(_TEXT_RULES)
    for at in (f"transformer.resblocks.{layer}.attn." for layer in layer_numbers(conversion)):
        for kind in ("weight", "bias"):
            conversion.join([f"{at}{part}_{kind}" for part in "qkv"], f"{at}in_proj_{kind}")
    conversion.combine(["text_projection.weight"], "text_projection", lambda weight: weight.mT)
    config = read_text_config(sidecar)
    check_text_agreement(config, conversion)
    return TextTower(conversion, projection, config.heads, config.mlp, config.norm_eps)


FORMAT = Format(
    "Hugging Face CLIP",
    named("embeddings.class_embedding", "embeddings.patch_embedding.weight", prefixes=("", _TOWER)),
    _convert,
    model_types=tuple(_TYPES),
    text=_text,
)
