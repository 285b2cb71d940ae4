"""A small model on a non-square grid, with registers and more heads than layers, and a picture for it."""

import numpy as np
import pytest
import torch
from PIL import Image

from vit_engine.image import PreparedImage, prepare_image
from vit_engine.spec import ModelSpec
from vit_engine.weights import LoadedModel, load_model


@pytest.fixture(scope="session")
def small_spec() -> ModelSpec:
    """Two layers, three heads, CLS and two registers, 3×5 patches of 4 px."""
    return ModelSpec(
        name="small",
        title="Small",
        family="test",
        patch_size=4,
        dim=12,
        depth=2,
        heads=3,
        native_size=(12, 20),
        registers=2,
        mlp_ratio=2.0,
        class_names=("ant", "bee", "cat", "dog", "elk"),
    )


@pytest.fixture(scope="session")
def small(small_spec: ModelSpec) -> LoadedModel:
    """Its weights are large enough for attention to be far from even."""
    loaded = load_model(small_spec, weights="random", device="cpu", seed=0)
    generator = torch.Generator().manual_seed(1)
    for parameter in loaded.model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5)
    return loaded


@pytest.fixture(scope="session")
def prepared(small_spec: ModelSpec) -> PreparedImage:
    """5×7 patches of noise: not the model's native grid."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 3), dtype=np.uint8)
    return prepare_image(Image.fromarray(noise), small_spec, size=(20, 28))
