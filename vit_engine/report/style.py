"""How a comparison is drawn."""

from dataclasses import dataclass

from vit_engine.errors import SpecError
from vit_engine.report.colours import COLOUR_SCALES

SHOWS = ("map", "difference", "mask")
SCALES = ("shared", "own", "log")

Zoom = tuple[float, float, float, float]  # (top, left, bottom, right) in pixels of the scaled picture


@dataclass(frozen=True)
class Style:
    """How a comparison is drawn. SpecError for what does not exist."""

    show: str = "map"  # the maps, their differences to the reference, or the patches that hold most of the mass
    scale: str = "shared"  # one for all panes, each its own, or one for all, logarithmic
    colours: str = "inferno"  # one of COLOUR_SCALES
    opacity: float = 0.65  # of the colours, 0..1
    clip: float = 99.5  # the percentile at which the scale ends

    def __post_init__(self) -> None:
        for name, options in (("show", SHOWS), ("scale", SCALES), ("colours", COLOUR_SCALES)):
            if getattr(self, name) not in options:
                raise SpecError(f"{name} must be one of {', '.join(options)}; got {getattr(self, name)!r}.")
        if not (0 <= self.opacity <= 1 and 0 < self.clip <= 100):
            raise SpecError(
                f"opacity must be in 0..1 and clip a percentile above 0; got {self.opacity} and {self.clip}."
            )
