"""A picture through a model: what it will take, and what comes of it, kept for all sessions."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import vit_engine as ve
from dashboard.links.selection import Place, middle
from dashboard.samples import SAMPLES
from dashboard.services import limits, memory, opening
from dashboard.services.catalogue import models
from dashboard.services.jobs import Store
from dashboard.services.pictures import sample_picture, thumbnail
from dashboard.services.process import once_per_process
from dashboard.services.requests import PictureRequest
from vit_engine.analysis.comparison import Pane, PaneResult, Point, evaluate_pane, pca_layers, query_patch
from vit_engine.analysis.methods import Needs, find_method
from vit_engine.grid import Patches
from vit_engine.image import normalise, with_short_side
from vit_engine.progress import Progress


@dataclass(frozen=True, eq=False)
class Analysis:
    """One picture in one model: what is kept of it, and what the pages draw from."""

    trace: ve.AttentionTrace
    pixels: np.ndarray  # uint8 (height, width, 3), as the model saw them
    report: ve.LoadReport
    frame: tuple[int, int]  # (height, width) of the scaled picture before the crop to patches: the same for all models

    @property
    def record(self) -> ve.AttentionTrace:
        """What the run left."""
        return self.trace

    def patch(self, place: Place | None) -> Patches | None:
        """The patch of a point, or the region of patches whose middles are in a box; None for the CLS token.

        place: in fractions of the frame's height and width.
        """
        if place is None:
            return None
        grid, point = self.trace.grid, middle(place)
        if len(place) == 4 and (region := _patches_in(place, grid, self.frame)):
            return region
        query = query_patch("shared", point, grid, self.frame)
        return None if isinstance(query, str) else query

    def run(
        self, method: ve.Method, features: ve.Features | None = None, gradients: ve.Gradients | None = None
    ) -> ve.Run:
        """What a method is asked with; model and picture, which no store counts, only where it needs them."""
        trace = self.trace
        if method.needs in (Needs.TRACE, Needs.TOKENS) or gradients is not None:
            return ve.Run(trace, features=features, gradients=gradients)
        loaded = memory.load_model(trace.spec.name, lambda fraction, message: None)
        tensor = normalise(self.pixels, trace.spec.preprocessing)
        return ve.Run(trace, loaded, ve.PreparedImage(self.pixels, tensor, trace.grid, trace.image_sha256))


def _patches_in(
    box: tuple[float, float, float, float], grid: ve.TokenGrid, frame: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of the patches whose middles are in the box; None where there are none."""
    (top, left, bottom, right), (height, width) = box, frame
    size = grid.patch_size
    rows = [row for row in range(grid.rows) if top * height <= (row + 0.5) * size <= bottom * height]
    cols = [col for col in range(grid.cols) if left * width <= (col + 0.5) * size <= right * width]
    return (rows[0], cols[0], rows[-1], cols[-1]) if rows and cols else None


@dataclass(frozen=True, eq=False)
class Request(PictureRequest[Analysis]):
    """The attention of one picture in one model at one working size."""

    KEPT, LIMIT = "trace", "TRACE_BYTES"

    def store(self) -> Store[Analysis]:
        return _traces()

    def options(self) -> dict[str, Any]:
        return {}

    def run(self, loaded: ve.LoadedModel, prepared: ve.PreparedImage, report: Progress) -> Analysis:
        trace = ve.attend(loaded, prepared, progress=lambda share, layer: report(share, f"attention: {layer}"))
        return Analysis(trace, prepared.pixels, loaded.report, with_short_side(self.picture.shape, self.size))


_traces = once_per_process(lambda: Store[Analysis](limits.TRACE_BYTES, size=lambda analysis: analysis.trace.nbytes))


def _opening() -> Request:
    """What a new session opens with."""
    chosen = opening.selection()
    return Request(sample_picture(chosen.picture), models()[chosen.model], chosen.size)


def evaluate(
    panes: Mapping[int, Pane],
    analyses: Mapping[int, Analysis],
    features: Mapping[int, ve.Features],
    *,
    point: Point | None,
) -> dict[int, PaneResult | ve.SpecError]:
    """What the panes of these numbers show, or why one cannot: its tokens may be all the same.

    Each from its analysis and, where its method needs them, its features. point: the shared query, None for the CLS
    token.
    """
    shown: dict[int, PaneResult | ve.SpecError] = {}
    for number, each in analyses.items():
        pane, spec = panes[number], each.trace.spec
        layers = pca_layers([panes[other] for other in analyses if panes[other].model == pane.model], spec)
        run = each.run(find_method(pane.method), features.get(number))
        place: dict[str, Any] = {"frame": each.frame, "point": point, "fitted_to": layers}
        try:
            shown[number] = evaluate_pane(number, pane, run, each.pixels, each.report, **place)
        except ve.SpecError as error:
            shown[number] = error
    return shown


def warm_up() -> None:
    """Analyse what a new session opens with, so that the first visitor does not wait for it."""
    try:
        for sample in SAMPLES:
            thumbnail(sample.name)
        _opening().analyse(lambda fraction, message: None)
    finally:
        # Streamlit has every object looked at after every run: PyTorch's and Plotly's take longer than the run itself.
        gc.collect()
        gc.freeze()


def trace_bytes() -> int:
    """Bytes of all analyses in memory."""
    return _traces().size
