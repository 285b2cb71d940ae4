"""Small checkpoints as their owners have them, for the suites of the page Models."""

from pathlib import Path

import torch

import vit_engine as ve
from dashboard import services
from tests.dashboard.support import SMALL
from vit_engine.trace import attend

DIM, DEPTH, HEADS, PATCH = 24, 3, 2, 16
CHOICES = {1, 2, 3, 4, 6}  # divisors of DIM that leave 4 dimensions or more


def state_dict(seed: int = 0, *, depth: int = DEPTH, dim: int = DIM) -> dict[str, torch.Tensor]:
    """A Vision Transformer's random weights under DINO's names, without a word on heads; its attention is uneven."""
    model = ve.VisionTransformer(patch_size=PATCH, dim=dim, depth=depth, heads=HEADS, image_size=(48, 48))
    model.initialise(torch.Generator().manual_seed(seed))
    return {name: 30 * tensor if "attn.qkv" in name else tensor for name, tensor in model.state_dict().items()}


def save_checkpoint(path: Path, seed: int = 0, *, depth: int = DEPTH) -> Path:
    """A weight file in DINO's layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state_dict(seed, depth=depth), path)
    return path


def engine_trace_of(path: Path | str, *, heads: int | None = HEADS) -> ve.AttentionTrace:
    """What the engine says about the view of SMALL in a model from a file, not through the dashboard."""
    loaded = ve.load_model(path, heads=heads)
    picture = ve.open_image(services.sample_picture(SMALL["picture"]).data)
    return attend(loaded, ve.prepare_image(picture, loaded.spec, size=int(SMALL["size"])))
