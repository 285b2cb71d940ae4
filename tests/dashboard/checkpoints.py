"""Small checkpoints as their owners have them, for the suites of the page Models."""

from pathlib import Path

import torch
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.services import pictures
from dashboard.testing import open_models
from tests.dashboard.support import SMALL
from tests.vit_engine.model.builders import small_vit
from vit_engine.trace import attend

DIM, DEPTH, HEADS, PATCH = 24, 3, 2, 16
CHOICES = {1, 2, 3, 4, 6}  # divisors of DIM that leave 4 dimensions or more


def state_dict(
    seed: int = 0, *, depth: int = DEPTH, dim: int = DIM, heads: int = HEADS, patch: int = PATCH
) -> dict[str, torch.Tensor]:
    """A Vision Transformer's random weights under DINO's names, without a word on heads; its attention is uneven."""
    model = small_vit(patch_size=patch, dim=dim, depth=depth, heads=heads, image_size=(48, 48))
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
    picture = ve.open_image(pictures.sample_picture(SMALL["picture"]).data)
    return attend(loaded, ve.prepare_image(picture, loaded.spec, size=int(SMALL["size"])))


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


def hub_folder(path: Path) -> Path:
    """A folder as Hugging Face saves models."""
    touch(path / "model.safetensors")
    (path / "config.json").write_text("{}", encoding="utf-8")
    return path


def opened() -> AppTest:
    """The page Models."""
    at = open_models(**SMALL)
    assert not at.exception
    return at


def pick(at: AppTest, name: str) -> AppTest:
    """Choose a checkpoint of the server's folder."""
    at.selectbox(key=keys.CHECKPOINT_FILE).set_value(name).run()
    assert not at.exception
    return at
