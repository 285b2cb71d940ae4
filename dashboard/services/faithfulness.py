"""Whether a model needs what a map shows: measured once, kept for all sessions."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import vit_engine as ve
from dashboard.services import memory, process, targets
from dashboard.services.jobs import Store
from dashboard.services.lanes import Size
from dashboard.services.maps import MapRequest
from dashboard.services.process import once_per_process
from dashboard.services.requests import runs
from vit_engine.analysis.worth.faithfulness import ORDERS, STEPS
from vit_engine.analysis.worth.perturbation import BLUR
from vit_engine.progress import Progress, part_of
from vit_engine.trace.targets import NORM

ITSELF = "itself"  # the name of the score that is the similarity to the picture as it is
KEPT = 500  # measurements


@dataclass(frozen=True, eq=False)
class Measured:
    """The curves of a map, with random orders; and those of the same method's map on randomised weights, without."""

    map: ve.Faithfulness
    randomised: ve.Faithfulness


@dataclass(frozen=True, eq=False)
class FaithfulnessRequest:
    """Insertion and deletion of one map. asked: what made the map. baseline: a name of BASELINES. steps: of curves.

    measured_by: the target whose score is measured where the method has none; empty is the likeliest class.
    """

    asked: MapRequest
    map: ve.AttentionMap
    baseline: str = BLUR
    steps: int = STEPS
    measured_by: str = ""

    @property
    def spec(self) -> ve.ModelSpec:
        return self.asked.spec

    @property
    def score(self) -> str:
        """The target whose score is measured: the method's own, else measured_by, else the likeliest class.

        Without any it is the similarity to the picture itself. So it is for the norm of the embedding: a picture
        with nothing on it may have a longer one.
        """
        own = self.asked.target if "target" in self.asked.method.depends_on else ""
        if chosen := own or self.measured_by:
            return ITSELF if chosen == NORM else chosen
        predictions = self.asked.analysis.trace.predictions
        return str(predictions[0].number) if predictions else ITSELF

    @cached_property
    def key(self) -> Hashable:
        """What tells this measurement from all others."""
        asked = self.asked
        place = asked.layer if "layer" in asked.method.depends_on else None
        return "faithfulness", asked.key, place, self.score, self.baseline, self.steps

    @property
    def kept(self) -> Measured | None:
        """What analyse() would give, where it is in memory; None where it is not, and nothing is run."""
        return _measured().get(self.key)

    @cached_property
    def expected(self) -> Size:
        """Seconds and bytes of analyse(); VitEngineError where they cannot be known."""
        map, curves, other = self._parts
        run = self.asked.request.estimate
        peak = max(run.peak_bytes, self._estimate().peak_bytes)
        return Size(map + curves + other, peak + memory.model_bytes(self.spec))

    @property
    def _parts(self) -> tuple[float, float, float]:
        """Seconds of the curves, of the map on randomised weights, and of its curves."""
        map = self.asked.passes * self.asked.request.estimate.seconds
        return self._estimate().seconds, map, self._estimate(orders=0).seconds

    def _estimate(self, *, orders: int = ORDERS) -> ve.Estimate:
        return ve.estimate_faithfulness(self.spec, self.asked.analysis.trace.grid, steps=self.steps, orders=orders)

    def analyse(self, progress: Progress) -> Measured:
        """The curves, measured in a job or from the store; VitEngineError where they cannot be."""
        if (kept := self.kept) is not None:
            return kept
        loaded = memory.load_model(self.spec.name, progress)
        measure, session = partial(self._measure, loaded), process.session()
        return runs().run(self.key, measure, progress, store=_measured(), session=session, size=self.expected)

    def _measure(self, loaded: ve.LoadedModel, report: Progress) -> Measured:
        curves, randomised, others = self._parts
        whole = curves + randomised + others
        run, target = self.asked.analysis.whole_run(loaded), self._target(loaded)
        measure = partial(ve.faithfulness, run, target=target, baseline=self.baseline, steps=self.steps)
        ends = curves / whole, (curves + randomised) / whole
        shown = measure(self.map, progress=_part(report, 0.0, ends[0], "without patches"))
        report(ends[0], "the same map on randomised weights")
        other = self._randomised_map(run, _part(report, *ends, "the same map on randomised weights"))
        measured = measure(other, orders=0, progress=_part(report, ends[1], 1.0, "randomised weights, without patches"))
        return Measured(shown, measured)

    def _target(self, loaded: ve.LoadedModel) -> ve.Target:
        if self.score != ITSELF:
            return targets.find(self.score, loaded, self.asked.request.size)
        prepared = self.asked.analysis.whole_run(loaded).prepared
        assert prepared is not None
        return ve.picture_target(loaded, prepared, name="the picture itself")

    def _randomised_map(self, run: ve.Run, report: Progress) -> ve.AttentionMap:
        asked = self.asked
        target = None
        if "target" in asked.method.depends_on:
            assert run.loaded is not None
            target = targets.find(asked.target, run.loaded, asked.request.size)
        places: dict[str, Any] = {"layer": asked.layer, "head": asked.head, "query": asked.query, "target": target}
        return ve.randomised_map(run, asked.method.name, **places, options=dict(asked.options), progress=report)


def _part(report: Progress, start: float, stop: float, step: str) -> Progress:
    """What reports a part of a job, whose step goes before each message."""
    within = part_of(report, start, stop)
    return lambda fraction, message: within(fraction, f"{step}: {message}")


_measured = once_per_process(lambda: Store[Measured](KEPT, size=lambda _: 1))
