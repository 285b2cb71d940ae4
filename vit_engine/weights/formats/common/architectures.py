"""What an architecture's name says and its tensors do not: heads, activation, and eps of the norms.

Names are those of timm's registry (timm.models.vision_transformer, timm.models.deit), which DeiT and MAE use too.
"""

import re
from typing import NamedTuple

from vit_engine.weights.formats.common.published import TIMM_SIZES

_SIZE = r"(?P<size>[a-z]+\d*[a-z]*)"
_PLAIN = re.compile(
    rf"test_vit|(?:vit|deit3?|eva(?=_large)|flexivit|mae_vit)_{_SIZE}(?:_distilled)?(?:_patch\d+)?(?:_plus)?"
    r"(?P<clip>_clip)?(?P<quick>_quickgelu)?(?:_reg\d+)?(?:_36x1)?(?:_dinov2|_tipsv2|_\d+)?(?:_miil|_LS|_dec\d+d\d+b)?"
)
# Of a size by its name and dimensions: a name alone says too little where a number of dimensions was given beside it.
_HEADS = {("test", 64): 2, ("xsmall", 256): 4} | {(name, dim): heads for name, dim, _, heads in TIMM_SIZES}


class Architecture(NamedTuple):
    """heads: None where the name and these dimensions do not go together. mlp, norm_eps: as in ModelSpec."""

    heads: int | None
    mlp: str
    norm_eps: float


def known_architecture(name: str, *, dim: int) -> Architecture | None:
    """What a name says, its tag ("….augreg_in21k") aside; None for those that are not known to be plain ViTs.

    What is not known is not taken for plain: rotary positions, for one, leave no trace in the tensors.
    """
    match = _PLAIN.fullmatch(name.split(".")[0])
    if match is None:
        return None
    return Architecture(
        heads=_HEADS.get((match["size"] or "test", dim)),
        mlp="quick_gelu" if match["quick"] else "gelu",
        norm_eps=1e-5 if match["clip"] else 1e-6,
    )
