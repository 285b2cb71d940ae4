"""A picture through a model: what it will take, and what comes of it, kept for all sessions."""

import gc
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

import vit_engine as ve
from dashboard.samples import SAMPLES
from dashboard.services import limits, memory, opening, process
from dashboard.services.catalogue import models
from dashboard.services.jobs import Jobs, Store, budget
from dashboard.services.lanes import Size
from dashboard.services.pictures import Picture, sample_picture, thumbnail
from dashboard.services.process import once_per_process
from vit_engine.analysis.comparison import Comparison, Pane, Point, evaluate_pane, letter, query_patch
from vit_engine.analysis.methods import Attribution, Needs, find_method
from vit_engine.image import normalise, target_size, with_short_side
from vit_engine.progress import Progress
from vit_engine.resources.budget import format_bytes

SMALL = 2.0  # times what a new session opens with, at most: what an analysis may take to run beside another one


@dataclass(frozen=True, eq=False)
class Analysis:
    """One picture in one model: what is kept of it, and what the pages draw from."""

    trace: ve.AttentionTrace
    pixels: np.ndarray  # uint8 (height, width, 3), as the model saw them
    report: ve.LoadReport
    frame: tuple[int, int]  # (height, width) of the scaled picture before the crop to patches: the same for all models

    def patch(self, point: Point | None) -> tuple[int, int] | None:
        """The patch (row, col) of a point, in fractions of the frame's height and width; None for the CLS token."""
        query = query_patch("shared", point, self.trace.grid, self.frame)
        return None if isinstance(query, str) else query

    def run(self, method: ve.Method) -> ve.Run:
        """What a method is asked with; model and picture, which no store counts, only where it needs them."""
        trace = self.trace
        if method.needs is Needs.TRACE:
            return ve.Run(trace)
        loaded = memory.load_model(trace.spec.name, lambda fraction, message: None)
        tensor = normalise(self.pixels, trace.spec.preprocessing)
        return ve.Run(trace, loaded, ve.PreparedImage(self.pixels, tensor, trace.grid, trace.image_sha256))


@dataclass(frozen=True)
class Cost:
    """What an analysis will take: its tokens, bytes of memory and seconds."""

    grid: ve.TokenGrid
    peak_bytes: int
    seconds: float
    refusal: str = ""  # why it will not run
    kept_bytes: int = 0  # of the trace that it leaves

    @property
    def memory(self) -> str:
        """The bytes, for people."""
        return format_bytes(self.peak_bytes)


@dataclass(frozen=True, eq=False)
class Request:
    """One picture in one model at one working size: looked up once, and handed down. size: short side in pixels."""

    picture: Picture
    spec: ve.ModelSpec
    size: int

    @property
    def key(self) -> Hashable:
        """What tells this analysis from all others."""
        return memory.version(self.spec.name), self.picture.sha256, self.size

    @property
    def kept(self) -> Analysis | None:
        """What analyse() would give, where it is in memory; None where it is not, and nothing is run."""
        return _traces().get(self.key)

    @cached_property
    def estimate(self) -> ve.Estimate:
        """What a run takes; VitEngineError where it cannot be."""
        return ve.estimate(self.spec, self.spec.cropped_grid(*target_size(self.picture.shape, self.spec, self.size)))

    @cached_property
    def cost(self) -> Cost:
        """What analyse() will take; errors of estimate. The first of all measures the machine's speed."""
        estimate = self.estimate
        known = self.kept is not None or _runs().find(self.key)  # what runs already has its memory
        refusal = "" if known else memory.too_large(self.spec) or _refusal(estimate)
        return Cost(estimate.grid, estimate.peak_bytes, estimate.seconds, refusal, estimate.kept_bytes)

    def analyse(self, progress: Progress) -> Analysis:
        """The picture through the model, or the same from the store; VitEngineError where it cannot be."""
        memory.check_current(self.spec.name)
        if (kept := self.kept) is not None:
            return kept
        loaded = memory.load_model(self.spec.name, progress)
        expected = Size(self.estimate.seconds, self.estimate.peak_bytes)
        run = partial(self._run, loaded)
        return _runs().run(self.key, run, progress, store=_traces(), session=process.session(), size=expected)

    def _run(self, loaded: ve.LoadedModel, report: Progress) -> Analysis:
        report(0.0, "reading the picture")
        prepared = ve.prepare_image(self.picture.open(), loaded.spec, size=self.size)
        if problem := _too_much(self.estimate):
            advice = "Choose a smaller short side, larger patches, or a smaller model."
            raise ve.ResourceError(f"This picture would have {prepared.grid.patches:,} patches: {problem}. {advice}")
        trace = ve.attend(loaded, prepared, progress=lambda share, layer: report(share, f"attention: {layer}"))
        return Analysis(trace, prepared.pixels, loaded.report, with_short_side(self.picture.shape, self.size))


def _refusal(estimate: ve.Estimate) -> str:
    """What stands against a run, in few words; empty where nothing does."""
    budget = ve.memory_budget("auto")
    if estimate.peak_bytes > budget:
        return f"only {format_bytes(budget)} may be taken now"
    return _too_much(estimate)


def _too_much(estimate: ve.Estimate) -> str:
    """Why a trace would not fit the store, or would keep the server and the browser busy for minutes; or empty."""
    kept, most = estimate.kept_bytes, limits.TRACE_BYTES
    if kept > most:
        return f"its trace of {format_bytes(kept)} is over the {format_bytes(most)} kept here"
    if estimate.grid.patches > limits.MAX_PATCHES:
        return f"at most {limits.MAX_PATCHES:,} patches are allowed here"
    return ""


_traces = once_per_process(lambda: Store[Analysis](limits.TRACE_BYTES, size=lambda analysis: analysis.trace.nbytes))


@once_per_process
def _runs() -> Jobs:
    """One at a time, for a run already uses all cores, and beside it a small one: nobody waits long for little."""
    return Jobs(
        at_once=1,
        waiting="waiting for another analysis on this server to finish",
        for_small=1,
        small_seconds=SMALL * _opening().estimate.seconds,
        budget=budget,
        short_of_memory="waiting until other analyses on this server leave enough memory",
    )


def _opening() -> Request:
    """What a new session opens with."""
    chosen = opening.selection()
    return Request(sample_picture(chosen.picture), models()[chosen.model], chosen.size)


def attributions(
    analysis: Analysis, method: ve.Method, *, head: int | str, point: Point | None
) -> tuple[tuple[int, int] | None, dict[int, Attribution]]:
    """The patch of a point, as in Analysis.patch(), and what a method says of it, by layer."""
    patch = analysis.patch(point)
    return patch, method.by_layer(analysis.run(method), head=head, query="cls" if patch is None else patch)


def compare(
    panes: Mapping[int, Pane], analyses: Mapping[int, Analysis], *, reference: int, point: Point | None, keep: float
) -> Comparison:
    """What the panes of these numbers show, each from its analysis. point: the shared query, None for the CLS token."""
    frame, shown = next(iter(analyses.values())).frame, []
    for number, each in analyses.items():
        run = each.run(find_method(panes[number].method))
        shown.append(evaluate_pane(number, panes[number], run, each.pixels, each.report, frame=frame, point=point))
    return Comparison(tuple(shown), frame, reference=letter(reference), point=point, keep=keep)


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
