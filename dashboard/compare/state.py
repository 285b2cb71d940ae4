"""What is chosen on the page Compare, and its part of the link. Pure functions, as in dashboard.links.selection.

    ?pane=demo_vit_p8:5:mean&pane=demo_vit_p16:5:mean&show=difference

A pane is written as on the command line: MODEL:LAYER:HEAD, and perhaps :METHOD and :QUERY.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vit_engine import ModelSpec, SpecError
from vit_engine.analysis.comparison import MAX_PANES, Pane
from vit_engine.report.style import SCALES, SHOWS
from vit_engine.trace.statistics import COLUMNS

LEAST_PANES = 2
KEEPS = tuple(range(5, 100, 5))  # per cent of the mass
ROWS = ("layer", "all")
ORDERS = ("head", "difference")
CHARTS = ("box", "violin")
STATISTICS = tuple(column.name for column in COLUMNS if column.unit)
NAMES = ("pane", "reference", "show", "pane_scale", "keep", "zoom", "statistic", "rows", "order", "chart")
DEFAULT_PANES = (Pane("demo_vit_p8", 5), Pane("demo_vit_p16", 5))
SMALLEST_ZOOM = 0.02  # of a side
_ROUNDING = 2e-4  # of a zoom in a link: its ends have four decimals

Zoom = tuple[float, float, float, float]  # (top, left, bottom, right) as fractions of the scaled picture
WHOLE: Zoom = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Comparing:
    """Everything that decides what Compare draws, beside the sidebar.

    reference: the number of the pane that the others are compared with. show, scale: those of vit_engine.report.style.
    keep: per cent of the mass in masks. zoom: the part that is shown, None for all. statistic: a column of
    vit_engine.trace.statistics. rows: heads of each pane's layer, or of all layers. order: by head, or the largest
    differences first. chart: "box" or "violin".
    """

    panes: tuple[Pane, ...] = DEFAULT_PANES
    reference: int = 0
    show: str = "map"
    scale: str = "shared"
    keep: int = 60
    zoom: Zoom | None = None
    statistic: str = "cls_entropy_normalised"
    rows: str = "layer"
    order: str = "head"
    chart: str = "box"


DEFAULT = Comparing()
Notices = tuple[str, ...]
_OPTIONS = {
    "show": ("show", SHOWS),
    "scale": ("pane_scale", SCALES),
    "statistic": ("statistic", STATISTICS),
    "rows": ("rows", ROWS),
    "order": ("order", ORDERS),
    "chart": ("chart", CHARTS),
}  # a field: its name in the link, and what it may be


def pane_name(number: int) -> str:
    """What a pane is called: "A" for 0."""
    return chr(ord("A") + number)


def to_link(chosen: Comparing) -> dict[str, str | list[str]]:
    """The page's parameters: the panes always, of the rest what differs from the default."""
    link: dict[str, str | list[str]] = {"pane": [str(pane) for pane in chosen.panes]}
    if chosen.reference:
        link["reference"] = pane_name(chosen.reference)
    if chosen.keep != DEFAULT.keep:
        link["keep"] = str(chosen.keep)
    if chosen.zoom is not None:
        link["zoom"] = ",".join(f"{part:.4f}" for part in chosen.zoom)
    for field, (name, _) in _OPTIONS.items():
        if getattr(chosen, field) != getattr(DEFAULT, field):
            link[name] = getattr(chosen, field)
    return link


def from_link(link: Mapping[str, Sequence[str]], specs: Mapping[str, ModelSpec]) -> tuple[Comparing, Notices]:
    """What a link chooses, clamped to what exists, and a notice for each change."""
    reader = _Reader(link, specs)
    options: dict[str, Any] = {field: reader.option(field, *row) for field, row in _OPTIONS.items()}
    panes, numbers = reader.panes()
    chosen = Comparing(
        panes=panes, reference=reader.reference(numbers), keep=reader.keep(), zoom=reader.zoom(), **options
    )
    return chosen, tuple(reader.notices)


def fitted(pane: Pane, spec: ModelSpec) -> Pane:
    """A pane with a layer, counted from 0, and a head that its model has."""
    layer = pane.layer % spec.depth if -spec.depth <= pane.layer < 0 else min(max(pane.layer, 0), spec.depth - 1)
    head = pane.head if isinstance(pane.head, str) or pane.head < spec.heads else spec.heads - 1
    return replace(pane, layer=layer, head=head)


class _Reader:
    """Reads one link; collects the notices."""

    def __init__(self, link: Mapping[str, Sequence[str]], specs: Mapping[str, ModelSpec]) -> None:
        self.link, self.specs = link, specs
        self.notices: list[str] = []

    def panes(self) -> tuple[tuple[Pane, ...], tuple[int, ...]]:
        """The panes, and which of the link's the first of them are, by number: some are left out, some put in."""
        texts = self.link.get("pane", ())
        if not texts:
            return DEFAULT_PANES, tuple(range(len(DEFAULT_PANES)))
        if len(texts) > MAX_PANES:
            self.notices.append(f"The link has {len(texts)} panes; showing the first {MAX_PANES}.")
        found = {number: pane for number, text in enumerate(texts[:MAX_PANES]) if (pane := self._pane(text))}
        missing = max(LEAST_PANES - len(found), 0)
        if missing:
            self.notices.append(f"A comparison needs {LEAST_PANES} panes at least: others were put in.")
        others = [pane for pane in DEFAULT_PANES if pane not in found.values()]
        return (*found.values(), *others[:missing]), tuple(found)

    def _pane(self, text: str) -> Pane | None:
        try:
            pane = Pane.parse(text)
        except SpecError as error:
            self.notices.append(f"A pane of the link was left out: {_short(str(error))}")
            return None
        if pane.model not in self.specs:
            self.notices.append(
                f"The link asks for the model {_short(pane.model)!r}, which is not here: its pane was left out."
            )
            return None
        spec = self.specs[pane.model]
        fit = fitted(pane, spec)
        if fit.head != pane.head or not -spec.depth <= pane.layer < spec.depth:
            self._changed("the pane", text, str(fit))
        return fit

    def reference(self, numbers: tuple[int, ...]) -> int:
        """numbers: of the link's panes that there are, in order; the link's letters are theirs."""
        text = self._last("reference")
        number = ord(text) - ord("A") if text is not None and len(text) == 1 else -1
        if text is None or number in numbers:
            return 0 if text is None else numbers.index(number)
        self._changed("reference", text, "A")
        return 0

    def keep(self) -> int:
        text = self._last("keep")
        if text is None:
            return DEFAULT.keep
        number = float(text) if _is_number(text) else DEFAULT.keep
        nearest = min(KEEPS, key=lambda keep: abs(keep - number))
        if nearest != number or not _is_number(text):
            self._changed("keep", text, nearest)
        return nearest

    def zoom(self) -> Zoom | None:
        text = self._last("zoom")
        if text is None:
            return None
        parts = [float(part) for part in text.split(",") if _is_number(part)]
        if len(parts) == len(text.split(",")) == 4:
            top, left, bottom, right = parts
            least = SMALLEST_ZOOM - _ROUNDING
            if 0 <= top <= bottom - least and 0 <= left <= right - least and max(bottom, right) <= 1:
                return top, left, bottom, right
        self._changed("zoom", text, "the whole picture")
        return None

    def option(self, field: str, name: str, options: tuple[str, ...]) -> str:
        text = self._last(name)
        if text is None or text in options:
            return text or getattr(DEFAULT, field)
        self._changed(name, text, getattr(DEFAULT, field))
        return getattr(DEFAULT, field)

    def _last(self, name: str) -> str | None:
        values = self.link.get(name)
        return values[-1] if values else None

    def _changed(self, name: str, asked: str, used: object) -> None:
        self.notices.append(f"The link asks for {name} {_short(asked)!r}, which is not available here; using {used}.")


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"


def zoom_in_pixels(zoom: Zoom | None, frame: tuple[int, int]) -> Zoom | None:
    """The part that is shown, in pixels of the scaled picture (height, width)."""
    if zoom is None:
        return None
    height, width = frame
    top, left, bottom, right = zoom
    return top * height, left * width, bottom * height, right * width


def zoom_on(box: Mapping[str, Sequence[float]], frame: tuple[int, int]) -> Zoom | None:
    """The part of the picture to show for a box {"x": …, "y": …} in pixels: the least of the picture's own shape
    that holds it. None for a box that is next to nothing.
    """
    height, width = frame
    left, right = sorted(part / width for part in box["x"][:2])
    top, bottom = sorted(part / height for part in box["y"][:2])
    side = max(right - left, bottom - top)
    if side < SMALLEST_ZOOM:
        return None
    side = min(side, 1.0)
    middle_y, middle_x = (top + bottom) / 2, (left + right) / 2
    top, left = (min(max(middle - side / 2, 0.0), 1 - side) for middle in (middle_y, middle_x))
    return round(top, 4), round(left, 4), round(top + side, 4), round(left + side, 4)
