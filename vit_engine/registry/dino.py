"""DINO: self-supervised on ImageNet (Caron et al. 2021, arXiv 2104.14294; facebookresearch/dino)."""

from vit_engine.registry.sizes import BASE, SMALL, Size
from vit_engine.spec import ModelSpec, Weights

_SERVER = "https://dl.fbaipublicfiles.com/dino"


def _dino(size: Size, patch_size: int, folder: str, *, epochs: int = 0) -> ModelSpec:
    trained = f" {epochs} epochs" if epochs else ""
    return size.model(
        name=f"dino_vit{size.letter.lower()}{patch_size}" + (f"_{epochs}ep" if epochs else ""),
        title=f"DINO {size.title}/{patch_size}{trained}",
        family="dino",
        patch_size=patch_size,
        resampling="dino",
        weights=Weights(url=f"{_SERVER}/{folder}/{folder}.pth"),
        licence="Apache-2.0",
        description="Self-supervised on ImageNet (Caron et al. 2021, arXiv 2104.14294)"
        + (", the one behind the paper's pictures." if epochs else "."),
    )


MODELS = (
    _dino(SMALL, 16, "dino_deitsmall16_pretrain"),
    _dino(SMALL, 8, "dino_deitsmall8_pretrain"),
    _dino(SMALL, 8, "dino_deitsmall8_300ep_pretrain", epochs=300),
    _dino(BASE, 16, "dino_vitbase16_pretrain"),
    _dino(BASE, 8, "dino_vitbase8_pretrain"),
)
