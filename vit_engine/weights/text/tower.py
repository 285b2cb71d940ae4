"""Texts to the space that a CLIP's text tower and its image embeddings share, by open_clip's model and tokenizer."""

import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vit_engine.errors import CheckpointError, SpecError, VitEngineError
from vit_engine.model.blocks import QuickGelu
from vit_engine.weights.convert import misfit_of
from vit_engine.weights.diagnosis import check_weights
from vit_engine.weights.formats.common.text import TextTower
from vit_engine.weights.live.text import check_text_parity
from vit_engine.weights.reading.listing import naming_file
from vit_engine.weights.report import LoadedModel
from vit_engine.weights.text.read import read_text_tower, refuse_text, why_no_text

LONGEST_TEXT = 2000  # characters; the tokenizer's time grows with the square of a word's
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "quick_gelu": QuickGelu,
}


class TextEmbedding(NamedTuple):
    """vector: float32 (shared,), of a text. projection: float32 (shared, features), of image embeddings."""

    vector: np.ndarray
    projection: np.ndarray


def embed_text(loaded: LoadedModel, text: str) -> TextEmbedding:
    """By the text tower of where the model came from, which is read, run in float32 on the CPU, and dropped.

    Raises SpecError for a text that is empty or longer than the tower's context, CheckpointError where there is no
    text tower that can be read, and VitEngineError where open_clip is not installed.
    """
    open_clip = check_text(text, why_no_text(loaded.report), loaded.report.source)  # before anything is read
    tower, module = read_text_tower(loaded)
    with naming_file(loaded.report.source):
        model = _assembled(tower, open_clip)
        projection = _projection(tower, model.output_dim, loaded.spec.dim)
        tokens = _tokens(text, model, open_clip)
        with torch.no_grad():
            vector = model(tokens)
        if module is not None:
            check_text_parity(module, tokens, vector)
    return TextEmbedding(vector[0].numpy(), projection)


def check_text(text: str, why: str, source: str) -> ModuleType:
    """What embed_text() refuses before it reads anything; gives open_clip.

    why, source: as why_no_text() says of a model, and where that is from.
    """
    _check_words(text)
    refuse_text(why, source)
    return _open_clip()


def _check_words(text: object) -> None:
    if not isinstance(text, str):
        raise SpecError(f"a text must be a str; got {type(text).__name__}.")
    if not text.strip():
        raise SpecError("a text must not be empty. Say what the picture may show: 'a photo of a cat'.")
    if len(text) > LONGEST_TEXT:
        raise SpecError(f"a text must have at most {LONGEST_TEXT:,} characters; got {len(text):,}. Shorten it.")


def _open_clip() -> ModuleType:
    """Imported when it is needed: it takes seconds. VitEngineError, naming the extra, where it is not installed."""
    try:
        return importlib.import_module("open_clip")
    except ImportError as error:
        raise VitEngineError(
            f"a text needs open_clip, which cannot be imported ({error}). Install the extra 'text': "
            "pip install 'vit-engine[text]', or pip install open_clip_torch."
        ) from error


def _assembled(tower: TextTower, open_clip: ModuleType) -> Any:
    """open_clip's TextTransformer with all of these tensors, in float32. CheckpointError where they do not fit."""
    tensors = tower.conversion.tensors
    with torch.device("meta"):
        model = open_clip.transformer.TextTransformer(**_sizes(tower))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if misfit := misfit_of(expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()}):
        raise CheckpointError(f"its text tower is not built as OpenAI's CLIP is. {misfit} Load another CLIP.")
    check_weights(tensors)
    model.load_state_dict({name: tensor.float().contiguous() for name, tensor in tensors.items()}, assign=True)
    model.attn_mask = model.build_causal_mask()  # no tensor of the state dict
    return model.eval().requires_grad_(False)


def _sizes(tower: TextTower) -> dict[str, Any]:
    """What TextTransformer is made with. CheckpointError for another vocabulary than CLIP's, and unknown heads."""
    conversion = tower.conversion
    (vocabulary, width), (context, _) = (
        conversion[name].shape for name in ("token_embedding.weight", "positional_embedding")
    )
    if tower.heads is None or width % tower.heads:
        raise CheckpointError(
            f"its text tower must say how many heads it has, which divide its {width} dimensions; got {tower.heads}. "
            "Put the configuration that came with it beside it."
        )
    hidden = conversion["transformer.resblocks.0.mlp.c_fc.weight"].shape[0]
    return {
        "context_length": context,
        "vocab_size": vocabulary,
        "width": width,
        "heads": tower.heads,
        "layers": tower.layers,
        "mlp_ratio": (hidden + 0.5) / width,  # which is cut to a whole number after the product
        "output_dim": conversion["text_projection"].shape[1],
        "act_layer": _ACTIVATIONS[tower.mlp],
        "norm_layer": partial(nn.LayerNorm, eps=tower.norm_eps),
    }


def _projection(tower: TextTower, shared: int, features: int) -> np.ndarray:
    if tower.projection.shape != (shared, features):
        raise CheckpointError(
            f"its projection of pictures must be from {features} to {shared} dimensions, as its towers are; got "
            f"{tower.projection.shape[1]} to {tower.projection.shape[0]}. Load another CLIP."
        )
    check_weights({"the projection of pictures": tower.projection})
    return tower.projection.float().contiguous().numpy()


def _tokens(text: str, model: Any, open_clip: ModuleType) -> Tensor:
    """(1, context) numbers of the vocabulary, between the two that begin and end a text, then zeros."""
    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    if tokenizer.vocab_size != model.vocab_size:
        raise CheckpointError(
            f"its text tower has a vocabulary of {model.vocab_size:,} tokens; CLIP's, the one known here, has "
            f"{tokenizer.vocab_size:,}. Load a CLIP with that one."
        )
    count = len(tokenizer.encode(text)) + 2
    if count > model.context_length:
        raise SpecError(
            f"a text must have at most {model.context_length} tokens with its begin and its end for this model; got "
            f"{count}. Shorten it."
        )
    return tokenizer([text])
