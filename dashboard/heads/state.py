"""What is chosen on the page Heads, and its part of the link.

?statistic=distance_px&overlay=demo_vit_p16&ranking=global&similar=all
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard import keys
from dashboard.links.codec import Reading, layer_number, nearest, option, parameter
from vit_engine.trace.statistics import STATISTICS

PROFILES = {"statistic": "", "entropy": "cls_entropy_normalised", "distance": "distance_px"}  # "" for the chosen one
RANKINGS = ("focused", "local", "global", "unlike", "redundant")
SCOPES = ("layer", "all")
ORDERS = ("cluster", "number")
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)  # bits
MAX_OVERLAY = 3  # models beside the one in use


def _overlay(texts: Sequence[str], link: Reading) -> Any:
    asked = {name: link.find_model(name) for name in dict.fromkeys(texts)}
    link.tell_problems()
    for name, spec in asked.items():
        if spec is None:
            link.tell("overlay", name, "the other models")
    there = [name for name, spec in asked.items() if spec is not None and name != link.available.model]
    for name in there[MAX_OVERLAY:]:
        link.tell("overlay", name, f"the first {MAX_OVERLAY}")
    return tuple(there[:MAX_OVERLAY])


@dataclass(frozen=True)
class HeadsView:
    """Everything that decides what Heads draws, beside the sidebar."""

    # A column of vit_engine.trace.statistics.
    statistic: str = parameter("cls_entropy_normalised", key=keys.HEADS_STATISTIC, read=option(STATISTICS))
    profile: str = parameter("statistic", key=keys.HEADS_PROFILE, read=option(PROFILES))
    # Names of the models beside the one in use.
    overlay: tuple[str, ...] = parameter((), key=keys.HEADS_OVERLAY, read=_overlay, write=list, several=True)
    ranking: str = parameter("focused", key=keys.HEADS_RANKING, read=option(RANKINGS))
    scope: str = parameter("layer", key=keys.HEADS_SCOPE, read=option(SCOPES), name="similar")
    # The one whose heads are shown, where the scope is one; None for the last.
    layer: int | None = parameter(None, key=keys.HEADS_LAYER, read=layer_number(last=False), name="similar_layer")
    order: str = parameter("cluster", key=keys.HEADS_ORDER, read=option(ORDERS), name="similar_order")
    redundant: float = parameter(0.05, key=keys.HEADS_REDUNDANT, read=nearest(THRESHOLDS))  # bits

    @property
    def profiled(self) -> str:
        """The statistic of the profile by depth."""
        return PROFILES[self.profile] or self.statistic


DEFAULT = HeadsView()


def compares(statistic: str, token_counts: Collection[tuple[int, int]]) -> bool:
    """Whether a statistic means the same in models with these (tokens, patches)."""
    return len(set(token_counts)) <= 1 or STATISTICS[statistic].comparable


def fitting(overlay: Sequence[str], *, models: Collection[str], model: str) -> tuple[str, ...]:
    """Of names of models, the first few that exist, each once, and none that is in use."""
    there = [name for name in dict.fromkeys(overlay) if name in models and name != model]
    return tuple(there[:MAX_OVERLAY])
