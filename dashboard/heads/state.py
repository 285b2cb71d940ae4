"""What is chosen on the page Heads, and its part of the link. Pure functions, as in dashboard.links.selection.

?statistic=distance_px&overlay=demo_vit_p16&ranking=global&similar=all
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

from vit_engine import ModelSpec
from vit_engine.analysis.comparison.tables import COMPARABLE
from vit_engine.trace.statistics import COLUMNS

STATISTICS = {column.name: column for column in COLUMNS if column.unit}
PROFILES = {"statistic": "", "entropy": "cls_entropy_normalised", "distance": "distance_px"}  # "" for the chosen one
RANKINGS = ("focused", "local", "global", "unlike", "redundant")
SCOPES = ("layer", "all")
ORDERS = ("cluster", "number")
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # bits
MAX_OVERLAY = 3  # models beside the one in use


@dataclass(frozen=True)
class HeadsView:
    """Everything that decides what Heads draws, beside the sidebar.

    statistic: a column of vit_engine.trace.statistics. profile: a key of PROFILES. overlay: names of the models beside
    the one in use. scope: heads of one layer, or of all. layer: that one; None for the last. redundant: bits,
    one of THRESHOLDS.
    """

    statistic: str = "cls_entropy_normalised"
    profile: str = "statistic"
    overlay: tuple[str, ...] = ()
    ranking: str = "focused"
    scope: str = "layer"
    layer: int | None = None
    order: str = "cluster"
    redundant: float = 0.05

    @property
    def profiled(self) -> str:
        """The statistic of the profile by depth."""
        return PROFILES[self.profile] or self.statistic


DEFAULT = HeadsView()
# A field's name in the link.
LINK_NAMES = {
    "statistic": "statistic",
    "profile": "profile",
    "overlay": "overlay",
    "ranking": "ranking",
    "scope": "similar",
    "layer": "similar_layer",
    "order": "similar_order",
    "redundant": "redundant",
}
NAMES = tuple(LINK_NAMES.values())
_OPTIONS: Mapping[str, Collection[str]] = {
    "statistic": STATISTICS,
    "profile": PROFILES,
    "ranking": RANKINGS,
    "scope": SCOPES,
    "order": ORDERS,
}
Notices = tuple[str, ...]


def compares(statistic: str, token_counts: Collection[tuple[int, int]]) -> bool:
    """Whether a statistic means the same in models with these (tokens, patches)."""
    return len(set(token_counts)) <= 1 or statistic.endswith(COMPARABLE)


def to_link(view: HeadsView) -> dict[str, str | list[str]]:
    """The page's query parameters: only what differs from the default."""
    link: dict[str, str | list[str]] = {}
    for field in fields(view):
        value = getattr(view, field.name)
        if value != getattr(DEFAULT, field.name):
            link[LINK_NAMES[field.name]] = list(value) if isinstance(value, tuple) else f"{value}"
    return link


def from_link(
    link: Mapping[str, Sequence[str]], *, models: Mapping[str, ModelSpec], model: str
) -> tuple[HeadsView, Notices]:
    """What a link asks for, brought to what there is, and a notice for each change.

    models: all by name. model: the name of the one in use.
    """
    reader = _Reader(link, models, model)
    view = HeadsView(
        statistic=reader.option("statistic"),
        profile=reader.option("profile"),
        overlay=reader.overlay(),
        ranking=reader.option("ranking"),
        scope=reader.option("scope"),
        layer=reader.layer(),
        order=reader.option("order"),
        redundant=reader.threshold(),
    )
    return view, tuple(reader.notices)


def fitting(overlay: Sequence[str], *, models: Collection[str], model: str) -> tuple[str, ...]:
    """Of names of models, the first few that exist, each once, and none that is in use."""
    there = [name for name in dict.fromkeys(overlay) if name in models and name != model]
    return tuple(there[:MAX_OVERLAY])


class _Reader:
    """Reads a link's parameters one by one, collecting notices."""

    def __init__(self, link: Mapping[str, Sequence[str]], models: Mapping[str, ModelSpec], model: str) -> None:
        self.link, self.models, self.model = link, models, model
        self.notices: list[str] = []

    def option(self, field: str) -> str:
        value = self._last(field)
        if value is None or value in _OPTIONS[field]:
            return getattr(DEFAULT, field) if value is None else value
        self._changed(field, value, getattr(DEFAULT, field))
        return getattr(DEFAULT, field)

    def overlay(self) -> tuple[str, ...]:
        asked = list(dict.fromkeys(self.link.get(LINK_NAMES["overlay"], ())))
        for name in asked:
            if name not in self.models:
                self._changed("overlay", name, "the other models")
        there = [name for name in asked if name in self.models and name != self.model]
        for name in there[MAX_OVERLAY:]:
            self._changed("overlay", name, f"the first {MAX_OVERLAY}")
        return fitting(there, models=self.models, model=self.model)

    def layer(self) -> int | None:
        depth, number = self.models[self.model].depth, self._number("layer", "the last one")
        if number is None:
            return None
        clamped = int(min(max(number, -depth), depth - 1))
        if clamped != number:
            self._changed("layer", self.link[LINK_NAMES["layer"]][-1], clamped % depth)
        return None if clamped % depth == depth - 1 else clamped % depth

    def threshold(self) -> float:
        number = self._number("redundant", DEFAULT.redundant)
        if number is None:
            return DEFAULT.redundant
        nearest = min(THRESHOLDS, key=lambda bits: abs(bits - number))
        if nearest != number:
            self._changed("redundant", self.link[LINK_NAMES["redundant"]][-1], nearest)
        return nearest

    def _number(self, field: str, otherwise: object) -> float | None:
        value = self._last(field)
        try:
            number = None if value is None else float(value)
        except ValueError:
            number = float("nan")
        if number is None or abs(number) < float("inf"):
            return number
        self._changed(field, value or "", otherwise)
        return None

    def _last(self, field: str) -> str | None:
        values = self.link.get(LINK_NAMES[field])
        return values[-1] if values else None

    def _changed(self, field: str, asked: str, used: object) -> None:
        shown = asked if len(asked) <= 40 else f"{asked[:40]}…"
        self.notices.append(
            f"The link asks for {LINK_NAMES[field]} {shown!r}, which is not available here; using {used}."
        )
