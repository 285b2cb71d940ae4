"""What a configuration says of a CLIP's text tower."""

from collections.abc import Mapping
from typing import Any

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Sidecar
from vit_engine.weights.formats.common.hf_config import Config, read_config
from vit_engine.weights.formats.common.text import layer_numbers

END = 49407  # the token that ends a text, whose place the embedding is read from
_LARGEST = 2  # as configurations older than transformers 4.31 say it: the place of the largest number, the same
_DEFAULTS: Mapping[str, Any] = {
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "vocab_size": 49408,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": END,
}


def read_text_config(sidecar: Sidecar) -> Config:
    """A config.json's part about texts, in Hugging Face's words. CheckpointError where it has none."""
    return read_config(sidecar, {"clip_text_model": _DEFAULTS, "clip": _DEFAULTS}, part="text_config")


def check_text_agreement(config: Config, conversion: Conversion) -> None:
    """CheckpointError where tensors, by open_clip's names, contradict it, or where texts end in another token."""
    if not config.given:
        return
    vocabulary, width = conversion["token_embedding.weight"].shape
    config.check(
        hidden_size=width,
        num_hidden_layers=len(layer_numbers(conversion)),
        max_position_embeddings=conversion["positional_embedding"].shape[0],
        vocab_size=vocabulary,
    )
    if config["eos_token_id"] not in {END, _LARGEST}:
        raise CheckpointError(
            f"its config.json's eos_token_id must be {END}, which ends CLIP's texts, or {_LARGEST}, as older ones say "
            f"it; got {config['eos_token_id']!r:.40}."
        )
