"""From panes to what they show: one run a model and one gradient a target, one model in memory at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from PIL import Image

import vit_engine as ve
from vit_engine.analysis.comparison import (
    Comparison,
    Pane,
    PaneResult,
    Place,
    check_pane_target,
    evaluate_pane,
    pane_target,
    pane_target_is_norm,
    pca_layers,
)
from vit_engine.analysis.methods import Needs, find_method
from vit_engine.cli.panes import PaneModel, naming
from vit_engine.image import target_size
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import TOKEN, RunPlan
from vit_engine.progress import Progress, part_of
from vit_engine.report.record import Size
from vit_engine.trace.differentiate import differentiate
from vit_engine.trace.targets import PICTURE, TEXT, NormTarget
from vit_engine.weights.text.tower import check_text

_TRACED = 0.4  # of a model's progress, where gradients follow


def compared(
    panes: Mapping[int, Pane],
    sources: Mapping[str, PaneModel],
    picture: Image.Image,
    *,
    size: Size,
    point: Place | None,
    reference: str,
    keep: float,
    device: str,
    progress: Progress,
    targets: Mapping[int, ve.Target] = MappingProxyType({}),
) -> Comparison:
    """What the panes of these numbers show: each model is loaded, run once and let go before the next one comes.

    targets: of panes whose targets are known already, by number. Raises SpecError, CheckpointError, ImageError or
    ResourceError where a pane cannot be, before anything is run, and before anything but models on the Hugging Face
    hub is downloaded; for a text of too many tokens, and for a norm that is the same of all pictures, before the pane's
    own model is run: the loaded model says so.
    """
    shape, frame = (picture.height, picture.width), (0, 0)
    _check_possible(panes, sources, shape, size=size, device=device, progress=progress, targets=targets)
    shown: dict[int, PaneResult] = {}
    for turn, (model, source) in enumerate(sources.items()):
        share = part_of(progress, turn / len(sources), (turn + 1) / len(sources))
        loaded = source.load(device, share)
        prepared = ve.prepare_image(picture, loaded.spec, size=size)
        frame = target_size(shape, loaded.spec, size)
        alike = {number: replace(pane, model=source.name) for number, pane in panes.items() if pane.model == model}
        run = _Runs(loaded, prepared, alike, frame, point, share)
        shown |= run.results(targets, size=size)
        del loaded, run
    results = tuple(shown[number] for number in sorted(shown))
    return Comparison(results, frame, reference=reference, point=point, keep=keep)


@dataclass(frozen=True)
class _Runs:
    """All panes of one model."""

    loaded: ve.LoadedModel
    prepared: ve.PreparedImage
    panes: Mapping[int, Pane]
    frame: tuple[int, int]
    point: Place | None
    progress: Progress

    def results(self, targets: Mapping[int, ve.Target], *, size: Size) -> dict[int, PaneResult]:
        """What they show: the trace is made once, and each target's gradient once. Arguments of compared()."""
        self._check_norms()
        known = {**targets, **self._texts()}  # what the model does not read is told before it runs
        explained = any("target" in find_method(pane.method).depends_on for pane in self.panes.values())
        traced = part_of(self.progress, 0.0, _TRACED if explained else 1.0)
        run = ve.Run(ve.attend(self.loaded, self.prepared, progress=traced), self.loaded, self.prepared)
        groups: dict[ve.Target | None, dict[int, Pane]] = {}
        for number, pane in self.panes.items():
            with naming([number]):
                target = known.get(number) or self._target(pane, run, size)
            # A file's name, without the folders that it lies in.
            named = replace(pane, target=target.name) if target and pane.target.startswith(PICTURE) else pane
            groups.setdefault(target, {})[number] = named
        shown: dict[int, PaneResult] = {}
        for turn, (target, alike) in enumerate(groups.items()):
            rest = (1 - _TRACED) / len(groups)
            share = part_of(self.progress, _TRACED + turn * rest, _TRACED + (turn + 1) * rest)
            with naming(alike):
                own = run if target is None else _with_gradients(run, target, alike, share)
            for number, pane in alike.items():
                with naming([number]):
                    shown[number] = self._evaluated(number, pane, own, target)
        return shown

    def _texts(self) -> dict[int, ve.Target]:
        """The targets of panes that are texts."""
        found: dict[int, ve.Target] = {}
        for number, pane in self.panes.items():
            if pane.target.startswith(TEXT):
                with naming([number]):
                    found[number] = ve.text_target(self.loaded, pane.target.removeprefix(TEXT))
        return found

    def _check_norms(self) -> None:
        """SpecError for the norm as a target where it is the same of all pictures."""
        norms = [number for number, pane in self.panes.items() if pane_target_is_norm(pane, self.loaded.spec)]
        if norms:
            with naming(norms):
                NormTarget().check_model(self.loaded.model)

    def _target(self, pane: Pane, run: ve.Run, size: Size) -> ve.Target | None:
        if pane.target.startswith(PICTURE):
            return ve.picture_target(self.loaded, pane.target.removeprefix(PICTURE), size=size)
        return pane_target(pane, run.trace, self.frame)

    def _evaluated(self, number: int, pane: Pane, run: ve.Run, target: ve.Target | None) -> PaneResult:
        fitted_to = pca_layers(self.panes.values(), self.loaded.spec)
        place: dict[str, Any] = {"frame": self.frame, "point": self.point, "fitted_to": fitted_to, "target": target}
        return evaluate_pane(number, pane, run, self.prepared.pixels, self.loaded.report, **place)


def _with_gradients(run: ve.Run, target: ve.Target, panes: Mapping[int, Pane], progress: Progress) -> ve.Run:
    """The run with what these panes, all of one target, need of its gradient: one pass for all of them."""
    needs = {find_method(pane.method).needs for pane in panes.values()}
    told = replace(run, progress=progress)  # for methods that run the model again
    if not needs & {Needs.GRADIENTS, Needs.READOUTS} or run.loaded is None or run.prepared is None:
        return told
    parts = {"backward": Needs.GRADIENTS in needs, "readouts": Needs.READOUTS in needs}
    _, gradients = differentiate(run.loaded, run.prepared, target=target, trace=run.trace, progress=progress, **parts)
    return replace(told, gradients=gradients)


def _check_possible(
    panes: Mapping[int, Pane],
    sources: Mapping[str, PaneModel],
    shape: tuple[int, int],
    *,
    size: Size,
    device: str,
    progress: Progress,
    targets: Mapping[int, ve.Target],
) -> None:
    """SpecError, CheckpointError, ImageError or ResourceError for what a model or the memory does not have."""
    known = {model: source.spec(progress) for model, source in sources.items()}
    for number, pane in panes.items():
        with naming([number]):
            spec, no_text = known[pane.model]
            grid = spec.cropped_grid(*target_size(shape, spec, size))
            find_method(pane.method).check(
                spec, grid, layer=pane.layer, head=pane.head, query="cls", options=pane.chosen
            )
            if number not in targets:
                _check_target(pane, spec, grid, no_text)
    for model, (spec, _) in known.items():
        needs = {find_method(pane.method).needs for pane in panes.values() if pane.model == model}
        attention, grid = RunPlan.asked(spec, device=device), spec.cropped_grid(*target_size(shape, spec, size))
        check_memory(attention, grid)
        if Needs.TOKENS in needs:
            tokens = RunPlan.asked(spec, device=device, statistics="none", facet=TOKEN)
            check_memory(tokens, grid, before=[attention])
        if needs & {Needs.GRADIENTS, Needs.READOUTS, Needs.MODEL}:
            check_memory(
                RunPlan.asked(spec, device=device, statistics="none", gradients=True), grid, before=[attention]
            )


def _check_target(pane: Pane, spec: ve.ModelSpec, grid: ve.TokenGrid, no_text: str) -> None:
    """Another picture is opened, and dropped again. no_text: why the model reads no text; empty where it may."""
    if pane.target.startswith(PICTURE):
        if pane.target == PICTURE:
            raise ve.SpecError(f"a picture as the target is '{PICTURE}PATH'; got {pane.target!r}.")
        ve.open_image(pane.target.removeprefix(PICTURE))
    elif pane.target.startswith(TEXT):
        check_text(pane.target.removeprefix(TEXT), no_text, pane.model)
    else:
        check_pane_target(pane, spec, grid)
