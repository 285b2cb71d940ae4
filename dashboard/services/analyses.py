"""A picture through a model: what it will take, and what comes of it, kept for all sessions."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

import vit_engine as ve
from dashboard.links.selection import DEFAULT
from dashboard.samples import SAMPLES
from dashboard.services import limits, memory, process
from dashboard.services.budget import budget
from dashboard.services.catalogue import models
from dashboard.services.jobs import Jobs, Progress, Store
from dashboard.services.lanes import Size
from dashboard.services.pictures import Picture, sample_picture, thumbnail
from dashboard.services.process import once_per_process
from vit_engine.analysis import comparison
from vit_engine.image import target_size, with_short_side
from vit_engine.resources.budget import in_words

SMALL = 2.0  # times what a new session opens with, at most: what an analysis may take to run beside another one


@dataclass(frozen=True)
class Analysis:
    """One picture in one model: what the pages draw from.

    pixels: uint8 (height, width, 3), as the model saw them. frame: (height, width) of the scaled picture in
    pixels, before the crop to whole patches: the same for all models at one working size.
    """

    trace: ve.AttentionTrace
    pixels: np.ndarray
    report: ve.LoadReport
    frame: tuple[int, int]


@dataclass(frozen=True)
class Cost:
    """What an analysis will take: its tokens, bytes of memory and seconds.

    refusal: why it will not run, or empty. kept_bytes: of the trace that it leaves.
    """

    grid: ve.TokenGrid
    peak_bytes: int
    seconds: float
    refusal: str = ""
    kept_bytes: int = 0

    @property
    def memory(self) -> str:
        """The bytes, for people."""
        return in_words(self.peak_bytes)


@once_per_process
def _traces() -> Store[Analysis]:
    return Store(limits.TRACE_BYTES, size=lambda analysis: analysis.trace.nbytes)


@once_per_process
def _runs() -> Jobs:
    """One at a time, for a run already uses all cores, and beside it a small one: nobody waits long for little."""
    return Jobs(
        at_once=1, waiting="waiting for another analysis on this server to finish", for_small=1,
        small_seconds=SMALL * _estimate(models()[DEFAULT.model], sample_picture(DEFAULT.picture), DEFAULT.size).seconds,
        budget=budget,
        short_of_memory="waiting until other analyses on this server leave enough memory",
    )  # fmt: skip


def cost(picture: Picture, model: str, size: int) -> Cost:
    """What analyse() will take; VitEngineError where it cannot be. The first call measures the machine's speed."""
    spec = models()[model]
    estimate = _estimate(spec, picture, size)
    key = _key(picture, model, size)
    known = _traces().get(key) is not None or _runs().has(key)  # what runs already has its memory
    refusal = "" if known else memory.too_large(spec) or _refusal(estimate)
    return Cost(estimate.grid, estimate.peak_bytes, estimate.seconds, refusal, estimate.kept_bytes)


def _estimate(spec: ve.ModelSpec, picture: Picture, size: int) -> ve.Estimate:
    return ve.estimate(spec, spec.cropped_grid(*target_size(picture.shape, spec, size)))


def _refusal(estimate: ve.Estimate) -> str:
    """What stands against a run, in few words; empty where nothing does."""
    budget = ve.memory_budget("auto")
    if estimate.peak_bytes > budget:
        return f"only {in_words(budget)} may be taken now"
    if estimate.kept_bytes > limits.TRACE_BYTES:
        return f"its trace of {in_words(estimate.kept_bytes)} is over the {in_words(limits.TRACE_BYTES)} kept here"
    if estimate.grid.patches > limits.MAX_PATCHES:
        return f"at most {limits.MAX_PATCHES:,} patches are allowed here"
    return ""


def _key(picture: Picture, model: str, size: int) -> Hashable:
    return memory.version(model), picture.sha256, size


def frame_of(picture: Picture, size: int) -> tuple[int, int]:
    """A picture's (height, width) at this short side, in pixels, before the crop to whole patches."""
    return with_short_side(picture.shape, size)


def query_patch(point: tuple[float, float] | None, analysis: Analysis) -> tuple[int, int] | None:
    """The patch (row, col) of a point, in fractions of the frame's height and width; None for the CLS token."""
    query = comparison.query_patch("shared", point, analysis.trace.grid, analysis.frame)
    return None if isinstance(query, str) else query


def find_analysis(picture: Picture, model: str, size: int) -> Analysis | None:
    """What analyse() would give, where it is in memory; None where it is not, and nothing is run."""
    return _traces().get(_key(picture, model, size))


def analyse(picture: Picture, model: str, size: int, progress: Progress) -> Analysis:
    """A picture through a model, or the same from the store; VitEngineError where it cannot be.

    size: short side in pixels. progress(fraction, message) tells what is being done; what it raises
    ends the waiting, while the work goes on for those who come back to it soon.
    """
    memory.demand_current(model)
    key = _key(picture, model, size)
    kept = _traces().get(key)
    if kept is not None:
        return kept
    loaded = memory.load_model(model, progress)
    estimate = _estimate(loaded.spec, picture, size)

    def run(report: Progress) -> Analysis:
        if (done := _traces().get(key)) is not None:  # by a job that ended between the look above and this one
            return done
        report(0.0, "reading the picture")
        prepared = ve.prepare_image(picture.open(), loaded.spec, size=size)
        _demand_room(loaded.spec, prepared.grid)
        trace = ve.attend(loaded, prepared, progress=lambda share, layer: report(share, f"attention: {layer}"))
        analysis = Analysis(trace, prepared.pixels, loaded.report, frame_of(picture, size))
        _traces().put(key, analysis)
        return analysis

    expected = Size(estimate.seconds, estimate.peak_bytes)
    return _runs().run(key, run, progress, session=process.session(), size=expected)


def _demand_room(spec: ve.ModelSpec, grid: ve.TokenGrid) -> None:
    """ResourceError for what would not fit the store, or would keep the server and the browser busy for minutes."""
    kept = ve.estimate(spec, grid).kept_bytes
    if grid.patches > limits.MAX_PATCHES or kept > limits.TRACE_BYTES:
        raise ve.ResourceError(
            f"This picture would have {grid.patches:,} patches, and its trace {kept / 1e6:,.0f} MB; at most "
            f"{limits.MAX_PATCHES:,} patches and {limits.TRACE_BYTES / 1e6:,.0f} MB are allowed here. Choose a smaller "
            "short side, larger patches, or a smaller model."
        )


def warm_up() -> None:
    """Analyse what a new session opens with, so that the first visitor does not wait for it."""
    try:
        for sample in SAMPLES:
            thumbnail(sample.name)
        picture = sample_picture(DEFAULT.picture)
        cost(picture, DEFAULT.model, DEFAULT.size)
        analyse(picture, DEFAULT.model, DEFAULT.size, lambda fraction, message: None)
    finally:
        process.freeze_what_stays()


def statistics(analysis: Analysis) -> pd.DataFrame:
    """The table of all heads; its columns are vit_engine.trace.statistics.COLUMNS."""
    return analysis.trace.statistics.to_frame()


def trace_bytes() -> int:
    """Bytes of all analyses in memory."""
    return _traces().size
