"""Models without trained weights: what attention looks like before any training."""

from vit_engine.registry.sizes import BASE, SMALL, TINY, Size
from vit_engine.spec import ModelSpec


def _random(name: str, size: Size, patch_size: int) -> ModelSpec:
    return ModelSpec(
        name=f"random_vit_{name}_p{patch_size}",
        title=f"Random {size.title}/{patch_size}",
        family="random",
        patch_size=patch_size,
        dim=size.dim,
        depth=size.depth,
        heads=size.heads,
        resampling="dino",
        description="Random weights: what attention looks like before any training.",
    )


MODELS = tuple(
    _random(name, size, patch_size)
    for name, size in (("tiny", TINY), ("small", SMALL), ("base", BASE))
    for patch_size in (16, 8)
)
