"""run.json: everything that another person needs to recompute a comparison, and the numbers to check it by."""

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import map_entropy
from vit_engine.analysis.maps.resampling import centre_of_mass
from vit_engine.analysis.methods import find_method
from vit_engine.analysis.methods.options import read_options
from vit_engine.report.style import Style, Zoom
from vit_engine.report.versions import versions
from vit_engine.trace.attention_map import AttentionMap, Quantity
from vit_engine.trace.targets import PICTURE, Target, VectorTarget

FORMAT, VERSION = "vit-comparison", 1
_OF_WEIGHTS = ("container", "format", "part", "sha256", "heads_from", "assumed")  # from the report of loading them

Size = int | tuple[int, int]


def record(
    comparison: Comparison,
    style: Style,
    *,
    picture: Mapping[str, Any],
    link: str,
    statistic: str,
    all_layers: bool,
    zoom: Zoom | None,
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Any]:
    """What run.json holds. picture: its file in the bundle, as text. tables: of these it has the numbers.

    Numbers are whole: nothing is rounded. None stands where there is none. Names of files are those of the
    panes; where the files lie is not in it.
    """
    shown = comparison.results
    return {
        "format": FORMAT,
        "version": VERSION,
        "link": link,
        "picture": {**picture, "frame": comparison.frame},
        "panes": [pane_record(one) for one in shown],
        "reference": comparison.base.name,
        "point": comparison.point,
        "keep": comparison.keep,
        "look": {**asdict(style), "zoom": zoom},
        "statistic": statistic,
        "all_layers": all_layers,
        "models": list({one.pane.model: model_record(one) for one in shown}.values()),
        "versions": versions(),
        "device": device_of(shown[0]),
        "numbers": {
            "maps": [pane_numbers(one) for one in shown],
            "agreement": rows_of(tables["agreement.csv"]),
            "side_by_side": rows_of(tables["side_by_side.csv"]),
            **({"faithfulness": rows_of(tables["faithfulness.csv"])} if "faithfulness.csv" in tables else {}),
        },
    }


def pane_record(one: PaneResult) -> dict[str, Any]:
    """A pane as text, its method with all options and its target, what it is in words, and the query in its patches.

    None stands for a target or a query that the method does not depend on.
    """
    grid, method = one.trace.grid, find_method(one.pane.method)
    return {
        "name": one.name,
        "pane": str(one.pane),
        "method": one.pane.method,
        "options": read_options(method.options, one.pane.chosen, one.trace.spec, method.name),
        "target": None if one.target is None else target_record(one.target, one.score),
        "map": one.map.label,
        "unit": one.map.unit,
        "query": one.query if "query" in method.depends_on else None,
        "size": (grid.height, grid.width),
        "grid": asdict(grid),
    }


def target_record(target: Target, score: float | None) -> dict[str, Any]:
    """A target and its value. Of another picture, which is not in the bundle, what it is to the model.

    vector: float32 in base64, lowest byte first.
    """
    known: dict[str, Any] = {"name": target.name, "label": target.label, "score": score}
    if isinstance(target, VectorTarget) and target.name.startswith(PICTURE):
        known["vector"] = base64.b64encode(target.vector.astype("<f4").tobytes()).decode("ascii")
    return known


def model_record(one: PaneResult) -> dict[str, Any]:
    """A model and its weights; of a thousand classes, only how many."""
    spec, report, name = asdict(one.trace.spec), one.report, one.pane.model
    # A file's name without the folders that it lies in; as it is where it is the model's own name.
    source = report.source if report.random or report.source == name else PurePath(report.source).name
    return {
        "model": name,
        "name": spec.pop("name"),
        "title": spec.pop("title"),
        "preprocessing": spec.pop("preprocessing"),
        "spec": {**spec, "class_names": len(spec["class_names"])},
        "weights": {"source": source, **{name: getattr(report, name) for name in _OF_WEIGHTS}},
        "random": report.random,
        "seed": report.seed,
    }


def device_of(one: PaneResult) -> str:
    return str(next(iter(one.trace.layers.values())).queries.device)


def pane_numbers(one: PaneResult) -> dict[str, Any]:
    """map_numbers() by the pane's name; of principal components, also the share of the variance that all explain."""
    explained = {} if one.pca is None else {"explained": _number(float(sum(one.pca.explained)))}
    return {"pane": one.name, **map_numbers(one.map), **explained}


def map_numbers(shown: AttentionMap) -> dict[str, Any]:
    """A map in a few numbers: its sum and maximum, its entropy over the patches, its centre of mass.

    Of one that has no mass, its mean, minimum and maximum.
    """
    values = shown.values.astype(np.float64)
    if shown.quantity is not Quantity.EXTENSIVE:
        plain = {"mean": float(values.mean()), "minimum": float(values.min()), "maximum": float(values.max())}
        return {name: _number(value) for name, value in plain.items()}
    y, x = centre_of_mass(shown)
    numbers = {"sum": float(values.sum()), "maximum": float(values.max()), "entropy_bits": map_entropy(shown)[0]}
    return {name: _number(value) for name, value in {**numbers, "centre_y_px": y, "centre_x_px": x}.items()}


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as JSON has it."""
    return [{str(name): _number(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _number(value: Any) -> Any:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
