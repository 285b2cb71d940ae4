"""What methods make of an analysis, kept for all sessions; what takes long is made in the background, once for all."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import vit_engine as ve
from dashboard.links.options import Options
from dashboard.services import limits, memory, process, targets
from dashboard.services.analyses import Analysis, Request
from dashboard.services.gradients import GradientRequest
from dashboard.services.jobs import Store
from dashboard.services.lanes import Size
from dashboard.services.process import once_per_process
from dashboard.services.requests import runs
from vit_engine.analysis.methods import Attribution, Needs
from vit_engine.grid import Query
from vit_engine.progress import Progress

Maps = Mapping[int, Attribution]  # by layer
PASSES = 4.0  # times a plain run that a gradient takes, about


@dataclass(frozen=True, eq=False)
class MapRequest:
    """The maps of one method: of every layer where that costs no more, else of the layer alone, or the last.

    target: its name, where the method depends on one. gradients: of this target, where the method needs them.
    """

    request: Request
    analysis: Analysis
    method: ve.Method
    layer: int
    head: int | str = "mean"
    query: Query = "cls"
    target: str = ""
    options: Options = ()
    gradients: ve.Gradients | None = None

    @property
    def spec(self) -> ve.ModelSpec:
        return self.request.spec

    @cached_property
    def key(self) -> Hashable:
        """What tells these maps from all others: nothing that the method does not depend on."""
        method, trace = self.method, self.analysis.trace
        places = {"layer": self.layer, "head": self.head, "query": self.query, "target": self.target}
        known = {name: place for name, place in places.items() if name in method.depends_on}
        if self._of_all_layers:
            known.pop("layer", None)
        picture = memory.version(trace.spec.name), trace.image_sha256, trace.grid, self.analysis.frame
        return "maps", picture, method, tuple(known.items()), self.options

    @property
    def _of_all_layers(self) -> bool:
        return self.method.per_head or self.method.compute_layers is not None

    @property
    def kept(self) -> Maps | None:
        """What analyse() would give, where it is in memory; None where it is not, and nothing is made."""
        return _maps().get(self.key)

    def analyse(self, progress: Progress) -> Maps:
        """The maps by layer, made or from the store; SpecError for what the method cannot show."""
        maps = self._maps(progress)
        if "layer" in self.method.depends_on and self.layer not in maps:
            raise ve.SpecError(
                f"{self.method.title} counts from layer {min(maps)} up here, and has no map of layer {self.layer}: "
                'choose a later layer, or set "From layer" to an earlier one.'
            )
        return maps

    def _maps(self, progress: Progress) -> Maps:
        if (kept := self.kept) is not None:
            return kept
        if self.method.per_head and self.method.needs is not Needs.MODEL:  # a row or a column of each head
            return _maps().get_or_make(self.key, self._make)
        return runs().run(
            self.key, self._in_a_job, progress, store=_maps(), session=process.session(), size=self._expected
        )

    @property
    def passes(self) -> float:
        """Times a plain run that the map takes, where nothing is kept, about."""
        if self.method.needs is Needs.MODEL:
            steps = {option.name: option.default for option in self.method.options} | dict(self.options)
            return PASSES * float(steps.get("steps", 1))
        return 1.0 + PASSES * self.method.needs.target

    @property
    def _expected(self) -> Size:
        """Of reading all weights once; or of so many gradients as the method takes steps."""
        request = self.request
        if self.method.needs is not Needs.MODEL:
            return Size(request.estimate.seconds, request.estimate.peak_bytes)
        once = GradientRequest(request.picture, request.spec, request.size).estimate
        return Size(self.passes / PASSES * once.seconds, once.peak_bytes)

    def _in_a_job(self, report: Progress) -> Maps:
        def progress(fraction: float, message: str) -> None:
            report(fraction, f"{self.method.phrase}: {message}")

        runs_model = self.method.needs is Needs.MODEL
        progress(0.0, "running the model" if runs_model else "reading the attention of all layers")
        return self._make(progress)

    def _make(self, report: Progress | None = None) -> Maps:
        run = replace(self.analysis.run(self.method, gradients=self.gradients), progress=report)
        chosen: dict[str, Any] = {"head": self.head, "query": self.query, "options": dict(self.options)}
        if "target" in self.method.depends_on and self.gradients is None:
            assert run.loaded is not None, self.method
            chosen["target"] = targets.find(self.target, run.loaded, self.request.size)
        if self._of_all_layers:
            return _frozen(self.method.by_layer(run, **chosen))
        layer = self.layer if "layer" in self.method.depends_on else max(self.analysis.trace.layers)
        return _frozen({layer: self.method.attribute(run, layer=layer, **chosen)})


def _frozen(maps: dict[int, Attribution]) -> Maps:
    """For all sessions: nobody changes them."""
    for each in maps.values():
        each.heads.setflags(write=False)
        each.map.values.setflags(write=False)
    return MappingProxyType(maps)


def _nbytes(maps: Maps) -> int:
    return sum(each.heads.nbytes + each.map.values.nbytes for each in maps.values())


_maps = once_per_process(lambda: Store[Maps](limits.MAP_BYTES, size=_nbytes))
