"""What the measures say, in words."""

from collections.abc import Sequence

import numpy as np

from dashboard.links.worth import SCENE, Box
from dashboard.shell.formatting import format_share
from vit_engine import Faithfulness, Method, Pointing
from vit_engine.report.worth import curve_verdict
from vit_engine.trace.targets import ClassTarget

ON, OFF = 1.5, 1 / 1.5  # times an even map's share: a map lies on an object from here on, or keeps away from it
_ICONS = {1: "check", 0: "drag_handle", -1: "close"}


def curve_line(area: float, random: np.ndarray, other: float, *, rising: bool) -> str:
    """The area of a curve beside those of random orders and of randomised weights, and whether it is better.

    rising: whether a large area is good, as that of insertion is.
    """
    chance = f"{random.mean():.3f} ± {random.std():.3f}"
    numbers = f"Area **{area:.3f}** · random orders {chance} · randomised weights {other:.3f}"
    return f"{numbers}  \n{verdict(area, random, rising=rising)}"


def verdict(area: float, random: np.ndarray, *, rising: bool) -> str:
    """Whether an area is better than chance: beyond all random orders, and by more than their spread."""
    grade, sentence = curve_verdict(area, random, rising=rising)
    return f":material/{_ICONS[grade]}: {sentence}"


def unit(measured: Faithfulness) -> str:
    """Of the axis of scores."""
    return "probability" if isinstance(measured.target, ClassTarget) else "score"


def object_name(chosen: Box | str) -> str:
    """What an object is called within a sentence."""
    if not isinstance(chosen, str):
        return "the box"
    return "the scene's objects" if chosen == SCENE else "the mask"


def pointing_line(result: Pointing, name: str, *, signed: bool) -> str:
    """How the map lies on the object."""
    part = "the map's positive part" if signed else "the map"
    share, area = format_share(result.share), format_share(result.area)
    lies = f"**{share}** of {part} lies in {name}, {area} of the picture: **{result.gain:.1f} ×** an even map's share."
    inside = "inside" if result.hit else "outside"
    kept = format_share(result.kept)
    overlap = (
        f"at best its strongest patches, with {kept} of its mass, have an IoU of **{result.iou:.2f}** with the object."
    )
    return f"{finding(result.gain)} {lies} Its largest value is {inside}; {overlap}"


def finding(gain: float) -> str:
    if gain >= ON:
        return ":material/check: It lies on the object:"
    if gain <= OFF:
        return ":material/close: It keeps away from the object:"
    return ":material/drag_handle: It does not tell the object from the rest:"


def ranked_title(method: Method) -> str:
    """The choice of the method that is shown: one without a map of each head is held beside the heads of another."""
    return "This method" if method.per_head else "This map and raw attention"


def ranking_title(phrases: Sequence[str]) -> str:
    """phrases: of the methods in the ranking."""
    methods = " and ".join(phrases) if len(phrases) <= 2 else f"{len(phrases)} methods"
    return f"**Which head finds it?** :small[{methods} · a click on a row opens its head]"
