"""One picture in one model: what a run of it will take, and the run itself, once for all sessions."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import vit_engine as ve
from dashboard.services import limits, memory, opening, process
from dashboard.services.catalogue import models
from dashboard.services.jobs import Jobs, Store, budget
from dashboard.services.lanes import Size
from dashboard.services.pictures import Picture, sample_picture
from dashboard.services.process import once_per_process
from vit_engine.image import target_size
from vit_engine.progress import Progress
from vit_engine.resources.budget import format_bytes

SMALL = 2.0  # times what a new session opens with, at most: what a run may take to go on beside another one


class Record(Protocol):
    """What a run of a model left, and what it took."""

    @property
    def grid(self) -> ve.TokenGrid: ...
    @property
    def random(self) -> bool: ...
    @property
    def seconds(self) -> float: ...
    @property
    def nbytes(self) -> int: ...


class PictureResult(Protocol):
    """One picture in one model, whatever is kept of it."""

    @property
    def record(self) -> Record: ...
    @property
    def report(self) -> ve.LoadReport: ...


Result = TypeVar("Result", bound=PictureResult)


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
class PictureRequest(ABC, Generic[Result]):
    """One picture in one model at one working size: looked up once, and handed down. size: short side in pixels."""

    KEPT: ClassVar[str]  # what a result is called
    LIMIT: ClassVar[str]  # a name in limits: how many bytes of results are kept

    picture: Picture
    spec: ve.ModelSpec
    size: int

    @property
    def key(self) -> Hashable:
        """What tells this request from all others."""
        return memory.version(self.spec.name), self.picture.sha256, self.size

    @property
    def kept(self) -> Result | None:
        """What analyse() would give, where it is in memory; None where it is not, and nothing is run."""
        return self.store().get(self.key)

    @cached_property
    def estimate(self) -> ve.Estimate:
        """What a run takes; VitEngineError where it cannot be."""
        return _estimate(self.spec, self.picture, self.size, **self.options())

    @cached_property
    def cost(self) -> Cost:
        """What analyse() will take; errors of estimate. The first of all measures the machine's speed."""
        estimate = self.estimate
        known = self.kept is not None or runs().find(self.key)  # what runs already has its memory
        refusal = "" if known else memory.too_large(self.spec) or self._refusal()
        return Cost(estimate.grid, estimate.peak_bytes, estimate.seconds, refusal, estimate.kept_bytes)

    def analyse(self, progress: Progress) -> Result:
        """The picture through the model, or the same from the store; VitEngineError where it cannot be."""
        memory.check_current(self.spec.name)
        if (kept := self.kept) is not None:
            return kept
        loaded = memory.load_model(self.spec.name, progress)
        expected = Size(self.estimate.seconds, self.estimate.peak_bytes)
        run = partial(self._prepare_and_run, loaded)
        return runs().run(self.key, run, progress, store=self.store(), session=process.session(), size=expected)

    @abstractmethod
    def store(self) -> Store[Result]:
        """Where results are kept."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What the run does, as estimate() has it."""

    @abstractmethod
    def run(self, loaded: ve.LoadedModel, prepared: ve.PreparedImage, report: Progress) -> Result:
        """The run, in a job."""

    def _prepare_and_run(self, loaded: ve.LoadedModel, report: Progress) -> Result:
        report(0.0, "reading the picture")
        prepared = ve.prepare_image(self.picture.open(), loaded.spec, size=self.size)
        if problem := self._too_much():
            advice = "Choose a smaller short side, larger patches, or a smaller model."
            raise ve.ResourceError(f"This picture would have {prepared.grid.patches:,} patches: {problem}. {advice}")
        return self.run(loaded, prepared, report)

    def _refusal(self) -> str:
        """What stands against a run, in few words; empty where nothing does."""
        budget = ve.memory_budget("auto")
        if self.estimate.peak_bytes > budget:
            return f"only {format_bytes(budget)} may be taken now"
        return self._too_much()

    def _too_much(self) -> str:
        """Why a result would not fit the store, or would keep the server and the browser busy for minutes; or empty."""
        kept, most = self.estimate.kept_bytes, getattr(limits, self.LIMIT)
        if kept > most:
            verb = "are" if self.KEPT.endswith("s") else "is"
            return f"its {self.KEPT} of {format_bytes(kept)} {verb} over the {format_bytes(most)} kept here"
        if self.estimate.grid.patches > limits.MAX_PATCHES:
            return f"at most {limits.MAX_PATCHES:,} patches are allowed here"
        return ""


def _estimate(spec: ve.ModelSpec, picture: Picture, size: int, **options: Any) -> ve.Estimate:
    return ve.estimate(spec, spec.cropped_grid(*target_size(picture.shape, spec, size)), **options)


@once_per_process
def runs() -> Jobs:
    """One at a time, for a run already uses all cores, and beside it a small one: nobody waits long for little."""
    chosen = opening.selection()
    first = _estimate(models()[chosen.model], sample_picture(chosen.picture), chosen.size)
    return Jobs(
        at_once=1,
        waiting="waiting for another analysis on this server to finish",
        for_small=1,
        small_seconds=SMALL * first.seconds,
        budget=budget,
        short_of_memory="waiting until other analyses on this server leave enough memory",
    )
