"""What was done with every tensor of a weight file: in words, as a table, as JSON."""

import json
from dataclasses import asdict

import pandas as pd
import streamlit as st

from dashboard.models import model_facts
from dashboard.shell.formatting import file_name
from vit_engine import LoadReport, ModelSpec
from vit_engine.spec import RESAMPLINGS

_COLUMNS = {
    "tensor": st.column_config.TextColumn("In the file", width="medium"),
    "done": st.column_config.TextColumn("What was done", width=120),
    "became": st.column_config.TextColumn("Parameter here, or why not", width="large"),
}


def show(report: LoadReport, spec: ModelSpec, *, key: str, download_key: str) -> None:
    """The report on a model. Random weights have no tensors to account for."""
    model_facts.show(_words(report, spec))
    if report.random:
        return
    frame = _tensors(report)
    st.dataframe(frame, key=key, hide_index=True, height=min(len(frame) + 1, 9) * 35 + 3, column_config=_COLUMNS)
    st.download_button(
        "Report as JSON",
        json.dumps(asdict(report), indent=1),
        f"load-report-{file_name(report.source.rsplit('/', 1)[-1])}.json",
        "application/json",
        key=download_key,
        icon=":material/download:",
        on_click="ignore",
        type="tertiary",
    )


def _words(report: LoadReport, spec: ModelSpec) -> list[tuple[str, str]]:
    counts = [
        f"{len(report.matched)} taken as they were",
        f"{len(report.converted)} converted",
        f"{len(report.dropped)} left out on purpose",
        f"{len(report.missing)} missing",
    ]
    grid = report.native_grid
    positions = f"{grid[0]}×{grid[1]} patches; other grids: {RESAMPLINGS[report.resampling]}" if grid else ""
    return [
        ("Source", report.source),
        ("Format", " · ".join(filter(None, (report.format, report.container, report.part and f"its {report.part}")))),
        ("sha256", report.sha256 or ""),
        ("Heads", "" if report.random else _heads(report.heads_from, spec.heads)),
        ("Tensors", "" if report.random else " · ".join(counts)),
        ("Precision", ", ".join(f"{count:,} in {dtype}" for dtype, count in report.dtypes)),
        ("Positions", positions),
        ("Assumed", " ".join(report.assumed)),
    ]


def _heads(heads_from: str, heads: int) -> str:
    """How many there are, and who says so; on this page, heads= is what was chosen in the select box."""
    source = "as chosen here by whoever added it" if heads_from.startswith("heads=") else f"from {heads_from}"
    return f"{heads} ({source})" if heads_from else "not stated"


def _tensors(report: LoadReport) -> pd.DataFrame:
    """One row a tensor; what needs a look comes first."""
    rows = [(name, "missing", "") for name in report.missing]
    rows += [(name, "left out", why) for name, why in report.dropped]
    rows += [(name, "converted", became) for name, became in report.converted]
    rows += [(name, "taken", name) for name in report.matched]
    return pd.DataFrame(rows, columns=["tensor", "done", "became"])
