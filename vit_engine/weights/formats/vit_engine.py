"""This project's own VisionTransformer, in memory: its tensors have their names, and it says all else itself."""

from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar

MODEL_TYPE = "vit_engine"
_ASSUMED = "Pictures are normalised with ImageNet's mean and std: a module does not hold its spec."


def _convert(_: Conversion, sidecar: Sidecar) -> Metadata:
    config = sidecar.config
    return Metadata(
        family="vit",
        native_size=tuple(config["native_size"]),
        pooling=config["pooling"],
        resampling=config["resampling"],
        assumed=(_ASSUMED,),
    )


def _recognises(_: Conversion, sidecar: Sidecar) -> bool:
    return sidecar.live and sidecar.config.get("model_type") == MODEL_TYPE


FORMAT = Format("vit_engine", _recognises, _convert, of_files=False)
