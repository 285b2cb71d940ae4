"""What `attend` writes: arrays, tables, pictures, and the record of the run."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from vit_engine.cli.attend_run import Answer
from vit_engine.cli.model import model_record
from vit_engine.report import sheets, worth
from vit_engine.report.panels import WARNING

RECORD = "run.json"


def write_files(folder: Path, answer: Answer, record: dict[str, Any]) -> None:
    """Everything, into a folder that is there."""
    _write_arrays(folder / "attention.npz", answer)
    statistics = answer.run.trace.statistics.to_frame()
    asked = statistics["layer"].isin(answer.question.layers)
    statistics[asked].to_csv(folder / "heads.csv", index=False)
    if answer.ranking is not None:
        answer.ranking.to_csv(folder / "pointing.csv", index=False)
    if answer.faithfulness is not None:
        curves = worth.faithfulness_frame(answer.faithfulness, answer.randomised)
        curves.to_csv(folder / "faithfulness.csv", index=False)
    _write_pictures(folder, answer)
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _write_arrays(path: Path, answer: Answer) -> None:
    """maps: (layers, heads, rows, cols), without the axes of what the method does not depend on."""
    grid, depends_on = answer.run.trace.grid, answer.question.method.depends_on
    maps = np.stack([attribution.heads for attribution in answer.attributions.values()])
    layers = list(answer.attributions) if "layer" in depends_on else []
    maps = maps if "head" in depends_on else maps[:, 0]
    np.savez(
        path,
        maps=maps if "layer" in depends_on else maps[0],
        layers=np.array(layers, dtype=np.int64),
        grid=np.array([grid.prefix, grid.rows, grid.cols, grid.patch_size]),
    )


def _write_pictures(folder: Path, answer: Answer) -> None:
    """Of the deepest layer that was asked for."""
    question, trace, deepest = answer.question, answer.run.trace, answer.deepest
    query, depends_on = question.query, question.method.depends_on
    marked = None if isinstance(query, str) or "query" not in depends_on else query
    options: dict[str, Any] = {
        "warning": WARNING if trace.random else "",
        "marked": marked,
        "signed": question.method.signed,
    }
    caption = f"{trace.spec.name} · {deepest.map.label}"
    why = f" · zero everywhere: {deepest.note}" if deepest.note else ""
    overlay = sheets.overlay(question.prepared.pixels, deepest.map, caption=caption + why, **options)
    (folder / "overlay.png").write_bytes(overlay)
    if "head" in depends_on:
        caption = caption.replace("head mean", "all heads")
        heads = sheets.head_sheet(deepest.heads, deepest.map, caption=caption, **options)
        (folder / "heads.png").write_bytes(heads)


def run_record(arguments: argparse.Namespace, answer: Answer) -> dict[str, Any]:
    """Everything that another person needs to repeat the run, and what came of it."""
    question, trace = answer.question, answer.run.trace
    gradients = answer.run.gradients
    return {
        **model_record(question.loaded, arguments.seed),
        "image": {"path": arguments.image, "sha256": trace.image_sha256},
        "size": {"asked": arguments.size, "height": trace.grid.height, "width": trace.grid.width},
        "grid": asdict(trace.grid),
        "method": question.method.name,
        "options": question.options,
        "query": question.query,
        "target": _target_record(answer),
        "note": answer.deepest.note,
        "layers": list(question.layers),
        "device": str(question.loaded.device),
        "seconds": trace.seconds + (gradients.seconds if gradients else 0.0),
        "predictions": [asdict(prediction) for prediction in trace.predictions],
        "pointing": _pointing_record(arguments, answer),
        "faithfulness": answer.faithfulness and worth.faithfulness_record(answer.faithfulness, answer.randomised),
    }


def _target_record(answer: Answer) -> dict[str, Any] | None:
    target = answer.target
    return None if target is None else {"name": target.name, "label": target.label, "score": answer.score}


def _pointing_record(arguments: argparse.Namespace, answer: Answer) -> dict[str, Any] | None:
    """Of the map that is drawn; null for the numbers of one without mass."""
    if answer.ranking is None:
        return None
    return {"mask": arguments.mask, "map": asdict(answer.pointing) if answer.pointing else None}
