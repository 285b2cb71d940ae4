"""MAE: self-supervised on ImageNet by filling in masked patches (He et al. 2021, arXiv 2111.06377)."""

from vit_engine.registry.sizes import BASE, HUGE, LARGE, Size
from vit_engine.spec import ModelSpec, Weights

_SERVER = "https://dl.fbaipublicfiles.com/mae/pretrain"


def _mae(name: str, size: Size, patch_size: int) -> ModelSpec:
    return size.model(
        name=f"mae_vit_{name}_p{patch_size}",
        title=f"MAE {size.title}/{patch_size}",
        family="mae",
        patch_size=patch_size,
        weights=Weights(url=f"{_SERVER}/mae_pretrain_vit_{name}.pth"),
        licence="CC-BY-NC-4.0",
        description="Self-supervised on ImageNet, by filling in masked patches (He et al. 2021, arXiv 2111.06377).",
    )


MODELS = (_mae("base", BASE, 16), _mae("large", LARGE, 16), _mae("huge", HUGE, 14))
