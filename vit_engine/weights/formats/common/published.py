"""Heads of published models by (dimensions, layers): for advice, because a file need not be one of them."""

from collections.abc import Mapping

from vit_engine.registry.sizes import BASE, GIANT, HUGE, LARGE, SMALL, TINY, Size

Published = Mapping[tuple[int, int], int]

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
