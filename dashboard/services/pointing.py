"""Which head finds an object: all heads ranked by how much of their maps lies on it, kept for all sessions."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pandas as pd

import vit_engine as ve
from dashboard.links.worth import Box
from dashboard.services import targets
from dashboard.services.gradients import GradientRequest
from dashboard.services.jobs import Store
from dashboard.services.maps import MapRequest
from dashboard.services.process import once_per_process
from vit_engine.analysis.methods import METHODS, RAW, Needs

RANKING_BYTES = 1 << 24
_rankings = once_per_process(
    lambda: Store[pd.DataFrame](RANKING_BYTES, size=lambda frame: int(frame.memory_usage(deep=True).sum()))
)


def rank(asked: MapRequest, mask: np.ndarray | Box, *, name: Box | str, every: bool = False) -> pd.DataFrame:
    """One row a head of each layer, as rank_pointing() has them: of the method that is shown.

    asked: the map that is shown, whose query, target and options count. Where its method has no map of each head, the
    heads are those of raw attention, and it has one row. name: what links call the mask. every: with all other methods
    whose maps can be made of what is in memory: nothing here runs the model. SpecError as of rank_pointing().
    """
    requests = [asked] if asked.method.per_head else [asked, _of_raw(asked)]
    if every:
        shown = {request.method.name for request in requests}
        requests += [request for request in _at_hand(asked) if request.method.name not in shown]
    key = (name, asked.layer, *((request.key, request.gradients is not None) for request in requests))
    return _rankings().get_or_make(key, lambda: _ranked(requests, mask))


def _ranked(requests: list[MapRequest], mask: np.ndarray | Box) -> pd.DataFrame:
    frames = [_heads(each, mask) if each.method.per_head else _whole(each, mask) for each in requests]
    frame = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
    return frame.sort_values(["share", "iou"], ascending=False, kind="stable", na_position="last", ignore_index=True)


def _heads(asked: MapRequest, mask: np.ndarray | Box) -> pd.DataFrame:
    method = asked.method
    return ve.rank_pointing(
        asked.analysis.run(method, gradients=asked.gradients),
        mask,
        methods=[method.name],
        query=asked.query,
        options={method.name: dict(asked.options)},
    )


def _whole(asked: MapRequest, mask: np.ndarray | Box) -> pd.DataFrame:
    """A row of the map itself, of a method that has none of each head; none where the map has no mass."""
    layer = asked.layer if "layer" in asked.method.depends_on else None
    kept = asked.kept or {}
    attribution = next(iter(kept.values()), None) if layer is None else kept.get(layer)
    if attribution is None or not (attribution.map.values > 0).any():
        return pd.DataFrame()
    row = {"method": asked.method.name, "layer": layer, "head": None, **asdict(ve.pointing(attribution.map, mask))}
    return pd.DataFrame([row]).astype({"layer": "Int64", "head": "Int64"})


def _of_raw(asked: MapRequest) -> MapRequest:
    return replace(asked, method=ve.find_method(RAW), options=(), gradients=None)


def _at_hand(asked: MapRequest) -> Iterator[MapRequest]:
    """Methods at their defaults, whose maps are in memory, or are made of what is."""
    request = asked.request
    target = asked.target or targets.name_of("", asked.analysis)
    kept = GradientRequest(request.picture, request.spec, request.size, target).kept
    for method in METHODS:
        gradients = kept.gradients if kept is not None and method.needs.target else None
        other = replace(asked, method=method, options=(), target=target, gradients=gradients)
        makeable = method.needs is Needs.TRACE or gradients is not None
        if (method.per_head and makeable) or (not method.per_head and other.kept is not None):
            yield other
