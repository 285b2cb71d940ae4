"""timm's Vision Transformers as peers: small, random, and saved as timm saves them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
from timm.models import save_for_hf
from torch import Tensor, nn

from tests.vit_engine.weights.formats.support import Peer, captured, randomise
from vit_engine.model import VisionTransformer
from vit_engine.weights import LoadedModel

HEADS, PATCH = 3, 4
NATIVE, OTHER = (20, 28), (36, 12)  # pixels: grids of 5×7 and 9×3 patches
SMALL = {"patch_size": PATCH, "embed_dim": 24, "depth": 2, "num_heads": HEADS, "num_classes": 5}


def small(architecture: str, **options: Any) -> nn.Module:
    """A small model of an architecture of timm's, with random weights.

    Embeddings are small, so that the eps of the first norm matters.
    """
    given = {"img_size": NATIVE, "dynamic_img_size": True, **SMALL, **options}
    model = randomise(timm.create_model(architecture, **given))
    for name, tensor in model.state_dict().items():
        if name in {"cls_token", "dist_token", "reg_token", "pos_embed"} or name.startswith("patch_embed."):
            tensor.mul_(0.02)
    return model


def saved(model: nn.Module, folder: Path) -> Path:
    """A folder with model.safetensors and config.json, as timm puts it on the hub."""
    save_for_hf(model, str(folder), safe_serialization=True)
    return folder


def peer_of(model: nn.Module, images: Tensor) -> Peer:
    """What a model with timm's modules says itself: its blocks' tokens, and its own softmax's weights."""
    blocks = list(model.blocks)
    output: list[Tensor] = []
    for block in blocks:
        block.attn.fused_attn = False  # else there are no weights to see
    attention = captured([block.attn.attn_drop for block in blocks], lambda: output.append(model(images)))
    return Peer(captured(blocks, lambda: model(images)), attention, output[0])


def rebuilt(loaded: LoadedModel, **change: Any) -> LoadedModel:
    """The same tensors in a model with another detail: what parity must not hold for."""
    spec = replace(loaded.spec, **change)
    model = VisionTransformer(spec).eval().requires_grad_(False)
    model.load_state_dict(loaded.model.state_dict())
    return replace(loaded, spec=spec, model=model)


def assert_accounts_for(loaded: LoadedModel, state: dict[str, Tensor], *, dropped: set[str] = frozenset()) -> None:
    """Every tensor of the state dict is matched, converted or dropped, and is so once.

    What a training file holds beside it is told as "name: what it is".
    """
    report = loaded.report
    gone = [key for key, _ in report.dropped if ": " not in key]
    assert sorted([*report.matched, *(key for key, _ in report.converted), *gone]) == sorted(state)
    assert set(gone) == dropped
    assert report.missing == ()


def at_size(model: nn.Module, architecture: str, size: tuple[int, int], positions: Tensor, **options: Any) -> nn.Module:
    """A model with the same weights, made for another size, with these positions."""
    other = small(architecture, img_size=size, **options)
    other.load_state_dict({**model.state_dict(), "pos_embed": positions})
    return other
