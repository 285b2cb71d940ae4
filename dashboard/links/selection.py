"""What is chosen on the screen, and its part of the link.

Points are kept as fractions of the picture, so that they mean the same in every patch size.
"""

from dataclasses import dataclass
from typing import Any

from dashboard import keys
from dashboard.links.codec import Instead, Reading, between, finite, fractions, layer_number, nearest, option, parameter
from dashboard.links.options import read_options, write_options
from dashboard.links.pictures import picture_or
from dashboard.links.targets import AUTOMATIC, read_target
from dashboard.links.worth import RANKED, STEPS, Box, read_object, read_part, write_object
from dashboard.samples import SAMPLES
from vit_engine.analysis import methods
from vit_engine.analysis.comparison import FILE_PREFIX
from vit_engine.analysis.methods import RAW, Value
from vit_engine.analysis.worth.perturbation import BASELINES, BLUR
from vit_engine.report.colours import COLOUR_SCALES
from vit_engine.trace import REDUCTIONS
from vit_engine.weights.fetching.hub import HUB_PREFIX

SIZES = (96, 128, 160, 192, 224, 256, 320, 336, 384, 448, 480, 518, 640)
CLIPS = (90, 95, 98, 99, 99.5, 100)
VIEWS = ("over", "beside")
SCALES = ("shared", "own")
SINKS = ("shown", "aside")
COLOURS = ("auto", *COLOUR_SCALES)
UPLOADED_PREFIX = "upload:"
Place = tuple[float, float] | tuple[float, float, float, float]  # a point, or a region: (top, left, bottom, right)
OWN_PREFIXES = (FILE_PREFIX, UPLOADED_PREFIX, HUB_PREFIX)  # of models from files, and from the Hugging Face hub


def _model(text: str, link: Reading) -> Any:
    return text if link.find_model(text) else Instead(link.default, why=link.models[text][1])


def _head(text: str, link: Reading) -> Any:
    number = finite(text)
    if text in REDUCTIONS or number is None:
        return text if text in REDUCTIONS else Instead()
    clamped = int(min(max(number, 0), link.model.heads - 1))
    return str(clamped) if clamped == number else Instead(str(clamped))


def _method(text: str, link: Reading) -> Any:
    return text if any(text == method.name for method in methods.METHODS) else Instead(link.default)


def point(text: str, _: Reading) -> Any:
    """A point (y, x) as fractions of a picture, or None for the CLS token."""
    if text == "cls":
        return None
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError:
        return Instead(words="the CLS token")
    clamped = (_clamp(y), _clamp(x))
    return clamped if clamped == (y, x) else Instead(clamped, f"{clamped[0]:.2f},{clamped[1]:.2f}")


def _place(text: str, link: Reading) -> Any:
    """A point, or the box (top, left, bottom, right) of a region, as fractions of a picture; None for the CLS token."""
    if text.count(",") != 3:
        return point(text, link)
    top, left, bottom, right = (-1.0 if (side := finite(part)) is None else side for part in text.split(","))
    return (
        (top, left, bottom, right)
        if 0 <= top < bottom <= 1 and 0 <= left < right <= 1
        else Instead(words="the CLS token")
    )


def middle(place: Place | None) -> tuple[float, float] | None:
    """The point (y, x) in the middle of a region; a point as it is."""
    if place is None or len(place) == 2:
        return place
    top, left, bottom, right = place
    return (top + bottom) / 2, (left + right) / 2


def _clamp(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0) if fraction == fraction else 0.5


@dataclass(frozen=True)
class Selection:
    """Everything that decides what Explore draws."""

    # A sample's name, or "sha256:…" of an uploaded picture.
    picture: str = parameter(SAMPLES[0].name, read=picture_or(f"Showing {SAMPLES[0].title} instead."))
    model: str = parameter("demo_vit_p8", key=keys.MODEL, read=_model)
    size: int = parameter(224, key=keys.SIZE, read=nearest(SIZES))  # short side in pixels
    layer: int | None = parameter(None, key=keys.LAYER, read=layer_number(last=True))  # None: the last one
    head: str = parameter("mean", key=keys.HEAD, read=_head)  # "mean", "max", "min" or a number as text
    method: str = parameter(RAW, key=keys.METHOD, read=_method)  # a name in METHODS
    # What the method is asked with beside layer, head and query: (name, value) of options that are not at their default
    options: tuple[tuple[str, Value], ...] = parameter(
        (), key=keys.OPTIONS, read=read_options, write=write_options, title="option"
    )
    target: str = parameter(AUTOMATIC, key=keys.TARGET, read=read_target)  # as dashboard.links.targets has it
    # None for CLS, or the point (y, x), or the region (top, left, bottom, right), as fractions
    query: Place | None = parameter(None, key=keys.QUERY, read=_place, write=fractions)
    view: str = parameter("over", key=keys.VIEW, read=option(VIEWS))
    opacity: int = parameter(65, key=keys.OPACITY, read=between(0, 100))  # per cent
    colours: str = parameter("auto", key=keys.COLOURS, read=option(COLOURS))
    scale: str = parameter("shared", key=keys.SCALE, read=option(SCALES))
    clip: float = parameter(99.5, key=keys.CLIP, read=nearest(CLIPS))  # per cent
    sinks: str = parameter("shown", key=keys.SINKS, read=option(SINKS))  # whether colour scales leave them out
    # What the large map is worth: the part that is open, what takes the place of patches, the object that a map is to
    # find, as dashboard.links.worth has it, and whose heads are ranked by it
    worth: str | None = parameter(None, key=keys.WORTH, read=read_part)
    baseline: str = parameter(BLUR, key=keys.BASELINE, read=option(BASELINES))
    steps: str = parameter(STEPS[0], key=keys.WORTH_STEPS, read=option(STEPS))  # of curves
    object: Box | str | None = parameter(None, key=keys.OBJECT, read=read_object, write=write_object)
    ranked: str = parameter("shown", key=keys.RANKED_METHODS, read=option(RANKED))

    @property
    def one_head(self) -> int | None:
        """The number of the head; None for a reduction of all heads."""
        return int(self.head) if self.head.isdigit() else None


DEFAULT = Selection()


def clamp_to_model(layer: int | None, head: str | None, *, depth: int, heads: int) -> tuple[int, str]:
    """A layer and a head that this model has; no layer means the last one."""
    layer = depth - 1 if layer is None else min(max(layer, 0), depth - 1)
    return layer, head if head and head in (*REDUCTIONS, *map(str, range(heads))) else "mean"
