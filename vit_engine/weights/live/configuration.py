"""What a module says of itself, in the words of the configuration that its library saves beside weights."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from vit_engine.errors import CheckpointError
from vit_engine.model import VisionTransformer
from vit_engine.weights.formats.vit_engine import MODEL_TYPE
from vit_engine.weights.live.owner import Owner


class Configuration(NamedTuple):
    name: str  # for people
    config: Mapping[str, Any]
    preprocessor: Mapping[str, Any]


def configuration_of(owner: Owner) -> Configuration:
    """Empty of modules whose class no library here knows: names and shapes of their tensors say the rest.

    CheckpointError where a module of a library's class has not what the library gives it.
    """
    try:
        return _configuration(owner)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"its class is {owner.library}'s, and its attributes are not as {owner.library} makes them "
            f"({type(error).__name__}: {error}). Pass a module as {owner.library} makes it."
        ) from error


def _configuration(owner: Owner) -> Configuration:
    module: Any = owner.module  # attributes of it are of its library
    name = type(module).__name__
    if isinstance(module, VisionTransformer):
        return Configuration(name, _own(module), {})
    if owner.library == "timm":
        config = _timm(module)
        return Configuration(config["architecture"], config, {})
    if owner.library == "transformers":
        config = _plain(module.config.to_dict())
        return Configuration(str(config.get("_name_or_path") or "").rsplit("/", 1)[-1] or name, config, {})
    return Configuration(name, {}, _open_clip_pictures(module))


def _own(module: VisionTransformer) -> dict[str, Any]:
    size = [side * module.patch_size for side in module.native_grid]
    return {"model_type": MODEL_TYPE, "native_size": size, "pooling": module.pooling, "resampling": module.resampling}


def _timm(module: Any) -> dict[str, Any]:
    """As timm's save_for_hf() writes it, with what the module itself has become since it was made."""
    pictures = _plain(getattr(module, "pretrained_cfg", None) or {})
    if pictures.get("num_classes") != getattr(module, "num_classes", None):
        pictures = {key: value for key, value in pictures.items() if key not in {"label_names", "labels"}}
    size, pooling = getattr(module.patch_embed, "img_size", None), module.global_pool
    options = {
        "global_pool": {True: "avg", False: "token"}.get(pooling, pooling) if pooling != "" else "",
        "pool_include_prefix": getattr(module, "pool_include_prefix", False),
        **({"img_size": list(size)} if size is not None else {}),
        **({"pos_embed": "none"} if module.pos_embed is None else {}),
    }
    architecture = pictures.get("architecture") or type(module).__name__
    return {"architecture": architecture, "model_args": options, "pretrained_cfg": pictures}


def _open_clip_pictures(module: Any) -> dict[str, Any]:
    """The mean and std that open_clip leaves on its visual towers."""
    statistics = {"image_mean": getattr(module, "image_mean", None), "image_std": getattr(module, "image_std", None)}
    return {key: list(value) for key, value in statistics.items() if isinstance(value, tuple | list)}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON would have it."""
    return json.loads(json.dumps(values, default=str))
