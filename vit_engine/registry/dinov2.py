"""DINOv2: self-supervised on LVD-142M (Oquab et al. 2023, arXiv 2304.07193; facebookresearch/dinov2).

With registers: Darcet et al. 2023, arXiv 2309.16588. Resampling is as the repository's own hub does it.
"""

from vit_engine.registry.sizes import BASE, GIANT, LARGE, SMALL, Size
from vit_engine.spec import ModelSpec, Weights

_SERVER = "https://dl.fbaipublicfiles.com/dinov2"
_PATCH, _NATIVE, _REGISTERS = 14, 518, 4
_GIANT_HIDDEN = 4096  # of the gated MLP: two thirds of four times the dimensions, in multiples of eight


def _dinov2(size: Size, registers: int) -> ModelSpec:
    name = f"dinov2_vit{size.letter.lower()}{_PATCH}"
    file = f"{name}_reg{registers}" if registers else name
    return size.model(
        name=f"{name}_reg" if registers else name,
        title=f"DINOv2 {size.title}/{_PATCH}" + (" registers" if registers else ""),
        family="dinov2",
        patch_size=_PATCH,
        native_size=(_NATIVE, _NATIVE),
        registers=registers,
        mlp_ratio=_GIANT_HIDDEN / size.dim if size is GIANT else 4.0,
        mlp="swiglu" if size is GIANT else "gelu",
        layer_scale=True,
        resampling="antialias" if registers else "dino",
        weights=Weights(url=f"{_SERVER}/{name}/{file}_pretrain.pth"),
        licence="Apache-2.0",
        description="Self-supervised on 142 million pictures (Oquab et al. 2023, arXiv 2304.07193)"
        + (f", with {registers} registers (arXiv 2309.16588)." if registers else "."),
    )


MODELS = tuple(_dinov2(size, registers) for size in (SMALL, BASE, LARGE, GIANT) for registers in (0, _REGISTERS))
