"""What `attend` writes: arrays, tables, pictures, and the record of the run."""

import argparse
import json
from pathlib import Path
from typing import Any

from vit_engine.cli.attend_run import Answer
from vit_engine.cli.model import model_record
from vit_engine.report import sheets
from vit_engine.report.archive import RECORD, as_npz, write_bundle
from vit_engine.report.attribution import MapRun, map_arrays, map_caption, map_record, map_tables
from vit_engine.report.panels import WARNING
from vit_engine.report.tables import as_csv


def write_files(folder: Path, answer: Answer, record: dict[str, Any]) -> None:
    """Everything, into a folder that is there."""
    run = _map_run(answer)
    statistics = run.trace.statistics.to_frame()
    tables = {"heads.csv": statistics[statistics["layer"].isin(answer.question.layers)], **map_tables(run)}
    contents = {
        "attention.npz": as_npz(map_arrays(run)),
        **{name: as_csv(table) for name, table in tables.items()},
        **_pictures(run, answer),
        RECORD: (json.dumps(record, indent=2) + "\n").encode(),
    }
    write_bundle(folder, contents)


def run_record(arguments: argparse.Namespace, answer: Answer) -> dict[str, Any]:
    """Everything that another person needs to repeat the run, and what came of it."""
    question = answer.question
    places: dict[str, Any] = {"layers": answer.layers, "device": str(question.loaded.device), "mask": arguments.mask}
    return {
        **model_record(question.loaded, arguments.seed),
        **map_record(_map_run(answer), image={"path": arguments.image}, size=arguments.size, **places),
        "head_layers": list(question.layers),  # of heads.csv, and of raw attention's heads in pointing.csv
    }


def _map_run(answer: Answer) -> MapRun:
    question, gradients = answer.question, answer.run.gradients
    return MapRun(
        trace=answer.run.trace,
        method=question.method,
        options=question.options,
        query=question.query,
        attributions=answer.attributions,
        layer=max(answer.attributions),
        target=answer.target,
        score=answer.score,
        seconds=gradients.seconds if gradients else 0.0,
        ranking=answer.ranking,
        pointing=answer.pointing,
        faithfulness=answer.faithfulness,
        randomised=answer.randomised,
    )


def _pictures(run: MapRun, answer: Answer) -> dict[str, bytes]:
    """Of the deepest layer that was asked for."""
    query, depends_on = run.query, run.method.depends_on
    marked = None if isinstance(query, str) or "query" not in depends_on else query
    options: dict[str, Any] = {
        "warning": WARNING if run.trace.random else "",
        "marked": marked,
        "signed": run.method.signed,
    }
    drawn, caption = run.drawn, map_caption(run)
    pictures = {"overlay.png": sheets.overlay(answer.question.prepared.pixels, drawn.map, caption=caption, **options)}
    if "head" in depends_on:
        caption = caption.replace("head mean", "all heads")
        pictures["heads.png"] = sheets.head_sheet(drawn.heads, drawn.map, caption=caption, **options)
    return pictures
