"""What a model on the hub is by its configuration, so that the weights of others are never fetched."""

from collections.abc import Mapping
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.formats import FORMATS, Sidecar, clip
from vit_engine.weights.formats.common.published import known_architecture
from vit_engine.weights.formats.common.timm_config import describe
from vit_engine.weights.reading.listing import shorten

_WRAPPED = "timm_wrapper"  # what transformers calls the config.json of a timm model
_ANYWAY = "If its weights are those of a plain Vision Transformer all the same, download the file and pass its path."


def model_kind(repo: str, config: Mapping[str, Any], open_clip: Mapping[str, Any]) -> str:
    """The model type of transformers, or the architecture of timm or open_clip; empty where nothing says it.

    config: of a config.json. open_clip: of an open_clip_config.json, where the weights are open_clip's.
    CheckpointError for what is known to be no Vision Transformer, or of a type that is not known here.
    """
    if open_clip:
        clip.in_hugging_faces_words(Sidecar({"model_type": "open_clip", **open_clip}))
        return "open_clip"
    if (described := describe(Sidecar(config))) is not None:
        if known_architecture(described.architecture, dim=0) is None:
            raise CheckpointError(
                f"{repo} is a {shorten(repr(described.architecture))} of timm (from its config.json), which is not "
                f"among timm's plain Vision Transformers as they are known here. {_ANYWAY}"
            )
        return described.architecture
    kind, known = config.get("model_type", ""), [kind for each in FORMATS for kind in each.model_types]
    if isinstance(kind, str) and kind in {"", _WRAPPED, *known}:
        return "" if kind == _WRAPPED else kind
    raise CheckpointError(
        f"{repo} is of the model type {shorten(repr(kind))} (from its config.json), which is not among the Vision "
        f"Transformers that are known here: {', '.join(known)}. {_ANYWAY}"
    )
