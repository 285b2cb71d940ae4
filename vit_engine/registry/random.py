"""Models without trained weights: what attention looks like before any training."""

from dataclasses import replace

from vit_engine.registry import demo
from vit_engine.registry.sizes import BASE, SMALL, TINY, Size
from vit_engine.spec import ModelSpec


def _random(name: str, size: Size, patch_size: int) -> ModelSpec:
    return size.model(
        name=f"random_vit_{name}_p{patch_size}",
        title=f"Random {size.title}/{patch_size}",
        family="random",
        patch_size=patch_size,
        resampling="dino",
        description="Random weights: what attention looks like before any training.",
    )


def _untrained_demo(spec: ModelSpec) -> ModelSpec:
    """A demo model as it was before its training: what its maps are to be compared with."""
    return replace(
        spec,
        name=f"random_{spec.name}",
        title=f"Random demo ViT /{spec.patch_size}",
        family="random",
        class_names=(),
        weights=None,
        licence="",
        description="A demo model's architecture with random weights.",
    )


MODELS = tuple(
    _random(name, size, patch_size)
    for name, size in (("tiny", TINY), ("small", SMALL), ("base", BASE))
    for patch_size in (16, 8)
) + tuple(_untrained_demo(spec) for spec in demo.MODELS)
