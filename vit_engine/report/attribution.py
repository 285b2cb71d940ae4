"""What a method makes of one picture, as people keep it: arrays, tables, and the record of the run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from vit_engine.analysis.methods import Attribution, Method, Value
from vit_engine.analysis.worth.faithfulness import Faithfulness
from vit_engine.analysis.worth.pointing import Pointing
from vit_engine.grid import Query
from vit_engine.report.versions import versions
from vit_engine.report.worth import faithfulness_frame, faithfulness_record
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.targets import Target
from vit_engine.weights import LoadReport


@dataclass(frozen=True, eq=False, kw_only=True)
class MapRun:
    """What a method says of one picture in one model, and what its map is worth where that was measured."""

    trace: AttentionTrace
    method: Method
    options: Mapping[str, Value]  # all of the method's
    query: Query
    attributions: Mapping[int, Attribution]  # by layer; of a method that does not depend on it, one
    layer: int  # of these, whose map is drawn, measured and scored on the mask
    target: Target | None = None  # of the map, or of its faithfulness
    score: float | None = None  # of the target in this picture
    seconds: float = 0.0  # that the target's gradient took
    ranking: pd.DataFrame | None = None  # of heads, and of the map, by what of them lies on a mask
    pointing: Pointing | None = None  # of the map that is drawn; None without a mask, and without mass
    faithfulness: Faithfulness | None = None  # of the map that is drawn
    randomised: Faithfulness | None = None  # of the same method's map on randomised weights, where that was measured

    @property
    def drawn(self) -> Attribution:
        return self.attributions[self.layer]


def map_arrays(run: MapRun) -> dict[str, np.ndarray]:
    """maps: float32 (layers, heads, rows, cols), without the axes of what the method does not depend on.

    layers: their numbers. grid: prefix tokens, rows, cols, patch size in pixels.
    """
    grid, depends_on = run.trace.grid, run.method.depends_on
    maps = np.stack([attribution.heads for attribution in run.attributions.values()])
    layers = list(run.attributions) if "layer" in depends_on else []
    maps = maps if "head" in depends_on else maps[:, 0]
    return {
        "maps": maps if "layer" in depends_on else maps[0],
        "layers": np.array(layers, dtype=np.int64),
        "grid": np.array([grid.prefix, grid.rows, grid.cols, grid.patch_size]),
    }


def map_tables(run: MapRun) -> dict[str, pd.DataFrame]:
    """What was measured, by the tables' files: the ranking of heads by pointing, the curves of faithfulness."""
    tables = {} if run.ranking is None else {"pointing.csv": run.ranking}
    if run.faithfulness is None:
        return tables
    return {**tables, "faithfulness.csv": faithfulness_frame(run.faithfulness, run.randomised)}


def map_frame(shown: AttentionMap) -> pd.DataFrame:
    """A map's values, one row a patch: its row and col from 0, and the value."""
    rows, cols = np.indices(shown.grid.shape).reshape(2, -1)
    return pd.DataFrame({"row": rows, "col": cols, "value": shown.values.ravel()})


def map_caption(run: MapRun, picture: str = "") -> str:
    """What is drawn, in a line: "Cat · DINOv2 ViT-S/14 · Raw attention · layer 10 · head 4 · query CLS".

    picture: what it is called. Of a map that is zero everywhere it ends in why.
    """
    of = run.drawn.map.label.removeprefix(f"{run.method.phrase} · ")
    why = f"zero everywhere: {run.drawn.note}" if run.drawn.note else ""
    return " · ".join(part for part in (picture, run.trace.spec.title, run.method.title, of, why) if part)


def model_record(spec: ModelSpec, report: LoadReport, seed: int | None) -> dict[str, Any]:
    """What another person needs to have the same model. seed: of its weights, where these are random."""
    known = asdict(spec)
    return {
        "versions": versions(),
        "model": spec.name,
        "preprocessing": known.pop("preprocessing"),
        "spec": known,
        "weights": {name: getattr(report, name) for name in ("source", "sha256", "format", "heads_from", "assumed")},
        "random": report.random,
        "seed": seed if report.random else None,
    }


def map_record(
    run: MapRun, *, image: Mapping[str, Any], size: Any, layers: Sequence[int], device: str, mask: Any
) -> dict[str, Any]:
    """What another person needs to repeat the run, beside its model, and what came of it.

    image: where the picture is. size: as it was asked for. layers: those that there are maps of. mask: what was pointed
    at, where something was. None stands for what the method does not depend on.
    """
    trace, depends_on = run.trace, run.method.depends_on
    return {
        "image": {**image, "sha256": trace.image_sha256},
        "size": {"asked": size, "height": trace.grid.height, "width": trace.grid.width},
        "grid": asdict(trace.grid),
        "method": run.method.name,
        "options": dict(run.options),
        "query": run.query if "query" in depends_on else None,
        "target": _target_record(run) if "target" in depends_on else None,
        "note": run.drawn.note,
        "layers": list(layers) if "layer" in depends_on else None,
        "device": device,
        "seconds": trace.seconds + run.seconds,
        "predictions": [asdict(prediction) for prediction in trace.predictions],
        "pointing": _pointing_record(run, mask),
        "faithfulness": run.faithfulness and faithfulness_record(run.faithfulness, run.randomised),
    }


def _target_record(run: MapRun) -> dict[str, Any] | None:
    target = run.target
    return None if target is None else {"name": target.name, "label": target.label, "score": run.score}


def _pointing_record(run: MapRun, mask: Any) -> dict[str, Any] | None:
    """Of the map that is drawn; null for the numbers of one without mass. query: of the heads beside it."""
    if run.ranking is None:
        return None
    return {"mask": mask, "query": run.query, "map": asdict(run.pointing) if run.pointing else None}
