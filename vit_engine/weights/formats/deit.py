"""DeiT's own files (facebookresearch/deit): DeiT, DeiT distilled, DeiT-III.

They have timm's names, of the versions that they were trained with: LayerScale is gamma_1 and gamma_2 there
(models_v2.py), and positions have rows for the patches alone, and one for a distillation token. main.py resamples
positions bicubically, without antialiasing, and timm would with it.

RoPE-ViT's axial models with learned positions (naver-ai/rope-vit) have the names of DeiT-III, and nothing in their
tensors tells them apart: the report says what is assumed. With timm's config.json beside them they are refused.
"""

from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar
from vit_engine.weights.formats.common.plain import canonical, is_square, refuse_unusual, without_cls_position
from vit_engine.weights.formats.common.timm_config import describe

ASSUMED_PLAIN = "It is DeiT-III's and rotates no queries and keys: RoPE-ViT's files can have the same names."
ASSUMED_RESAMPLING = "Positions are resampled as DeiT does it: timm has the same names, and antialiases."
_TELLING = {"dist_token", "blocks.0.gamma_1"}


def _recognises(conversion: Conversion, sidecar: Sidecar) -> bool:
    names = conversion.tensors.keys()
    if describe(sidecar) is not None or not canonical(names) or "pos_embed" not in names:
        return False
    return bool(names & _TELLING) or str(sidecar.arguments.get("model", "")).startswith("deit")


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    refuse_unusual(conversion)
    scaled = "blocks.0.gamma_1" in conversion
    conversion.rename(((r"(blocks\.\d+)\.gamma_([12])", r"\1.ls\2.gamma"),))
    if "dist_token" not in conversion and is_square(conversion["pos_embed"].shape[1]):
        without_cls_position(conversion)
    name = str(sidecar.arguments.get("model", ""))
    known = published.known_architecture(name, dim=conversion["cls_token"].shape[-1])
    return Metadata(
        family="deit",
        heads=known.heads if known else None,
        heads_from=f"model={name} of the training run",
        pooling="cls_dist" if "head_dist.weight" in conversion else "cls",
        resampling="bicubic",
        published=published.TIMM,
        assumed=() if known or scaled else (ASSUMED_RESAMPLING,),
        assumed_equations=(ASSUMED_PLAIN,) if scaled and not known else (),
    )


FORMAT = Format("DeiT", _recognises, _convert)
