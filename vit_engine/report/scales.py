"""Where the colours of panes begin and end.

A scale is shared by maps whose values are the same thing: of one quantity and one unit. A weight is one patch's, so of
such maps the scale is one of density; maps for and against a target have theirs centred on zero.
"""

from collections.abc import Sequence

import numpy as np

from vit_engine.analysis.comparison import PaneResult
from vit_engine.report.colours import limits, upper_limit
from vit_engine.trace.attention_map import AttentionMap, Quantity

Ends = tuple[float, float]


def shared_ends(results: Sequence[PaneResult], clip: float) -> dict[str, Ends]:
    """Where each pane's colours begin and end, by its name: of what is extensive as density. clip: a percentile."""
    kinds: dict[tuple[Quantity, str], list[PaneResult]] = {}
    for one in results:
        kinds.setdefault((one.map.quantity, one.map.unit), []).append(one)
    return {one.name: ends for alike in kinds.values() for ends in [_ends(alike, clip)] for one in alike}


def _ends(alike: Sequence[PaneResult], clip: float) -> Ends:
    """Of maps of one quantity and one unit."""
    values = np.concatenate([one.map.values.ravel() * density(one.map) for one in alike])
    if any(one.diverging for one in alike):
        limit = upper_limit(np.abs(values), clip)
        return -limit, limit
    if alike[0].map.quantity is Quantity.EXTENSIVE:
        return 0.0, upper_limit(values, clip)
    return limits(values, clip)


def density(shown: AttentionMap) -> int:
    """What makes a map's values comparable across patch sizes."""
    return shown.grid.patches if shown.quantity is Quantity.EXTENSIVE else 1
