"""open_clip's open_clip_config.json (mlfoundations/open_clip), in the words of Hugging Face's configurations."""

from collections.abc import Mapping
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.formats.common.format import Sidecar, is_whole

CONFIG = "open_clip_config.json"
_DEFAULTS = {"layers": 12, "width": 768, "head_width": 64, "patch_size": 16, "image_size": 224}  # CLIPVisionCfg
_FILTERS = {"bilinear": 2, "bicubic": 3}  # by Pillow's numbers


def in_hugging_faces_words(sidecar: Sidecar) -> Sidecar:
    """The same configuration. CheckpointError where there is none, or not of a Vision Transformer."""
    model = sidecar.config.get("model_cfg")
    if not isinstance(model, Mapping) or not isinstance(model.get("vision_cfg"), Mapping):
        raise CheckpointError(
            "open_clip's models differ in their activation and in the width of their heads, which no tensor shows. "
            f"Put the {CONFIG} that came with it, with its model_cfg and vision_cfg, beside it."
        )
    vision = {**_DEFAULTS, **model["vision_cfg"]}
    return Sidecar(_architecture(model, vision), _preprocessor(sidecar.config.get("preprocess_cfg") or {}))


def _architecture(model: Mapping[str, Any], vision: Mapping[str, Any]) -> dict[str, Any]:
    width, head_width = vision["width"], vision["head_width"]
    if not all(map(is_whole, (vision["layers"], width, head_width))) or width % head_width:
        raise CheckpointError(
            f"its {CONFIG} must be of a Vision Transformer whose width is a multiple of its head_width; got "
            f"{vision['layers']!r:.40} layers, width {width!r:.40}, head_width {head_width!r:.40}."
        )
    smooth = (vision.get("act_kwargs") or {}).get("approximate") == "tanh"
    return {
        "model_type": "clip_vision_model",
        "hidden_size": width,
        "num_hidden_layers": vision["layers"],
        "num_attention_heads": width // head_width,
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu_new" if smooth else "gelu",
        "layer_norm_eps": (vision.get("norm_kwargs") or {}).get("eps", 1e-5),
    }


def _preprocessor(pictures: Mapping[str, Any]) -> dict[str, Any]:
    """What it leaves out is as OpenAI's."""
    said = {"image_mean": pictures.get("mean"), "image_std": pictures.get("std")}
    said["resample"] = _FILTERS.get(pictures.get("interpolation", ""))
    return {key: value for key, value in said.items() if value is not None}
