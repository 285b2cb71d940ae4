"""What is chosen on the screen, and its link: Selection <-> query parameters.

Pure functions of mappings, without widgets: a link is checked and clamped here, and every change is
told in a notice. Points are kept as fractions of the picture, so that they mean the same in every
patch size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dashboard import keys
from dashboard.samples import SAMPLES, find_sample

SIZES = (96, 128, 160, 192, 224, 256, 320, 384, 480, 640)
CLIPS = (90, 95, 98, 99, 99.5, 100)
REDUCTIONS = ("mean", "max", "min")
VIEWS = ("over", "beside")
SCALES = ("shared", "own")
UPLOAD_PREFIX = "sha256:"
FILE_PREFIX, UPLOADED_PREFIX = OWN_PREFIXES = ("file:", "upload:")  # of models from files


@dataclass(frozen=True)
class Selection:
    """Everything that decides what Explore draws.

    picture: a sample's name, or "sha256:…" of an uploaded picture. size: short side in pixels. head:
    "mean", "max", "min" or a number as text. query: None for CLS, or the point (y, x) as fractions.
    layer None: the last one. opacity and clip in per cent.
    """

    picture: str = SAMPLES[0].name
    model: str = "demo_vit_p8"
    size: int = 224
    layer: int | None = None
    head: str = "mean"
    query: tuple[float, float] | None = None
    view: str = "over"
    opacity: int = 65
    colours: str = "auto"
    scale: str = "shared"
    clip: float = 99.5


DEFAULT = Selection()
Notices = tuple[str, ...]


def to_link(selection: Selection) -> dict[str, str]:
    """The query parameters of a selection: only what differs from the default."""
    link = {}
    for field in fields(selection):
        value = getattr(selection, field.name)
        if value != getattr(DEFAULT, field.name) and value is not None:
            link[field.name] = f"{value[0]:.4f},{value[1]:.4f}" if isinstance(value, tuple) else f"{value}"
    return link


def from_link(
    link: Mapping[str, str],
    *,
    depth_and_heads: Mapping[str, tuple[int, int]],
    colours: tuple[str, ...],
    held: frozenset[str],
    model_problem: str = "",
) -> tuple[dict[str, object], Notices]:
    """The fields of a Selection that a link names, clamped to what exists, and a notice for each change.

    depth_and_heads: of every model by name. held: sha256 of the uploaded pictures that can still be
    shown. model_problem: why the link's model is none of these. Unknown parameters are left alone.
    """
    reader = _Reader(link, depth_and_heads, held)
    values: dict[str, object] = {
        "picture": reader.picture(),
        "model": reader.option("model", tuple(depth_and_heads), model_problem),
        "size": reader.nearest("size", SIZES),
        "layer": reader.layer(),
        "head": reader.head(),
        "query": reader.query(),
        "view": reader.option("view", VIEWS),
        "opacity": reader.between("opacity", 0, 100),
        "colours": reader.option("colours", colours),
        "scale": reader.option("scale", SCALES),
        "clip": reader.nearest("clip", CLIPS),
    }
    named = {name: value for name, value in values.items() if name in link and value is not None}
    return named, tuple(reader.notices)


class _Reader:
    """Reads one link; collects the notices."""

    def __init__(
        self, link: Mapping[str, str], depth_and_heads: Mapping[str, tuple[int, int]], held: frozenset[str]
    ) -> None:
        self.link, self.held = link, held
        self.notices: list[str] = []
        model = link.get("model", DEFAULT.model)
        self.depth, self.heads = depth_and_heads.get(model, depth_and_heads[DEFAULT.model])

    def option(self, name: str, options: tuple[str, ...], why: str = "") -> str | None:
        value = self.link.get(name)
        if value is None or value in options:
            return value
        return self._changed(name, value, getattr(DEFAULT, name), why=why)

    def nearest(self, name: str, options: tuple) -> float | None:
        number = self._number(name)
        if number is None or number in options:
            return None if number is None else options[options.index(number)]
        return self._changed(name, self.link[name], min(options, key=lambda option: abs(option - number)))

    def between(self, name: str, low: int, high: int) -> int | None:
        number = self._number(name)
        if number is None:
            return None
        clamped = int(min(max(number, low), high))
        return clamped if clamped == number else self._changed(name, self.link[name], clamped)

    def layer(self) -> int | None:
        number = self._number("layer")
        if number is None:
            return None
        clamped = int(min(max(number, -self.depth), self.depth - 1))
        if clamped != number:
            self._changed("layer", self.link["layer"], clamped % self.depth)
        return clamped % self.depth

    def head(self) -> str | None:
        value = self.link.get("head")
        if value is None or value in REDUCTIONS:
            return value
        number = self._number("head")
        if number is None:
            return None
        clamped = int(min(max(number, 0), self.heads - 1))
        return str(clamped) if clamped == number else self._changed("head", value, str(clamped))

    def query(self) -> tuple[float, float] | None:
        value = self.link.get("query")
        if value is None or value == "cls":
            return None
        try:
            y, x = (float(part) for part in value.split(","))
        except ValueError:
            return self._changed("query", value, None, "the CLS token")
        clamped = (_clamp(y), _clamp(x))
        if clamped != (y, x):
            self._changed("query", value, clamped, f"{clamped[0]:.2f},{clamped[1]:.2f}")
        return clamped

    def picture(self) -> str | None:
        value = self.link.get("picture")
        if value is None or find_sample(value):
            return value
        if value.startswith(UPLOAD_PREFIX):
            if value.removeprefix(UPLOAD_PREFIX) in self.held:
                return value
            self.notices.append(
                f"The uploaded picture of this link ({value[: len(UPLOAD_PREFIX) + 12]}…) is no longer held here: "
                f"upload it again. Showing {SAMPLES[0].title} instead."
            )
            return DEFAULT.picture
        return self._changed("picture", value, DEFAULT.picture)

    def _number(self, name: str) -> float | None:
        value = self.link.get(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number or abs(number) == float("inf"):
            fallback = getattr(DEFAULT, name)
            self._changed(name, value, None, "the last one" if fallback is None else fallback)
            return None
        return number

    def _changed(self, name: str, value: str, used: Any, words: object = None, why: str = "") -> Any:
        """Tell that `used` (in `words`, if given) takes the place of what the link says, and why; returns it."""
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        reason = f" ({why.strip('. ')})" if why else ""
        self.notices.append(
            f"The link asks for {name} {shown!r}, which is not available here{reason}; using {words or used}."
        )
        return used


def _clamp(fraction: float) -> float:
    return min(max(fraction, 0.0), 1.0) if fraction == fraction else 0.5


def clamp_to_model(layer: int | None, head: str | None, *, depth: int, heads: int) -> tuple[int, str]:
    """A layer and a head that this model has; no layer means the last one."""
    layer = depth - 1 if layer is None else min(max(layer, 0), depth - 1)
    if head not in REDUCTIONS:
        head = head if head is not None and head.isdecimal() and int(head) < heads else "mean"
    return layer, head


# Widget keys of the fields that are one widget each.
WIDGETS: Mapping[str, str] = {
    "model": keys.MODEL,
    "size": keys.SIZE,
    "layer": keys.LAYER,
    "head": keys.HEAD,
    "query": keys.QUERY,
    "view": keys.VIEW,
    "opacity": keys.OPACITY,
    "colours": keys.COLOURS,
    "scale": keys.SCALE,
    "clip": keys.CLIP,
}
