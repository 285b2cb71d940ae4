"""run.json: everything that another person needs to recompute a comparison, and the numbers to check it by."""

import math
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import map_entropy
from vit_engine.analysis.maps.resampling import centre_of_mass
from vit_engine.report.style import Style, Zoom
from vit_engine.report.versions import versions
from vit_engine.trace.attention_map import AttentionMap

FORMAT, VERSION = "vit-comparison", 1

Size = int | tuple[int, int]


@dataclass(frozen=True)
class PictureFile:
    """A picture's file in a bundle: its name, the sha256 of its bytes and that of its pixels.

    The first is of the bundle's own file, which no other has. The second is of any file of the same pixels.
    """

    file: str
    sha256: str
    pixels_sha256: str


def record(
    comparison: Comparison,
    style: Style,
    *,
    picture: PictureFile,
    size: Size,
    link: str,
    statistic: str,
    all_layers: bool,
    zoom: Zoom | None,
    agreement: pd.DataFrame,
    side_by_side: pd.DataFrame,
) -> dict[str, Any]:
    """What run.json holds. picture: as it lies in the bundle. agreement, side_by_side: the tables, as numbers.

    Numbers are whole: nothing is rounded. None stands where there is none. Names of files are those of the
    panes; where the files lie is not in it.
    """
    shown = comparison.results
    return {
        "format": FORMAT,
        "version": VERSION,
        "link": link,
        "picture": {**asdict(picture), "size": size, "frame": comparison.frame},
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
            "maps": [{"pane": one.name, **map_numbers(one.map)} for one in shown],
            "agreement": rows_of(agreement),
            "side_by_side": rows_of(side_by_side),
        },
    }


def pane_record(one: PaneResult) -> dict[str, Any]:
    """A pane as text, what it is in words, and the query in its own patches."""
    grid = one.trace.grid
    return {
        "name": one.name,
        "pane": str(one.pane),
        "map": one.map.label,
        "unit": one.map.unit,
        "query": one.query,
        "size": (grid.height, grid.width),
        "grid": asdict(grid),
    }


def model_record(one: PaneResult) -> dict[str, Any]:
    """A model and its weights; of a thousand classes, only how many."""
    spec, report = asdict(one.trace.spec), one.report
    return {
        "model": one.pane.model,
        "name": spec.pop("name"),
        "title": spec.pop("title"),
        "preprocessing": spec.pop("preprocessing"),
        "spec": {**spec, "class_names": len(spec["class_names"])},
        "weights": {
            "source": report.source if report.random else _name_of(report.source, one.pane.model),
            "container": report.container,
            "format": report.format,
            "part": report.part,
            "sha256": report.sha256,
            "heads_from": report.heads_from,
            "assumed": report.assumed,
        },
        "random": report.random,
        "seed": report.seed,
    }


def _name_of(source: str, model: str) -> str:
    """A file's name without the folders that it lies in; as it is where it is the model's own name."""
    return source if source == model else PurePath(source).name


def device_of(one: PaneResult) -> str:
    """The device that a pane's attention was computed on."""
    return str(next(iter(one.trace.layers.values())).queries.device)


def map_numbers(shown: AttentionMap) -> dict[str, Any]:
    """A map in a few numbers: its sum and maximum, its entropy over the patches, its centre of mass."""
    values = shown.values.astype(np.float64)
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
