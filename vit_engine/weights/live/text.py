"""The text tower of a module in memory: what no tensor of it shows, and the proof that both read a text alike."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError
from vit_engine.weights.formats.common.text import TextTower
from vit_engine.weights.live.parity import TOLERANCE
from vit_engine.weights.live.places import Places
from vit_engine.weights.live.twin import Twins
from vit_engine.weights.reading.listing import shorten

_ENCODERS = ("encode_text", "get_text_features")  # of OpenAI's and open_clip's, and of transformers' modules


def settle_text(tower: TextTower, module: nn.Module, mlp: str) -> TextTower:
    """With what the module's own parts say. mlp: of the visual tower, whose activation they share."""
    places = Places(module, tower.conversion)
    attention, norm = places.part("transformer.resblocks.0.attn."), places.part("ln_final.")
    heads, eps = getattr(attention, "num_heads", None), getattr(norm, "eps", None)
    if type(heads) is not int or not isinstance(eps, float):
        raise CheckpointError(
            f"its text tower's {type(attention).__name__} and {type(norm).__name__} must have num_heads and eps; got "
            f"{heads!r:.40} and {eps!r:.40}. Save its state_dict(), and load that file with its configuration."
        )
    return replace(tower, heads=heads, mlp=mlp, norm_eps=eps)


def check_text_parity(module: nn.Module, tokens: Tensor, vector: Tensor) -> None:
    """CheckpointError unless the module makes the same vector (1, shared) of these tokens (1, context).

    Its twin is run: the module stays as it is.
    """
    twin = Twins().of(module)
    encode = next((getattr(twin, name) for name in _ENCODERS if hasattr(twin, name)), None)
    if encode is None:
        raise CheckpointError(
            f"it has neither {' nor '.join(_ENCODERS)}, with which its texts could be compared. Save its state_dict(), "
            "and load that file."
        )
    theirs = _encoded(encode, tokens)
    if theirs.shape != vector.shape:
        raise CheckpointError(f"it makes {tuple(theirs.shape)} of a text; expected {tuple(vector.shape)}.")
    share = float((theirs - vector).abs().max() / theirs.abs().max().clamp(min=1e-30))
    if not share <= TOLERANCE:
        raise CheckpointError(
            f"its text tower is not built as OpenAI's CLIP is: embeddings of a text differ by up to {share:.2g} of the "
            "largest value. Load another CLIP."
        )


def _encoded(encode: Callable[[Tensor], Any], tokens: Tensor) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        try:
            output = encode(tokens)
        except Exception as error:  # whatever code of others raises
            if out_of_memory(error):
                raise
            reason = f"{type(error).__name__}: {shorten(str(error), 200)}"
            raise CheckpointError(
                f"its own embedding of a text failed ({reason}). Save its state_dict(), and load that file."
            ) from error
    pooled = getattr(output, "pooler_output", output)  # as transformers 5 returns it
    if not isinstance(pooled, Tensor):
        raise CheckpointError(f"it makes a {type(pooled).__name__} of a text; expected a tensor.")
    return pooled
