"""torchvision's ViTs: supervised on ImageNet, some of them on Instagram's hashtags first (SWAG, arXiv 2201.08371).

Addresses, classes and preprocessing are those of torchvision's enums of weights, which a test holds them
equal to; written out here, because importing torchvision takes longer than all of this engine.
"""

from vit_engine.registry.sizes import BASE, HUGE, IMAGENET, LARGE, Size
from vit_engine.spec import ModelSpec, Preprocessing, Weights

_SERVER = "https://download.pytorch.org/models"
_KINDS = {
    "": "Supervised on ImageNet, from scratch.",
    "swag_e2e": "Weakly supervised on 3.6 billion pictures, then fine-tuned on ImageNet (arXiv 2201.08371).",
    "swag_linear": "Weakly supervised on 3.6 billion pictures, with a linear ImageNet classifier (arXiv 2201.08371).",
}
_TITLES = {"": "", "swag_e2e": " SWAG fine-tuned", "swag_linear": " SWAG linear"}


def _torchvision(size: Size, patch_size: int, file: str, *, kind: str = "", native: int = 224) -> ModelSpec:
    name = f"torchvision_vit_{size.letter.lower()}_{patch_size}"
    return size.model(
        name=f"{name}_{kind}" if kind else name,
        title=f"torchvision {size.title}/{patch_size}{_TITLES[kind]}",
        family="torchvision",
        patch_size=patch_size,
        native_size=(native, native),
        resampling="corners",
        preprocessing=Preprocessing(interpolation="bicubic" if kind else "bilinear"),
        class_names=IMAGENET,
        weights=Weights(url=f"{_SERVER}/{file}.pth"),
        licence="CC-BY-NC-4.0" if kind else "BSD-3-Clause",
        description=_KINDS[kind],
    )


MODELS = (
    _torchvision(BASE, 16, "vit_b_16-c867db91"),
    _torchvision(BASE, 16, "vit_b_16_swag-9ac1b537", kind="swag_e2e", native=384),
    _torchvision(BASE, 16, "vit_b_16_lc_swag-4e70ced5", kind="swag_linear"),
    _torchvision(BASE, 32, "vit_b_32-d86f8d99"),
    _torchvision(LARGE, 16, "vit_l_16-852ce7e3"),
    _torchvision(LARGE, 16, "vit_l_16_swag-4f3808c9", kind="swag_e2e", native=512),
    _torchvision(LARGE, 16, "vit_l_16_lc_swag-4d563306", kind="swag_linear"),
    _torchvision(LARGE, 32, "vit_l_32-c7638314"),
    _torchvision(HUGE, 14, "vit_h_14_swag-80465313", kind="swag_e2e", native=518),
    _torchvision(HUGE, 14, "vit_h_14_lc_swag-c1eb923e", kind="swag_linear"),
)
