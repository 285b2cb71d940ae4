"""DINOv2 (facebookresearch/dinov2): pretrained backbones, with and without registers, and training files.

Of training files only the backbone is taken. Blocks may be in chunks for sharded training:
`blocks.CHUNK.LAYER`, layers counted through. Without registers positions are resampled with DINO's offset,
with them the other way round, as the repository's hub does it.
"""

import re

from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar
from vit_engine.weights.formats.common.hf_names import WHY_MASK

_CHUNKED = re.compile(r"blocks\.\d+\.(\d+)\.(.*)")


def drop_training(conversion: Conversion) -> None:
    """What stands beside the backbone for self-supervised training, of DINOv3 too."""
    conversion.drop(r"(dino_head|ibot_head)\..*", "projection head of self-supervised training")
    conversion.drop(r"mask_token", WHY_MASK)


def take_classifier(conversion: Conversion) -> str:
    """The linear classifier of the repositories' hubs, where there is one; what it sees, one of POOLINGS."""
    if "linear_head.weight" not in conversion:
        return "cls"
    if conversion["linear_head.weight"].shape[-1] != 2 * conversion["cls_token"].shape[-1]:
        conversion.drop(r"linear_head\..*", "classifier that sees several layers; here it can see the last one alone")
        return "cls"
    conversion.rename(((r"linear_head\.(weight|bias)", r"head.\1"),))
    return "cls_mean"


def _recognises(conversion: Conversion, _: Sidecar) -> bool:
    names = conversion.tensors.keys()
    if not {"cls_token", "pos_embed", "patch_embed.proj.weight"} <= names:
        return False
    scaled = any(name.endswith(".ls1.gamma") for name in names)
    chunked = any(_CHUNKED.fullmatch(name) for name in names)
    return "register_tokens" in names or chunked or (scaled and "mask_token" in names)


def _convert(conversion: Conversion, _: Sidecar) -> Metadata:
    drop_training(conversion)
    conversion.rename(((_CHUNKED.pattern, r"blocks.\1.\2"),))
    return Metadata(
        family="dinov2",
        pooling=take_classifier(conversion),
        resampling="antialias" if "register_tokens" in conversion else "dino",
        published=published.DINOV2,
    )


FORMAT = Format("DINOv2", _recognises, _convert)
