"""The formats that weights come in, one small file each: names and shapes to those of VisionTransformer."""

from vit_engine.weights.formats import (
    clip,
    deit,
    demo,
    dino,
    dinov2,
    dinov3,
    hf_clip,
    hf_deit,
    hf_dinov2,
    hf_dinov3,
    hf_vit,
    mae,
    timm,
    torchvision,
    vit_engine,
)
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar

# Asked in this order; the first that recognises a file converts it. Those with telling names come first.
FORMATS: tuple[Format, ...] = (
    vit_engine.FORMAT,
    torchvision.FORMAT,
    hf_dinov2.FORMAT,
    hf_deit.FORMAT,
    hf_vit.FORMAT,
    hf_dinov3.FORMAT,
    hf_clip.FORMAT,
    clip.FORMAT,
    dinov3.FORMAT,
    dinov2.FORMAT,
    mae.FORMAT,
    deit.FORMAT,
    demo.FORMAT,
    timm.FORMAT,
    dino.FORMAT,
)

__all__ = ["FORMATS", "Format", "Metadata", "Sidecar"]
