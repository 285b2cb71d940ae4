"""Whether a recomputed comparison is the recorded one: check by check, each against a tolerance.

Two kinds. What is recomputed may differ by the roundings of other machines. On CPUs, float32 was measured to
be 3e-6 of a map's maximum off float64; 1e-4 is allowed. GPUs convolve in TF32, which was measured to move maps by
1e-3 of their maximum; 5e-3 is allowed where one takes part. What a bundle says twice, in run.json and in a table or
as numbers of its own maps, must agree but for the last digits, on any machine.

Principal components turn into one another where they explain almost the same share of the variance. By first-order
perturbation theory an error in the tokens turns a component by that error times the largest share over the gap to the
nearest one, so that is allowed beside the error itself: see turned(). Their signs are fixed, and held.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from vit_engine.analysis.comparison import Comparison, PaneResult, agreement_table
from vit_engine.analysis.tokens.pca import PcaMap
from vit_engine.report.bundle import arrays
from vit_engine.report.record import device_of, map_numbers, model_record, pane_numbers, pane_record, rows_of
from vit_engine.report.reproduction.closeness import Check, array_check, frame_check, row_check, worst
from vit_engine.report.reproduction.reading import Bundle, read_arrays, read_table
from vit_engine.report.reproduction.recorded import RunRecord, was_in_memory
from vit_engine.report.tables import tables
from vit_engine.trace.attention_map import AttentionMap, Quantity, is_share
from vit_engine.trace.statistics import STATISTICS

ON_CPUS, WITH_GPU = 1e-4, 5e-3
WITHIN = 1e-6  # of what a bundle says twice
_DRAWS = 16
_COLOURS = 10  # times what a component may be off, as a share of its largest value
_LATER = ("method", "options", "target")  # keys of a pane that version 1 of the record had not at first
# What the labels of maps and targets called patches at first.
_PATCH, _REGION = re.compile(r"\bpatch (\d+), (\d+)"), re.compile(r"\bpatches (\d+)\.\.(\d+), (\d+)\.\.(\d+)")
_COUNTED = [name for name, statistic in STATISTICS.items() if statistic.counted]


def tolerance(record: RunRecord, comparison: Comparison) -> float:
    """What recomputed maps may be off, as a share of their maximum."""
    return ON_CPUS if {record.device, device_of(comparison.results[0])} == {"cpu"} else WITH_GPU


def check(record: RunRecord, bundle: Bundle, comparison: Comparison) -> list[Check]:
    """All checks of what is recomputed against the record, and against the tables and maps that lie beside it."""
    allowed = tolerance(record, comparison)
    checks = [*_models(record, comparison), *_panes(record, comparison, allowed)]
    recomputed = tables(comparison, statistic=record.statistic, all_layers=record.all_layers)
    checks += _agreement(record, comparison, recomputed["agreement.csv"], allowed)
    recorded, beside = pd.DataFrame(record.side_by_side), recomputed["side_by_side.csv"]
    counted = beside.columns if STATISTICS[record.statistic].counted else ()
    checks.append(frame_check("heads side by side", recorded, beside, allowed, counted=counted))
    return [*checks, *_tables(record, bundle, recomputed, allowed), *_maps(record, bundle, comparison, allowed)]


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _models(record: RunRecord, comparison: Comparison) -> list[Check]:
    """The weights' sha256, and all that a model is."""
    checks = []
    for name, one in {one.pane.model: one for one in comparison.results}.items():
        model, recorded = _as_json(model_record(one)), record.models.get(name, {})
        now, before = (_inner(each, "weights").get("sha256") for each in (model, recorded))
        # The sha256 of a module is of its tensors, and that of a file of its bytes: then the numbers alone tell.
        problems = (
            []
            if now == before or was_in_memory(recorded) != was_in_memory(model)
            else [f"the weights' sha256 is {now}, recorded is {str(before)[:64]}"]
        )
        now, before = (_described(each) for each in (model, recorded))
        if others := [key for part, key in now if before.get((part, key)) != now[part, key]]:
            problems.append(f"recorded otherwise: {', '.join(others)}")
        checks.append(Check(f"model {name}", problem="; ".join(problems)))
    return checks


def _described(model: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """By (part of the record, key)."""
    return {
        (part, key): value
        for part in ("preprocessing", "spec")
        for key, value in _inner(model, part).items()
        if key not in {"weights", "licence", "description"}
    } | {("", key): model.get(key) for key in ("random", "seed")}


def _inner(part: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = part.get(name)
    return found if isinstance(found, dict) else {}


def _panes(record: RunRecord, comparison: Comparison, allowed: float) -> list[Check]:
    recorded = {row.get("pane"): row for row in record.maps}
    checks = []
    for one in comparison.results:
        entry, before = _as_json(pane_record(one)), record.entries[one.name]
        # What records did not have at first may be missing; at first they had a query whether or not it counts.
        expected = {key: value for key, value in entry.items() if key in before or key not in _LATER}
        expected = {key: value for key, value in expected.items() if (key, value) != ("query", None)}
        others = [key for key, value in expected.items() if _comparable(before.get(key)) != _comparable(value)]
        limits = _map_limits(one, allowed)
        found = row_check(f"pane {one.name}, map", recorded.get(one.name, {}), pane_numbers(one), limits)
        checks.append(replace(found, problem=f"recorded otherwise: {', '.join(others)}") if others else found)
        if one.score is not None:
            then, now = ({"score": _inner(each, "target").get("score")} for each in (before, entry))
            limit = {"score": allowed * max(abs(one.score), 1.0)}
            checks.append(row_check(f"pane {one.name}, target", then, now, limit))
    if comparison.frame != record.frame:
        checks.append(Check("picture", problem=f"is scaled to {comparison.frame}, recorded is {record.frame}"))
    return checks


def _comparable(value: Any) -> Any:
    """Of a target all but its value, which may be off a little; patches by the name that they have now."""
    if isinstance(value, dict):
        return {name: _comparable(part) for name, part in value.items() if name != "score"}
    if not isinstance(value, str):
        return value
    return _REGION.sub(r"region of rows \1–\2, cols \3–\4", _PATCH.sub(r"patch row \1, col \2", value))


def _map_limits(one: PaneResult, allowed: float) -> dict[str, float]:
    diagonal = one.trace.grid.diagonal
    if one.map.quantity is not Quantity.EXTENSIVE:
        off = (turned(one.pca, allowed)[0] if one.pca else allowed) * _largest(one.map)
        return {"mean": off, "minimum": off, "maximum": off, "explained": allowed}
    return {
        "sum": allowed * (float(np.abs(one.map.values).sum(dtype=np.float64)) or 1.0),
        "maximum": allowed * (_largest(one.map) or 1.0),
        "entropy_bits": allowed * max(math.log2(one.trace.grid.patches), 1.0),
        "centre_y_px": allowed * diagonal,
        "centre_x_px": allowed * diagonal,
    }


def _agreement(record: RunRecord, comparison: Comparison, recomputed: pd.DataFrame, allowed: float) -> list[Check]:
    limits = agreement_limits(comparison, recomputed, allowed)
    rows, recorded = rows_of(recomputed), {(row.get("first"), row.get("second")): row for row in record.agreement}
    checks = []
    for row, limit in zip(rows, limits, strict=True):
        pair = row["first"], row["second"]
        checks.append(row_check(f"agreement {'–'.join(pair)}", recorded.get(pair, {}), row, limit))
    if len(record.agreement) != len(rows):
        problem = f"has {len(record.agreement)} pairs in run.json, {len(rows)} recomputed"
        checks.append(Check("agreement", problem=problem))
    return checks


def agreement_limits(comparison: Comparison, recomputed: pd.DataFrame, allowed: float) -> list[dict[str, float]]:
    """How far each number of the agreement table may be off where maps are off by this share of each value.

    Ranks and masks jump, and correlations of almost even maps are of their roundings: so it is tried out, with
    noise of that size in every map, and twice what that does is allowed.
    """
    names = [name for name in recomputed.columns if name not in {"first", "second"}]
    most = np.zeros((len(recomputed), len(names)))
    noise = np.random.default_rng(0)
    for _ in range(_DRAWS):
        results = tuple(_moved(one, allowed, noise) for one in comparison.results)
        moved = agreement_table(replace(comparison, results=results))
        most = np.fmax(most, np.abs((moved[names] - recomputed[names]).to_numpy(dtype=float)))
    units = np.array([comparison.base.trace.grid.diagonal if name.endswith("_px") else 1.0 for name in names])
    return [dict(zip(names, row.tolist(), strict=True)) for row in 2 * most + allowed * units]


def _moved(one: PaneResult, allowed: float, noise: np.random.Generator) -> PaneResult:
    errors = allowed * noise.uniform(-1, 1, one.map.values.shape)
    # A small weight is off by as little; a small similarity, or what gradients add up to, by as much as a large one.
    weights = one.map.quantity is Quantity.EXTENSIVE and is_share(one.map.unit)
    values = one.map.values + errors * (one.map.values if weights else _largest(one.map))
    return _with_values(one, values.astype(np.float32))


def _with_values(one: PaneResult, values: np.ndarray) -> PaneResult:
    return replace(one, map=replace(one.map, values=values))


def _tables(record: RunRecord, bundle: Bundle, recomputed: Mapping[str, pd.DataFrame], allowed: float) -> list[Check]:
    """The tables beside the record: two say what it says, the third is recomputed."""
    recorded = {"agreement.csv": record.agreement, "side_by_side.csv": record.side_by_side}
    checks = []
    for name, frame in recomputed.items():
        if (data := bundle.read(name)) is None:
            continue
        found = read_table(data, name)
        if name in recorded:
            checks.append(frame_check(f"{name} and run.json", found, pd.DataFrame(recorded[name]), WITHIN))
        else:
            older = frame.iloc[:, : found.shape[1]]  # statistics that came after the bundle stand behind all others
            checks.append(frame_check(name, found, older, allowed, counted=_COUNTED))
    return checks


def _maps(record: RunRecord, bundle: Bundle, comparison: Comparison, allowed: float) -> list[Check]:
    """The maps beside the record: recomputed, and as what the record's numbers are of."""
    data = bundle.read("maps.npz")
    if data is None:
        return []
    recomputed = arrays(comparison)
    found = read_arrays(data, recomputed)
    checks = []
    for group in _scales(recomputed, comparison):
        each = [array_check(f"maps.npz, {name}", found[name], recomputed[name], allowed, group[name]) for name in group]
        checks.append(worst(each))
    checks += [_pca_check(one, one.pca, found, allowed) for one in comparison.results if one.pca is not None]
    values = {name: array for name, array in found.items() if array is not None}
    if len(values) < len(found):
        return checks
    recorded = replace(comparison, results=tuple(_with_values(one, values[one.name]) for one in comparison.results))
    maps = [{"pane": one.name, **map_numbers(one.map)} for one in recorded.results]
    for name, again in (("maps", maps), ("agreement", rows_of(agreement_table(recorded)))):
        said = pd.DataFrame(getattr(record, name)).drop(columns="explained", errors="ignore")  # no map says it
        checks.append(frame_check(f"maps.npz and the {name} of run.json", said, pd.DataFrame(again), WITHIN))
    return checks


def _scales(recomputed: Mapping[str, np.ndarray], comparison: Comparison) -> list[dict[str, float]]:
    """Arrays that are one check, by name, and the number that each is compared in parts of.

    A pane's map, its heads' maps and their grid: the largest of each. Another pane's difference to the reference and
    its grid: the largest share, or similarity, that is subtracted. Principal components are checked apart.
    """
    base = comparison.base
    groups = []
    for one in comparison.results:
        whole = (one.name, f"{one.name}_heads", f"{one.name}_grid")
        names = whole if one.pca is None else whole[-1:]
        groups.append({name: float(np.nanmax(np.abs(recomputed[name]), initial=0.0)) for name in names})
    for one in comparison.results:
        name = f"{one.name}_minus_{base.name}"
        if name in recomputed:
            groups.append(dict.fromkeys((name, f"{name}_grid"), max(_largest_share(one.map), _largest_share(base.map))))
    return groups


def turned(pca: PcaMap, allowed: float) -> tuple[float, ...]:
    """How far each component may be off where tokens are off by this share, as a share of its largest value; at most 1.

    Where a gap is as small as the error nothing is determined, and nothing is held.
    """
    largest = max(pca.explained)
    return tuple(min(allowed * (1 + largest / max(gap, 1e-12)), 1.0) for gap in pca.gaps)


def _pca_check(one: PaneResult, pca: PcaMap, found: Mapping[str, np.ndarray | None], allowed: float) -> Check:
    """The map, each component, and its colour, which runs over less than its whole range and so is off by more."""
    names = {"": one.map.values[None], "_components": one.heads, "_rgb": np.moveaxis(pca.rgb, -1, 0)}
    checks = []
    for suffix, channels in names.items():
        recorded = found[f"{one.name}{suffix}"]
        what = f"maps.npz, {one.name}{suffix}"
        if recorded is None:
            return Check(what, problem=f"is not there, or no {channels.dtype} of this shape")
        before = (
            recorded[None] if recorded.ndim == 2 else np.moveaxis(recorded, -1, 0) if suffix == "_rgb" else recorded
        )
        for off, then, now in zip(turned(pca, allowed), before, channels, strict=False):
            limit = min(_COLOURS * off, 1.0) if suffix == "_rgb" else off
            checks.append(array_check(what, then, now, limit, float(np.abs(now).max())))
    return worst(checks)


def _largest(shown: AttentionMap) -> float:
    return float(np.abs(shown.values).max())


def _largest_share(shown: AttentionMap) -> float:
    if shown.quantity is not Quantity.EXTENSIVE:
        return _largest(shown)
    values = shown.values.astype(np.float64)
    return float(values.max() / values.sum()) if values.sum() > 0 else 0.0
