"""The formats that weights come in, one small file each: names and shapes to those of VisionTransformer."""

from vit_engine.weights.formats import dino, torchvision
from vit_engine.weights.formats.format import Format, Origin, Traits

# Asked in this order; the first that recognises a file converts it. Those with telling names come first.
FORMATS: tuple[Format, ...] = (
    torchvision.FORMAT,
    dino.FORMAT,
)

__all__ = ["FORMATS", "Format", "Origin", "Traits"]
