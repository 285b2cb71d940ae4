"""The demo models' own files: plain ViTs whose tensors are exactly a demo model's, name by name and shape by shape."""

from functools import cache

import torch

from vit_engine.model import VisionTransformer
from vit_engine.registry.demo import MODELS
from vit_engine.spec import ModelSpec
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar
from vit_engine.weights.formats.common.timm_config import describe


def _models(conversion: Conversion) -> list[ModelSpec]:
    """One at most."""
    shapes = {name: tuple(tensor.shape) for name, tensor in conversion.tensors.items()}
    return [spec for spec in MODELS if _shapes(spec) == shapes]


@cache
def _shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in VisionTransformer(spec).state_dict().items()}


def _recognises(conversion: Conversion, sidecar: Sidecar) -> bool:
    return describe(sidecar) is None and bool(_models(conversion))


def _convert(conversion: Conversion, _: Sidecar) -> Metadata:
    (spec,) = _models(conversion)
    return Metadata(
        family=spec.family,
        heads=spec.heads,
        heads_from=f"the shapes of its tensors, all of them those of {spec.name}",
        resampling=spec.resampling,
        preprocessing=spec.preprocessing,
        class_names=spec.class_names,
    )


FORMAT = Format("demo", _recognises, _convert)
