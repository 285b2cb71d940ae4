"""DeiT: supervised on ImageNet, without and with a distillation token (Touvron et al. 2021, arXiv 2012.12877)."""

from vit_engine.registry.sizes import BASE, IMAGENET, SMALL, TINY, Size
from vit_engine.spec import ModelSpec, Weights

_SERVER = "https://dl.fbaipublicfiles.com/deit"
_PATCH = 16


def _deit(name: str, size: Size, digest: str, *, distilled: bool) -> ModelSpec:
    kind = f"{name}_distilled" if distilled else name
    return size.model(
        name=f"deit_{kind}_p{_PATCH}",
        title=f"DeiT {size.title}/{_PATCH}" + (" distilled" if distilled else ""),
        family="deit",
        patch_size=_PATCH,
        distilled=distilled,
        pooling="cls_dist" if distilled else "cls",
        class_names=IMAGENET,
        weights=Weights(url=f"{_SERVER}/deit_{kind}_patch{_PATCH}_224-{digest}.pth"),
        licence="Apache-2.0",
        description="Supervised on ImageNet"
        + (", and taught by a convolutional network" if distilled else "")
        + " (Touvron et al. 2021, arXiv 2012.12877).",
    )


MODELS = (
    _deit("tiny", TINY, "a1311bcf", distilled=False),
    _deit("small", SMALL, "cd65a155", distilled=False),
    _deit("base", BASE, "b5f2ef4d", distilled=False),
    _deit("tiny", TINY, "b40b3cf7", distilled=True),
    _deit("small", SMALL, "649709d9", distilled=True),
    _deit("base", BASE, "df68dfff", distilled=True),
)
