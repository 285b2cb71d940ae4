"""A target in a link: "" (automatic), "281" (a class), "norm", "point:Y,X", "picture:NAME" or "text:WORDS"."""

from typing import Any

from dashboard.links.codec import Instead, Reading, finite, fractions
from dashboard.links.pictures import picture_or
from vit_engine import ModelSpec, SpecError, find_target
from vit_engine.trace.targets import ClassTarget, NormTarget

# The likeliest class; without a classifier the norm of the image embedding, or, of random weights, whose embeddings are
# all equally long, the similarity to the middle patch.
AUTOMATIC = ""
POINT, PICTURE, TEXT = "point:", "picture:", "text:"
MOST_CHARACTERS = 200  # of a text
USED = "the automatic target"
_picture = picture_or(f"Using {USED} instead.")


def read_target(text: str, link: Reading) -> Any:
    """Of a link's text, for codec.parameter()."""
    if text.startswith(POINT):
        return _point(text)
    if text.startswith(PICTURE):
        name = _picture(text.removeprefix(PICTURE), link)
        return PICTURE + name if isinstance(name, str) and name else Instead(AUTOMATIC, USED) if name else AUTOMATIC
    if text.startswith(TEXT):
        words = text.removeprefix(TEXT).strip()
        return TEXT + words if len(words) <= MOST_CHARACTERS and words.isprintable() else Instead(AUTOMATIC, USED)
    try:
        target = find_target(text, link.model)
    except SpecError as error:
        return Instead(AUTOMATIC, USED, why=str(error))
    return target.name if isinstance(target, ClassTarget | NormTarget) else Instead(AUTOMATIC, USED)


def _point(text: str) -> Any:
    parts = [finite(part) for part in text.removeprefix(POINT).split(",")]
    if len(parts) != 2 or not all(part is not None and 0 <= part <= 1 for part in parts):
        return Instead(AUTOMATIC, USED)
    return write_point(*(part for part in parts if part is not None))


def write_point(y: float, x: float) -> str:
    """The patch at a point, in fractions of the picture's height and width, as a target."""
    return POINT + fractions((y, x))


def fits(text: str, spec: ModelSpec) -> bool:
    """Whether a model can have this target: a class may be another model's."""
    return not text.isdecimal() or int(text) < len(spec.class_names)


MIDDLE = write_point(0.5, 0.5)


def is_untrained(spec: ModelSpec) -> bool:
    """Whether a model's weights are random, so that the norm of the image embedding is the same for all pictures."""
    return spec.family == "random"


def is_point(text: str) -> bool:
    return text.startswith(POINT)
