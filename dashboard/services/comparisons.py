"""Panes of one picture, side by side: what they show, and the numbers between them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import vit_engine as ve
from dashboard.services import memory
from dashboard.services.analyses import Analysis
from dashboard.services.catalogue import is_ready, models
from dashboard.services.memory import model_bytes
from dashboard.services.pictures import Picture
from vit_engine.analysis.comparison import Comparison, Pane, Point, evaluate_pane, letter
from vit_engine.analysis.methods import find_method
from vit_engine.report.bundle import as_zip, files
from vit_engine.report.panels import Panel
from vit_engine.report.style import Style, Zoom
from vit_engine.resources.budget import format_bytes


def compare(
    panes: Mapping[int, Pane],
    analyses: Mapping[int, Analysis],
    *,
    reference: int,
    point: Point | None,
    keep: float,
) -> Comparison:
    """What the panes of these numbers show, each from its analysis. point: the shared query, None for the CLS token."""
    frame, shown = next(iter(analyses.values())).frame, []
    for number, each in analyses.items():
        run = each.run(find_method(panes[number].method))
        shown.append(evaluate_pane(number, panes[number], run, each.pixels, each.report, frame=frame, point=point))
    return Comparison(tuple(shown), frame, reference=letter(reference), point=point, keep=keep)


def export(
    comparison: Comparison,
    style: Style,
    drawn: Sequence[Panel],
    *,
    picture: Picture,
    size: int,
    link: str,
    statistic: str,
    all_layers: bool,
    zoom: Zoom | None,
) -> bytes:
    """A zip of everything on the page, and of what reproduces it. zoom: in pixels of the scaled picture."""
    asked: dict[str, Any] = {"size": size, "link": link, "statistic": statistic, "all_layers": all_layers}
    return as_zip(files(comparison, style, picture=picture.open(), zoom=zoom, drawn=drawn, **asked))


def ready_models() -> Collection[str]:
    """Names of the models that need no download and fit the memory for models."""
    return {name for name, spec in models().items() if is_ready(spec) and not memory.too_large(spec)}


def download_size(spec: ve.ModelSpec) -> str:
    """About what a model's download takes, in words."""
    return format_bytes(model_bytes(spec))
