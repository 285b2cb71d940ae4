"""What an architecture's name says and its tensors do not: heads, activation, and eps of the norms.

Names are those of timm's registry (timm.models.vision_transformer, timm.models.deit), which DeiT and MAE use too.
"""

import re
from typing import NamedTuple

_SIZE = r"(?P<size>[a-z]+\d*[a-z]*)"
_PLAIN = re.compile(
    rf"test_vit|(?:vit|deit3?|eva(?=_large)|flexivit|mae_vit)_{_SIZE}(?:_distilled)?(?:_patch\d+)?(?:_plus)?"
    r"(?P<clip>_clip)?(?P<quick>_quickgelu)?(?:_reg\d+)?(?:_36x1)?(?:_dinov2|_tipsv2|_\d+)?(?:_miil|_LS|_dec\d+d\d+b)?"
)
# Of a size by its name and dimensions: a name alone says too little where a number of dimensions was given beside it.
_HEADS = {
    ("test", 64): 2,
    ("tiny", 192): 3,
    ("xsmall", 256): 4,
    ("small", 384): 6,
    ("medium", 512): 8,
    ("betwixt", 640): 10,
    ("base", 768): 12,
    ("base", 896): 14,
    ("large", 1024): 16,
    ("so400m", 1152): 16,
    ("huge", 1280): 16,
    ("giant", 1408): 16,
    ("giant", 1536): 24,
    ("gigantic", 1664): 16,
}
# (dimensions, layers) -> heads, for advice.
PUBLISHED = {
    (192, 12): 3,
    (384, 12): 6,
    (512, 12): 8,
    (640, 12): 10,
    (768, 12): 12,
    (896, 12): 14,
    (1024, 24): 16,
    (1152, 27): 16,
    (1280, 32): 16,
    (1408, 40): 16,
    (1536, 40): 24,
    (1664, 48): 16,
}


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
