"""DINO v1 (facebookresearch/dino): pretrained backbones, and the teacher or the student of a training run.

Its names are those of VisionTransformer, and of every plain ViT without a classifier: asked last.
"""

from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named
from vit_engine.weights.formats.common.plain import refuse_unusual

WHY_HEAD = "projection head of self-supervised training"
ASSUMED_DINO = (
    "Positions are resampled as DINO does it, and pictures normalised with ImageNet's mean and std: other ViTs without "
    "a classifier can have the same names, and AugReg's and Google's were trained with 0.5 for all of them."
)
_ARCHITECTURES = {"vit_tiny": (192, 3), "vit_small": (384, 6), "vit_base": (768, 12)}  # dimensions and heads


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    refuse_unusual(conversion)
    conversion.drop(r"head\.(mlp\.\d+|last_layer)\..*", WHY_HEAD)
    architecture = str(sidecar.arguments.get("arch", "")).replace("deit_", "vit_")
    dim, heads = _ARCHITECTURES.get(architecture, (0, 0))
    trained_here = bool(conversion.dropped) or architecture in _ARCHITECTURES
    return Metadata(
        family="dino",
        heads=heads if dim == conversion["cls_token"].shape[-1] else None,
        heads_from=f"arch={architecture} of the training run",
        resampling="dino",
        published=published.DINO,
        assumed=() if trained_here else (ASSUMED_DINO,),
    )


FORMAT = Format("DINO", named("cls_token", "pos_embed", "patch_embed.proj.weight"), _convert)
