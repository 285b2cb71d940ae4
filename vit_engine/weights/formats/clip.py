"""OpenAI's CLIP (openai/CLIP): the visual transformer in a whole model's state dict, or alone.

open_clip's files have the same names of tensors. What no tensor shows is taken to be OpenAI's own, unless a Hugging
Face config.json lies beside the file; sizes that only others have published are refused without one, and files with
open_clip's own names without its open_clip_config.json. OpenAI's code runs at its native size alone: at others,
positions are resampled as Hugging Face's CLIP does it, bicubic, and open_clip's with its antialiasing.
"""

from collections.abc import Mapping
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats import hf_clip
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, is_whole, named
from vit_engine.weights.formats.common.hf_config import Config, read_preprocessing
from vit_engine.weights.formats.common.text import WHY_VISUAL, TextTower, no_text_tower, take_projection
from vit_engine.weights.formats.common.text_config import END, check_text_agreement, read_text_config
from vit_engine.weights.reading.listing import represent

_OTHERS = ((1280, 32), (1408, 40), (1664, 48))  # H, g and bigG of open_clip: (dim, depth)
_CONFIG = "open_clip_config.json"
_OPEN_CLIP = {"layers": 12, "width": 768, "head_width": 64, "patch_size": 16, "image_size": 224}  # CLIPVisionCfg
_OPEN_CLIP_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}  # CLIPTextCfg
# What else a text tower of open_clip's is by default, and must be here; and what makes no difference to it.
_PLAIN_TEXT = {"pool_type": "argmax", "proj_type": "linear"}
_NEUTRAL_TEXT = ("mlp_ratio", "act_kwargs", "norm_kwargs", "pad_id", "eos_id", "output_tokens", "hf_model_pretrained")
_TEXT_HEAD_WIDTH = 64  # of all of OpenAI's
_FILTERS = {"bilinear": 2, "bicubic": 3}  # by Pillow's numbers
_LAYER = r"transformer\.resblocks\.(\d+)\."
_RULES = (
    (r"class_embedding", r"cls_token"),
    (r"positional_embedding", r"pos_embed"),
    (r"conv1\.weight", r"patch_embed.proj.weight"),
    (r"ln_pre\.(weight|bias)", r"norm_pre.\1"),
    (_LAYER + r"ln_([12])\.(weight|bias)", r"blocks.\1.norm\2.\3"),
    (_LAYER + r"attn\.in_proj_(weight|bias)", r"blocks.\1.attn.qkv.\2"),
    (_LAYER + r"attn\.out_proj\.(weight|bias)", r"blocks.\1.attn.proj.\2"),
    (_LAYER + r"mlp\.c_fc\.(weight|bias)", r"blocks.\1.mlp.fc1.\2"),
    (_LAYER + r"mlp\.c_proj\.(weight|bias)", r"blocks.\1.mlp.fc2.\2"),
    (r"ln_post\.(weight|bias)", r"norm.\1"),
)
_ASSUMED = (
    "QuickGELU, as OpenAI's own models have it: no tensor shows the activation. Most models of open_clip, whose "
    "files have the same names, have a plain GELU; for those, put their Hugging Face config.json beside the file.",
    "LayerNorm's eps 1e-5, as all of OpenAI's and open_clip's models have it.",
)


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    if "visual.conv1.weight" in conversion:
        # What a whole model has beside its visual part, of names that visual transformers have too.
        conversion.drop(r"(transformer|token_embedding|ln_final|text)\..*", hf_clip.WHY_TEXT)
        conversion.drop(r"positional_embedding|text_projection|attn_mask", hf_clip.WHY_TEXT)
        _drop_numbers(conversion)
        conversion.strip("visual.")
    conversion.drop(r"proj", hf_clip.WHY_PROJECTION)
    conversion.rename(_RULES)
    hf_clip.add_axes(conversion)
    theirs = sidecar.config.get("model_type") == "open_clip"
    live = sidecar.live
    sidecar = in_hugging_faces_words(sidecar) if theirs else sidecar
    # OpenAI's files come without a config.json, so one of another model lies there by chance.
    clips = str(sidecar.config.get("model_type", "")).startswith("clip")
    config = hf_clip.read_clip_config(sidecar if clips else Sidecar())
    config.check_agreement(conversion)
    if not live:
        _check_known_activation(conversion, config)
    return config.metadata(
        conversion,
        family="clip",
        heads_from=_CONFIG if theirs else "config.json",
        resampling="antialias" if theirs else "bicubic",
        preprocessing=read_preprocessing(sidecar, hf_clip.PREPROCESSING),
        published=published.CLIP,
        assumed_equations=config.assumed(*_ASSUMED),
    )


def _drop_numbers(conversion: Conversion) -> None:
    conversion.drop(r"logit_(scale|bias)", hf_clip.WHY_SCALE)
    conversion.drop(r"input_resolution|context_length|vocab_size", "a size, which the tensors show")


def _text(conversion: Conversion, sidecar: Sidecar) -> TextTower:
    conversion.rename([(r"text\.(.*)", r"\1")])  # where open_clip has it as a module of its own
    if "visual.conv1.weight" not in conversion or "token_embedding.weight" not in conversion:
        raise no_text_tower()
    _drop_numbers(conversion)
    conversion.drop(r"attn_mask", "the causal mask")
    projection = take_projection(conversion, "visual.proj").mT
    conversion.drop(r"visual\..*", WHY_VISUAL)
    config = _text_config(sidecar)
    check_text_agreement(config, conversion)
    width = conversion["token_embedding.weight"].shape[1]
    heads = config.heads if config.given or width % _TEXT_HEAD_WIDTH else width // _TEXT_HEAD_WIDTH
    return TextTower(conversion, projection, heads, config.mlp, config.norm_eps)


def _text_config(sidecar: Sidecar) -> Config:
    kind = str(sidecar.config.get("model_type", ""))
    if kind == "open_clip":
        return read_text_config(_text_in_hugging_faces_words(sidecar.config["model_cfg"]))
    return read_text_config(sidecar if kind.startswith("clip") else Sidecar())


def _text_in_hugging_faces_words(model: Mapping[str, Any]) -> Sidecar:
    """CheckpointError where open_clip's configuration has a text tower that OpenAI's CLIP could not have."""
    given = model.get("text_cfg")
    if not isinstance(given, Mapping):
        raise CheckpointError(
            f"its {_CONFIG} has no text_cfg with names and values. Put the one that came with it there."
        )
    text = {**_OPEN_CLIP_TEXT, **given}
    known = {*_OPEN_CLIP_TEXT, *_NEUTRAL_TEXT}
    other = {key: value for key, value in text.items() if key not in known and value and value != _PLAIN_TEXT.get(key)}
    if other:
        raise CheckpointError(f"its {_CONFIG} has a text tower with {represent(other)}, which is not known here.")
    return Sidecar(
        {
            "model_type": "clip_text_model",
            "hidden_size": text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "vocab_size": text["vocab_size"],
            "hidden_act": _activation(model, text),
            "layer_norm_eps": (text.get("norm_kwargs") or {}).get("eps", 1e-5),
            "eos_token_id": END,
        }
    )


def _activation(model: Mapping[str, Any], tower: Mapping[str, Any]) -> str:
    smooth = (tower.get("act_kwargs") or {}).get("approximate") == "tanh"
    return "quick_gelu" if model.get("quick_gelu") else "gelu_new" if smooth else "gelu"


def _check_known_activation(conversion: Conversion, config: Config) -> None:
    size = conversion["cls_token"].shape[-1], len(conversion.layers())
    if size in _OTHERS and not config.given:
        raise CheckpointError(
            f"OpenAI published no CLIP of {size[0]} dimensions and {size[1]} layers; open_clip did, some with a GELU "
            "and some with QuickGELU, which no tensor shows. Put the model's Hugging Face config.json beside it."
        )


def in_hugging_faces_words(sidecar: Sidecar) -> Sidecar:
    """open_clip's configuration as a config.json. CheckpointError where there is none, or of no Vision Transformer."""
    model = sidecar.config.get("model_cfg")
    if not isinstance(model, Mapping) or not isinstance(model.get("vision_cfg"), Mapping):
        raise CheckpointError(
            "open_clip's models differ in their activation and in the width of their heads, which no tensor shows. "
            f"Put the {_CONFIG} that came with it, with its model_cfg and vision_cfg, beside it."
        )
    vision = {**_OPEN_CLIP, **model["vision_cfg"]}
    return Sidecar(_architecture(model, vision), _preprocessor(sidecar.config.get("preprocess_cfg") or {}))


def _architecture(model: Mapping[str, Any], vision: Mapping[str, Any]) -> dict[str, Any]:
    width, head_width = vision["width"], vision["head_width"]
    if not all(map(is_whole, (vision["layers"], width, head_width))) or width % head_width:
        raise CheckpointError(
            f"its {_CONFIG} must be of a Vision Transformer whose width is a multiple of its head_width; got "
            f"{vision['layers']!r:.40} layers, width {width!r:.40}, head_width {head_width!r:.40}."
        )
    return {
        "model_type": "clip_vision_model",
        "hidden_size": width,
        "num_hidden_layers": vision["layers"],
        "num_attention_heads": width // head_width,
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "hidden_act": _activation(model, vision),
        "layer_norm_eps": (vision.get("norm_kwargs") or {}).get("eps", 1e-5),
    }


def _preprocessor(pictures: Mapping[str, Any]) -> dict[str, Any]:
    """What it leaves out is as OpenAI's."""
    said = {"image_mean": pictures.get("mean"), "image_std": pictures.get("std")}
    said["resample"] = _FILTERS.get(pictures.get("interpolation", ""))
    return {key: value for key, value in said.items() if value is not None}


FORMAT = Format(
    "OpenAI CLIP",
    named("class_embedding", "conv1.weight", "ln_pre.weight", prefixes=("", "visual.")),
    _convert,
    text=_text,
)
