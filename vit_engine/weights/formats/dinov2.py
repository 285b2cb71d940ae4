"""DINOv2 (facebookresearch/dinov2): pretrained backbones, with and without registers, and training files.

A training file's teacher is taken. Blocks may be in chunks for sharded training: `blocks.CHUNK.LAYER`, layers
counted through. Without registers positions are resampled with DINO's offset, with them the other way round,
as the repository's hub does it.
"""

import re
from collections.abc import Set

from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.format import Format, Origin, Traits
from vit_engine.weights.formats.hf_names import WHY_MASK

PUBLISHED = {(384, 12): 6, (768, 12): 12, (1024, 24): 16, (1536, 40): 24}
_HEADS = r"(dino_head|ibot_head)\..*"
_CHUNKED = re.compile(r"blocks\.\d+\.(\d+)\.(.*)")


def take_teacher(conversion: Conversion) -> None:
    """The teacher of a training file, without what only its training needs."""
    conversion.drop(r"student\..*", "student of self-supervised training; its teacher is taken")
    conversion.drop(r"(dino_loss|ibot_patch_loss)\..*", "state of a training loss")
    conversion.strip("teacher.", "backbone.")
    conversion.drop(_HEADS, "projection head of self-supervised training")
    conversion.drop(r"mask_token", WHY_MASK)


def backbone_names(names: Set[str]) -> set[str]:
    """Names of tensors as they are in a pretrained file, also for a training file's teacher."""
    return {name.removeprefix("teacher.").removeprefix("backbone.") for name in names}


def _recognises(names: Set[str], _: Origin) -> bool:
    found = backbone_names(names)
    if not {"cls_token", "pos_embed", "patch_embed.proj.weight"} <= found:
        return False
    scaled = any(name.endswith(".ls1.gamma") for name in found)
    chunked = any(_CHUNKED.fullmatch(name) for name in found)
    return "register_tokens" in found or chunked or (scaled and "mask_token" in found)


def _convert(conversion: Conversion, _: Origin) -> Traits:
    take_teacher(conversion)
    conversion.rename(((_CHUNKED.pattern, r"blocks.\1.\2"),))
    return Traits(
        family="dinov2",
        resampling="antialias" if "register_tokens" in conversion else "dino",
        published=PUBLISHED,
    )


FORMAT = Format("DINOv2", _recognises, _convert)
