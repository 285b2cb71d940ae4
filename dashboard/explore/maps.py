"""What a method says on Explore, and where the colours of its maps end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dashboard.explore import sinks
from dashboard.links.selection import Selection
from dashboard.services import targets
from dashboard.services.analyses import Analysis, Request
from dashboard.services.maps import MapRequest
from dashboard.shell import analysis_panel, sidebar, target_control
from vit_engine import AttentionMap, Method, Target, find_method
from vit_engine.analysis.methods import Attribution
from vit_engine.grid import Patches
from vit_engine.report.colours import Stops, colour_stops, diverging_stops, upper_limit
from vit_engine.trace.targets import PatchTarget


@dataclass(frozen=True, eq=False)
class Maps:
    """What a method says, and where the colours end."""

    asked: MapRequest
    method: Method
    patch: Patches | None  # the chosen one, or a region; None for the CLS token
    target: Target | None  # of a method that depends on one
    note: str  # why the large map is zero everywhere
    large: AttentionMap  # of the chosen layer and head
    attributions: Mapping[int, Attribution]  # by layer, of which the large map is one
    every: np.ndarray  # (layers, heads, rows, cols), one layer or head where the method has no map of each head
    row: int  # the chosen layer's place in it
    limits: np.ndarray  # (layers, heads)
    limit: float  # of the large map
    aside: np.ndarray  # bool (rows, cols): its patches that the colour scale leaves out

    @property
    def outlined(self) -> list[tuple[int, int]]:
        """Patches (row, col) with a thin outline: sinks that are set aside, and what the target is about."""
        of_target = [(self.target.row, self.target.col)] if isinstance(self.target, PatchTarget) else []
        return [*((row, col) for row, col in np.argwhere(self.aside).tolist()), *of_target]

    @property
    def stops(self) -> Stops:
        """The colours: from 0 to the limit, or of a signed map as far below 0."""
        return diverging_stops() if self.method.signed else colour_stops(sidebar.colours())


def layer_of(analysis: Analysis, selection: Selection) -> int:
    """The chosen layer's number."""
    return max(analysis.trace.layers) if selection.layer is None else selection.layer


def maps(request: Request, analysis: Analysis, selection: Selection) -> Maps | None:
    """The maps that are asked for, progress shown while the model is run; None, with the reason shown, if it fails."""
    method, layer, one = find_method(selection.method), layer_of(analysis, selection), selection.one_head
    patch, gradients = analysis.patch(selection.query), None
    if target_control.is_missing(method, selection):
        return None
    if method.needs.target and (gradients := target_control.gradients(request, analysis, selection)) is None:
        return None
    asked = MapRequest(
        request,
        analysis,
        method,
        layer=layer,
        head=selection.head if one is None else one,
        query="cls" if patch is None else patch,
        target=targets.name_of(selection.target, analysis) if "target" in method.depends_on else "",
        options=selection.options,
        gradients=gradients,
    )
    found = analysis_panel.run(asked)
    if found is None:
        return None
    row, every = list(found).index(layer) if layer in found else 0, np.stack([each.heads for each in found.values()])
    chosen = list(found.values())[row]
    aside = sinks.set_aside(analysis, selection, method, every.shape)
    limits = _limits(every, aside, selection)
    drawn = Maps(
        asked,
        method,
        patch,
        chosen.target,
        chosen.note,
        chosen.map,
        found,
        every,
        row,
        limits,
        0.0,
        aside[row].any(axis=0),
    )
    return _with_limit(drawn, aside, selection)


def _with_limit(drawn: Maps, aside: np.ndarray, selection: Selection) -> Maps:
    """Where the large map's colours end: where those of the layer's heads do, or at its own."""
    if selection.one_head is None or "head" not in drawn.method.depends_on:
        return replace(drawn, limit=_limit(drawn.large.values, drawn.aside, selection))
    left_out = aside[drawn.row, selection.one_head]
    if selection.scale == "shared":
        return replace(drawn, aside=left_out, limit=float(drawn.limits[drawn.row, selection.one_head]))
    return replace(drawn, aside=left_out, limit=_limit(drawn.large.values, left_out, selection))


def _limits(every: np.ndarray, aside: np.ndarray, selection: Selection) -> np.ndarray:
    """Where the colours of each (layer, head) end: at one value a layer, or each at its own."""
    layers = list(zip(every, aside, strict=True))
    if selection.scale == "own":
        return np.array([[_limit(*head, selection) for head in zip(*layer, strict=True)] for layer in layers])
    limits = np.array([_limit(*layer, selection) for layer in layers])
    return np.repeat(limits[:, None], every.shape[1], axis=1)


def _limit(values: np.ndarray, aside: np.ndarray, selection: Selection) -> float:
    """Of what is not set aside, if there is any; as far from 0 on either side."""
    return upper_limit(np.abs(values if aside.all() else values[~aside]), selection.clip)
