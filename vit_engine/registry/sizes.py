"""The published sizes of Vision Transformers, and the classes of ImageNet-1k."""

from pathlib import Path
from typing import Any, NamedTuple

from vit_engine.spec import ModelSpec


class Size(NamedTuple):
    letter: str  # as titles have it
    dim: int
    depth: int
    heads: int

    @property
    def title(self) -> str:
        return f"ViT-{self.letter}"

    def model(self, **fields: Any) -> ModelSpec:
        """A model of this size; fields: the others of ModelSpec."""
        return ModelSpec(dim=self.dim, depth=self.depth, heads=self.heads, **fields)


TINY = Size("Ti", 192, 12, 3)
SMALL = Size("S", 384, 12, 6)
BASE = Size("B", 768, 12, 12)
LARGE = Size("L", 1024, 24, 16)
HUGE = Size("H", 1280, 32, 16)
GIANT = Size("g", 1536, 40, 24)  # of DINOv2

# In the order of the classifiers' outputs; from torchvision, whose own a test holds them equal to.
IMAGENET = tuple(Path(__file__).with_name("imagenet.txt").read_text("utf-8").splitlines())
