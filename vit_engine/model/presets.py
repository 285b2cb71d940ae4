"""Vision Transformers of the usual sizes, with DINO's parameter names."""

from typing import Any

from vit_engine.model import VisionTransformer
from vit_engine.spec import ModelSpec

_BESIDE_SPEC = ("in_channels", "dropout", "attention_dropout", "drop_path")  # what a model takes and no spec says


def vit_tiny(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-Ti: D 192, 12 layers, 3 heads (Touvron et al. 2021, arXiv 2012.12877). Resampling "dino" by default."""
    return _build("ViT-Ti", patch_size=patch_size, dim=192, heads=3, **options)


def vit_small(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-S: D 384, 12 layers, 6 heads (Touvron et al. 2021, arXiv 2012.12877). Resampling "dino" by default."""
    return _build("ViT-S", patch_size=patch_size, dim=384, heads=6, **options)


def vit_base(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-B: D 768, 12 layers, 12 heads (Dosovitskiy et al. 2021, arXiv 2010.11929). Resampling "dino" by default."""
    return _build("ViT-B", patch_size=patch_size, dim=768, heads=12, **options)


def _build(
    name: str, *, image_size: tuple[int, int] = (224, 224), class_count: int = 0, **options: Any
) -> VisionTransformer:
    """image_size: (height, width) in pixels. class_count: 0 leaves the classifier out. options: of spec and model."""
    beside = {key: options.pop(key) for key in _BESIDE_SPEC if key in options}
    spec = ModelSpec(
        name=name,
        title=name,
        family="vit",
        native_size=image_size,
        class_names=tuple(f"class {number}" for number in range(class_count)),
        **{"depth": 12, "resampling": "dino", **options},
    )
    return VisionTransformer(spec, **beside)
