"""The plain way: all attention matrices whole, in float64, gradients by autograd. What methods are held against."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import vit_engine as ve
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model.streaming import explicit_weights
from vit_engine.spec import ModelSpec
from vit_engine.weights import LoadedModel

CLASSES = ("ant", "bee", "cat", "dog")
# Each with another pooling, prefix, MLP or position; 12 × 20 px are native, pictures are of 5×7 patches.
ARCHITECTURES = {
    "plain": {},
    "two registers, LayerScale": {"registers": 2, "layer_scale": True},
    "mean of all patches": {"pooling": "mean", "registers": 1},
    "norm of their mean": {"pooling": "mean_norm", "mlp": "quick_gelu", "pre_norm": True},
    "CLS and mean, four registers": {"pooling": "cls_mean", "registers": 4, "mlp": "swiglu"},
    "two classifiers": {"pooling": "cls_dist", "distilled": True, "registers": 1},
    "rotary positions": {"positions": "rope", "registers": 3, "mlp": "geglu", "qkv_bias": False},
}


def architecture(name: str, *, seed: int = 0, spread: float = 0.4, **options: object) -> LoadedModel:
    """A model of three layers and three heads of 4 dimensions, whose attention is far from even."""
    sizes = {"patch_size": 4, "dim": 12, "depth": 3, "heads": 3, "native_size": (12, 20), "mlp_ratio": 2.0}
    spec = ModelSpec("made", "Made", "test", **{"class_names": CLASSES, **sizes, **ARCHITECTURES[name], **options})
    loaded = ve.load_model(spec, weights="random", device="cpu", seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for parameter in loaded.model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=spread)
    return loaded


def in_dtype(loaded: LoadedModel, dtype: torch.dtype) -> LoadedModel:
    return replace(loaded, model=copy.deepcopy(loaded.model).to(dtype))


def noise(spec: ModelSpec, size: tuple[int, int] = (20, 28)) -> PreparedImage:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return ve.prepare_image(Image.fromarray(pixels), spec, size=size)


@dataclass
class Explicit:
    """By layer: A and ∂y/∂A (heads, tokens, tokens), and the normalised tokens before attention with their gradients.

    pixels: normalised, with gradient, (1, 3, height, width).
    """

    grid: TokenGrid
    score: float
    output: Tensor
    weights: list[Tensor]
    gradients: list[Tensor]
    normed: list[Tensor]
    of_normed: list[Tensor]
    pixels: Tensor
    of_pixels: Tensor

    def patches(self, tokens: Tensor) -> np.ndarray:
        """Of (…, tokens) those of the patches: (…, rows, cols)."""
        return tokens[..., self.grid.prefix :].unflatten(-1, self.grid.shape).numpy()


def explicit(loaded: LoadedModel, prepared: PreparedImage, score: Callable[[object, Tensor], Tensor]) -> Explicit:
    """score(model, last tokens) -> (1,): what is differentiated."""
    model = copy.deepcopy(loaded.model).double()
    pixels = prepared.tensor[None].double().requires_grad_()
    tokens, rotation = model.embed(pixels), model.rotation(pixels)
    weights, normed = [], []
    for block in model.blocks:
        normed.append(block.norm1(tokens))
        q, k, v = block.attn.queries_keys_values(normed[-1], rotation)
        weights.append(explicit_weights(q, k, scale=block.attn.scale))
        tokens = block.add(tokens, block.attn.project(weights[-1] @ v))
    value = score(model, tokens)
    of = torch.autograd.grad(value.sum(), [*weights, *normed, pixels])
    depth = len(weights)
    return Explicit(
        prepared.grid,
        float(value.detach()),
        model.classify(tokens).detach()[0],
        [each.detach()[0] for each in weights],
        [each[0] for each in of[:depth]],
        [each.detach()[0] for each in normed],
        [each[0] for each in of[depth:-1]],
        pixels.detach(),
        of[-1],
    )


def by_patch(pixels: Tensor, grid: TokenGrid) -> np.ndarray:
    """(1, channels, height, width) summed over channels and patches: (rows, cols)."""
    side = grid.patch_size
    return pixels[0].sum(0).reshape(grid.rows, side, grid.cols, side).sum((1, 3)).detach().numpy()


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Within the tolerance of the largest expected value, which is not 0."""
    largest = np.abs(expected).max()
    assert largest > 0
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)
