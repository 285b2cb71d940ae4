"""Heads of published models, for advice, and what the names of timm's registry say, which DeiT and MAE use too."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from vit_engine.registry.sizes import BASE, GIANT, HUGE, LARGE, SMALL, TINY, Size

Published = Mapping[tuple[int, int], int]  # by dimensions and layers

# timm's sizes: (word in the architecture's name, dimensions, layers, heads).
TIMM_SIZES = (
    ("tiny", 192, 12, 3),
    ("small", 384, 12, 6),
    ("medium", 512, 12, 8),
    ("betwixt", 640, 12, 10),
    ("base", 768, 12, 12),
    ("base", 896, 12, 14),
    ("large", 1024, 24, 16),
    ("so400m", 1152, 27, 16),
    ("huge", 1280, 32, 16),
    ("giant", 1408, 40, 16),
    ("giant", 1536, 40, 24),
    ("gigantic", 1664, 48, 16),
)


def _heads(*sizes: Size) -> Published:
    return {(size.dim, size.depth): size.heads for size in sizes}


TIMM: Published = {(dim, depth): heads for _, dim, depth, heads in TIMM_SIZES}
CLIP = _heads(BASE, LARGE)
DINO = DEIT = _heads(TINY, SMALL, BASE)
DINOV2 = _heads(SMALL, BASE, LARGE, GIANT)
DINOV3 = _heads(SMALL, BASE, LARGE, Size("H+", 1280, 32, 20), Size("7B", 4096, 40, 32))
VIT = _heads(TINY, SMALL, BASE, LARGE, HUGE)
MAE = TORCHVISION = _heads(BASE, LARGE, HUGE)

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
    """What a name says, its tag ("….augreg_in21k") aside; None for all that are not known to be plain ViTs."""
    match = _PLAIN.fullmatch(name.split(".")[0])
    if match is None:
        return None
    return Architecture(
        heads=_HEADS.get((match["size"] or "test", dim)),
        mlp="quick_gelu" if match["quick"] else "gelu",
        norm_eps=1e-5 if match["clip"] else 1e-6,
    )
