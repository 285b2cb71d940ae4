"""Features whose tokens are written down."""

from collections.abc import Mapping

import numpy as np

from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec
from vit_engine.trace.features import Features, FinalNorm


def features_of(
    patches: Mapping[int, np.ndarray],
    *,
    shape: tuple[int, int],
    facet: str = "key",
    heads: int = 1,
    registers: int = 0,
    prefix: np.ndarray | None = None,
    name: str = "written",
) -> Features:
    """Patches (rows · cols, dim) of each layer carry this; prefix tokens carry zeros, or `prefix`."""
    dim = next(iter(patches.values())).shape[1]
    spec = ModelSpec(name, "Written", "test", 4, dim, max(patches) + 1, heads, native_size=(8, 8), registers=registers)
    grid = TokenGrid(1 + registers, *shape, 4)
    before = np.zeros((grid.prefix, dim)) if prefix is None else prefix
    layers = {layer: np.concatenate([before, each]).astype(np.float32) for layer, each in patches.items()}
    norm = FinalNorm(np.ones(dim, np.float32), np.zeros(dim, np.float32), 1e-6) if facet == "token" else None
    return Features(spec, grid, "0" * 64, facet, layers, norm)


def noise(seed: int, shape: tuple[int, int], dim: int) -> np.ndarray:
    """Patches (rows · cols, dim) without pattern, of another spread along each axis."""
    spread = np.linspace(3, 1, dim)
    return np.random.default_rng(seed).standard_normal((shape[0] * shape[1], dim)) * spread
