"""Hugging Face's Dinov2 and Dinov2WithRegisters (transformers.models.dinov2, dinov2_with_registers).

Positions are resampled as transformers does it, which is not as facebookresearch/dinov2 does it: to the exact
size, without its offset; with registers both antialias.
"""

from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named
from vit_engine.weights.formats.common.hf_config import BASE, read_config, read_preprocessing
from vit_engine.weights.formats.common.hf_names import DINO_RULES, LAYER, WHY_MASK, join_parts

_DEFAULTS = {**BASE, "patch_size": 14, "layer_norm_eps": 1e-6, "qkv_bias": True, "use_swiglu_ffn": False}
_TYPES = {"dinov2": _DEFAULTS}
_WITH_REGISTERS = {"dinov2_with_registers": {**_DEFAULTS, "patch_size": 16, "num_register_tokens": 4}}
_RULES = (
    *DINO_RULES,
    (LAYER + r"mlp\.fc([12])\.(weight|bias)", r"blocks.\1.mlp.fc\2.\3"),
    (LAYER + r"mlp\.weights_in\.(weight|bias)", r"blocks.\1.mlp.w12.\2"),
    (LAYER + r"mlp\.weights_out\.(weight|bias)", r"blocks.\1.mlp.w3.\2"),
    (r"layernorm\.(weight|bias)", r"norm.\1"),
    (r"classifier\.(weight|bias)", r"head.\1"),
)
_ASSUMED = "GELU and LayerNorm's eps 1e-6: there is no config.json, and all published models of this format have them."
_PREFIXES = ("", "dinov2.", "dinov2_with_registers.")
_embedded = named("embeddings.patch_embeddings.projection.weight", "embeddings.position_embeddings", prefixes=_PREFIXES)


def _recognises(conversion: Conversion, sidecar: Sidecar) -> bool:
    scaled = any(name.endswith(".layer_scale1.lambda1") for name in conversion.tensors)
    return scaled and _embedded(conversion, sidecar)


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    conversion.strip(*_PREFIXES[1:])
    conversion.drop(r"embeddings\.mask_token", WHY_MASK)
    conversion.rename(_RULES)
    join_parts(conversion)
    found: dict[str, object] = {
        "qkv_bias": "blocks.0.attn.qkv.bias" in conversion,
        "use_swiglu_ffn": "blocks.0.mlp.w3.weight" in conversion,
    }
    registers = conversion["register_tokens"].shape[1] if "register_tokens" in conversion else None
    if registers is not None:
        found["num_register_tokens"] = registers
    if registers == 0:
        conversion.drop("register_tokens", "holds none")
    config = read_config(sidecar, _TYPES if registers is None else _WITH_REGISTERS)
    config.check_agreement(conversion, **found)
    return config.metadata(
        conversion,
        family="dinov2",
        pooling="cls_mean" if "head.weight" in conversion else "cls",
        resampling="bicubic" if registers is None else "antialias",
        preprocessing=read_preprocessing(sidecar, Preprocessing()),
        published=published.DINOV2,
        assumed=config.assumed(_ASSUMED),
    )


FORMAT = Format(
    "Hugging Face Dinov2", _recognises, _convert, config_file="config.json", model_types=(*_TYPES, *_WITH_REGISTERS)
)
