"""Small models of any architecture."""

from typing import Any

from vit_engine.model import VisionTransformer
from vit_engine.spec import ModelSpec

BESIDE_SPEC = ("dropout", "attention_dropout", "drop_path")


def small_vit(*, image_size: tuple[int, int] = (224, 224), class_count: int = 0, **options: Any) -> VisionTransformer:
    """A model of a spec with these options, and with dropout; its weights are fresh."""
    beside = {name: options.pop(name) for name in BESIDE_SPEC if name in options}
    classes = tuple(f"class {number}" for number in range(class_count))
    spec = ModelSpec("small", "Small", "test", native_size=image_size, class_names=classes, **options)
    return VisionTransformer(spec, **beside)
