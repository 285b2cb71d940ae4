"""The models that can be asked for by name: one row each."""

import difflib

from vit_engine.demo.shapes import CLASSES
from vit_engine.errors import SpecError
from vit_engine.spec import ModelSpec, Weights

_DINO = "https://dl.fbaipublicfiles.com/dino"
_SIZES = {"tiny": ("Ti", 192, 3), "small": ("S", 384, 6), "base": ("B", 768, 12)}


def _demo(patch_size: int, native: int, sha256: str) -> ModelSpec:
    name = f"demo_vit_p{patch_size}"
    return ModelSpec(
        name=name,
        title=f"Demo ViT /{patch_size}",
        family="demo",
        patch_size=patch_size,
        dim=128,
        depth=6,
        heads=4,
        mlp_ratio=2.0,
        native_size=(native, native),
        class_names=CLASSES,
        weights=Weights(packaged=f"{name}.safetensors", sha256=sha256),
        licence="MIT",
        description="Small, trained by this project on generated scenes of simple shapes. Works offline.",
    )


def _dino(letter: str, patch_size: int, folder: str) -> ModelSpec:
    title, dim, heads = {"s": _SIZES["small"], "b": _SIZES["base"]}[letter]
    return ModelSpec(
        name=f"dino_vit{letter}{patch_size}",
        title=f"DINO ViT-{title}/{patch_size}",
        family="dino",
        patch_size=patch_size,
        dim=dim,
        depth=12,
        heads=heads,
        resampling="dino",
        weights=Weights(url=f"{_DINO}/{folder}/{folder}.pth"),
        licence="Apache-2.0",
        description="Self-supervised on ImageNet (Caron et al. 2021, arXiv 2104.14294). Downloaded at first use.",
    )


def _random(size: str, patch_size: int) -> ModelSpec:
    letter, dim, heads = _SIZES[size]
    return ModelSpec(
        name=f"random_vit_{size}_p{patch_size}",
        title=f"Random ViT-{letter}/{patch_size}",
        family="random",
        patch_size=patch_size,
        dim=dim,
        depth=12,
        heads=heads,
        resampling="dino",
        description="Random weights: what attention looks like before any training.",
    )


MODELS: tuple[ModelSpec, ...] = (
    _demo(16, 128, "dc9a37851d21fd00eaa5acb030321d9cc83df5281497ec20d0f405a8a6618a50"),
    _demo(8, 96, "841a578cdd3113c4e6d53a0c8ed83998a71b597bb308bb957f1803cb0cd1498b"),
    _dino("s", 16, "dino_deitsmall16_pretrain"),
    _dino("s", 8, "dino_deitsmall8_pretrain"),
    _dino("b", 16, "dino_vitbase16_pretrain"),
    _dino("b", 8, "dino_vitbase8_pretrain"),
    _random("tiny", 16),
    _random("tiny", 8),
    _random("small", 16),
    _random("small", 8),
    _random("base", 16),
    _random("base", 8),
)


def list_models() -> tuple[ModelSpec, ...]:
    """All models known by name: the demo models that come along, then DINO's, then random ones."""
    return MODELS


def find_model(name: str) -> ModelSpec:
    """The model of this name; SpecError naming the nearest where there is none."""
    for spec in MODELS:
        if spec.name == name:
            return spec
    names = [spec.name for spec in MODELS]
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
    raise SpecError(f"no model is called {name!r}; did you mean {nearest!r}? There are: {', '.join(names)}.")
