"""The models that come along."""

from vit_engine.registry.shapes import CLASSES
from vit_engine.spec import ModelSpec, Weights


def _demo(patch_size: int, native: int, sha256: str) -> ModelSpec:
    name = f"demo_vit_p{patch_size}"
    return ModelSpec(
        name=name,
        title=f"Demo ViT /{patch_size}",
        family="demo",
        patch_size=patch_size,
        dim=128,
        depth=6,
        heads=4,
        mlp_ratio=2.0,
        native_size=(native, native),
        class_names=CLASSES,
        weights=Weights(packaged=f"{name}.safetensors", sha256=sha256),
        licence="MIT",
        description="Small, trained by this project on generated scenes of simple shapes. Works offline.",
    )


MODELS = (
    _demo(16, 128, "dc9a37851d21fd00eaa5acb030321d9cc83df5281497ec20d0f405a8a6618a50"),
    _demo(8, 96, "841a578cdd3113c4e6d53a0c8ed83998a71b597bb308bb957f1803cb0cd1498b"),
)
