"""What a map is worth, in a link: which part is open, and the object that a map is to find."""

import re
from typing import Any

from dashboard.links.codec import Instead, Reading, finite, fractions
from dashboard.links.pictures import UPLOAD_PREFIX

Box = tuple[float, float, float, float]  # (top, left, bottom, right), fractions of the scaled picture
PARTS = ("faithfulness", "pointing")
RANKED = ("shown", "all")  # methods whose heads are ranked
STEPS = ("8", "16", "32")  # of curves
SCENE = "scene"  # the objects of a generated scene
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_part(text: str, _: Reading) -> Any:
    """Of a link's text, for codec.parameter(): the part that is open."""
    return text if text in PARTS else Instead(words="neither part")


def read_object(text: str, _: Reading) -> Any:
    """Of a link's text, for codec.parameter(): a box, SCENE, or "sha256:…" of an uploaded mask."""
    if text == SCENE or (text.startswith(UPLOAD_PREFIX) and _SHA256.fullmatch(text.removeprefix(UPLOAD_PREFIX))):
        return text
    edges = tuple(finite(part) for part in text.split(","))
    box = tuple(edge for edge in edges if edge is not None)
    return box if is_box(box) and len(box) == len(edges) else Instead(words="no object")


def is_box(edges: tuple[float, ...]) -> bool:
    """Whether these are a box with something in it."""
    if len(edges) != 4 or not all(0 <= edge <= 1 for edge in edges):
        return False
    top, left, bottom, right = edges
    return top < bottom and left < right


def write_object(chosen: Box | str) -> str:
    return chosen if isinstance(chosen, str) else fractions(chosen)
