"""Hugging Face's DINOv3 ViT (transformers.models.dinov3_vit): rotary positions, registers, mostly no bias of keys."""

from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named
from vit_engine.weights.formats.common.hf_config import BASE, Config, read_config, read_preprocessing
from vit_engine.weights.formats.common.hf_names import DINO_RULES, LAYER, WHY_MASK, join_parts, set_zero_biases

NATIVE = 224  # pixels, where nothing says it; rotary positions are made for no size in particular
_TYPES = {
    "dinov3_vit": {
        **BASE,
        "num_attention_heads": 6,
        "hidden_size": 384,
        "num_register_tokens": 0,
        "image_size": NATIVE,
        "layer_norm_eps": 1e-5,
        "rope_theta": 100.0,
        "query_bias": True,
        "key_bias": False,
        "value_bias": True,
        "proj_bias": True,
        "mlp_bias": True,
        "use_gated_mlp": False,
    }
}
_PLAIN = (
    (LAYER + r"mlp\.up_proj\.(weight|bias)", r"blocks.\1.mlp.fc1.\2"),
    (LAYER + r"mlp\.down_proj\.(weight|bias)", r"blocks.\1.mlp.fc2.\2"),
)
_GATES = {"silu": "swiglu", "swish": "swiglu", "gelu": "geglu"}
_ASSUMED = (
    "GELU (SiLU where the MLP is gated), LayerNorm's eps 1e-5 and rotary positions of base 100: there is no "
    "config.json, and all published models of this format have them."
)


def native_size(conversion: Conversion) -> tuple[int, int]:
    """(height, width) in pixels: whole patches in NATIVE, at least one."""
    patch_size = conversion["patch_embed.proj.weight"].shape[-1] or 1  # of none, which is refused elsewhere
    side = max(NATIVE - NATIVE % patch_size, patch_size)
    return side, side


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    config = read_config(sidecar, _TYPES)
    gated = any(".mlp.gate_proj." in name for name in conversion.tensors)
    conversion.drop(r"embeddings\.mask_token", WHY_MASK)
    conversion.rename(DINO_RULES if gated else (*_PLAIN, *DINO_RULES))
    _check_agreement(conversion, config, gated=gated)
    if not conversion["register_tokens"].shape[1]:
        conversion.drop("register_tokens", "holds none")
    _settle_biases(conversion, config, gated=gated)
    return config.metadata(
        conversion,
        family="dinov3",
        native_size=config.native_size(conversion) or native_size(conversion),
        mlp=_gated_mlp(config) if gated else None,
        preprocessing=read_preprocessing(sidecar, Preprocessing(interpolation="bilinear")),
        published=published.DINOV3,
        rope_base=config.number("rope_theta"),
        assumed=config.assumed(_ASSUMED),
    )


def _gated_mlp(config: Config) -> str:
    """By the gates' activation; CheckpointError for one that is not known here. GELU is transformers' default."""
    activation = config["hidden_act"] if config.given else "silu"
    if not isinstance(activation, str) or activation not in _GATES:
        raise CheckpointError(
            f"its MLP is gated by the activation (hidden_act) {activation!r:.100}; known here are {', '.join(_GATES)}."
        )
    return _GATES[activation]


def _check_agreement(conversion: Conversion, config: Config, *, gated: bool) -> None:
    """CheckpointError where tensors contradict config.json; those of a block are asked of the first."""
    layers = {
        "query_bias": "attn.q",
        "key_bias": "attn.k",
        "value_bias": "attn.v",
        "proj_bias": "attn.proj",
        "mlp_bias": "mlp.w3" if gated else "mlp.fc2",
    }
    config.check_agreement(
        conversion,
        use_gated_mlp=gated,
        num_register_tokens=conversion["register_tokens"].shape[1],
        **{key: f"blocks.0.{layer}.bias" in conversion for key, layer in layers.items()},
    )


def _settle_biases(conversion: Conversion, config: Config, *, gated: bool) -> None:
    """Zeros for the biases that this model is without."""
    if not config["proj_bias"]:
        set_zero_biases(conversion, "attn.proj")
    if not config["mlp_bias"]:
        set_zero_biases(conversion, *(("mlp.gate", "mlp.up", "mlp.w3") if gated else ("mlp.fc1", "mlp.fc2")))
    missing = [part for part in ("query", "key", "value") if not config[f"{part}_bias"]]
    join_parts(conversion, unbiased=[f"attn.{part[0]}" for part in missing])


FORMAT = Format(
    "Hugging Face DINOv3",
    named("embeddings.patch_embeddings.weight", "embeddings.register_tokens"),
    _convert,
    config_file="config.json",
    model_types=tuple(_TYPES),
)
