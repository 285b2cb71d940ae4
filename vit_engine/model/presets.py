"""Vision Transformers of the usual sizes, with DINO's parameter names."""

from typing import Any

from vit_engine.model import VisionTransformer


def vit_tiny(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-Ti: D 192, 12 layers, 3 heads (Touvron et al. 2021, arXiv 2012.12877). Resampling "dino" by default."""
    return VisionTransformer(patch_size=patch_size, dim=192, heads=3, **{"resampling": "dino", **options})


def vit_small(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-S: D 384, 12 layers, 6 heads (Touvron et al. 2021, arXiv 2012.12877). Resampling "dino" by default."""
    return VisionTransformer(patch_size=patch_size, dim=384, heads=6, **{"resampling": "dino", **options})


def vit_base(patch_size: int = 16, **options: Any) -> VisionTransformer:
    """ViT-B: D 768, 12 layers, 12 heads (Dosovitskiy et al. 2021, arXiv 2010.11929). Resampling "dino" by default."""
    return VisionTransformer(patch_size=patch_size, dim=768, heads=12, **{"resampling": "dino", **options})
