"""From panes to what they show: one run a model, one model in memory at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

import vit_engine as ve
from vit_engine.analysis.comparison import FILE_PREFIX, Comparison, Pane, PaneResult, Point, evaluate_pane, pca_layers
from vit_engine.analysis.methods import Needs
from vit_engine.cli import console
from vit_engine.image import target_size
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import TOKEN, RunPlan
from vit_engine.progress import Progress
from vit_engine.registry import find_model
from vit_engine.report.record import Size
from vit_engine.weights.fetching.hub import HubModel, describe_hub_model
from vit_engine.weights.reading.read import split_part
from vit_engine.weights.sources import checkpoint_path, hub_source


@dataclass(frozen=True)
class PaneModel:
    """Where a pane's model is from."""

    name: str  # in panes and records
    path: str = ""  # of a checkpoint, with its '#part', or its name on the hub; empty for a model known by name
    heads: int | None = None  # of a checkpoint that does not state it
    seed: int = 0  # of random weights
    title: str = ""  # for people; empty for the name

    def spec(self, progress: Progress) -> ve.ModelSpec:
        """What the model is, before it is loaded; one on the hub is fetched."""
        if not self.path:
            return find_model(self.name)
        option = f"--heads {self.path}=N"
        return self._named(console.checkpoint_spec(self.path, self.heads, option=option, progress=progress))

    def load(self, device: str, progress: Progress) -> ve.LoadedModel:
        """The model; a checkpoint under its name in panes, without the folders that it lies in."""
        source, heads = self.path or self.name, self.heads
        loaded = ve.load_model(source, heads=heads, device=device, seed=self.seed, progress=progress)
        if not self.path:
            return loaded
        return replace(loaded, spec=self._named(loaded.spec), report=replace(loaded.report, source=self.name))

    def _named(self, spec: ve.ModelSpec) -> ve.ModelSpec:
        return replace(spec, name=self.name, title=self.title or self.name.removeprefix(FILE_PREFIX), weights=None)


def file_names(paths: Sequence[str]) -> dict[str, str]:
    """A name for each checkpoint's path, "file:last.pth#student": as many of its folders as tell it from the others."""
    split = {path: split_part(Path(path).expanduser()) for path in paths}
    places = {path: (*where.absolute().parts[1:-1], where.name, part) for path, (where, part) in split.items()}
    names = {}
    for path, place in places.items():
        others = {other for other in places.values() if other != place}
        long = next(n for n in range(2, len(place) + 1) if all(other[-n:] != place[-n:] for other in others))
        names[path] = FILE_PREFIX + "/".join(place[-long:-1]) + (f"#{place[-1]}" if place[-1] else "")
    return names


def sources_of(panes: Sequence[Pane], heads: Sequence[tuple[str, int]], seed: int) -> dict[str, PaneModel]:
    """Where the models of panes are from, by what the panes call them.

    heads: (a pane's model, or "" for all checkpoints; how many). SpecError for heads of a model that no pane has.
    """
    models = list(dict.fromkeys(pane.model for pane in panes))
    paths = [model for model in models if checkpoint_path(model) is not None]
    hub = {model: name for model in models if (name := hub_source(model)) is not None}
    said = dict(heads)
    for model in said.keys() - {*paths, *hub, ""}:
        checkpoints = ", ".join((*paths, *hub)) or "there is none"
        raise ve.SpecError(f"--heads {model}=N must name a checkpoint of one of the panes: {checkpoints}.")
    sources = {model: PaneModel(model, seed=seed) for model in models}
    for path, file in file_names(paths).items():
        sources[path] = PaneModel(file, path, said.get(path, said.get("")), seed)
    described = {model: describe_hub_model(name) for model, name in hub.items()}
    for model, title in _hub_titles(described).items():
        pinned = described[model].pinned
        sources[model] = PaneModel(pinned, pinned, said.get(model, said.get("")), seed, title)
    return sources


def _hub_titles(described: Mapping[str, HubModel]) -> dict[str, str]:
    """What to call models on the hub: by their commits only where there are several of one name."""
    commits = {(model.name.repo, model.commit) for model in described.values()}
    repos = [repo for repo, _ in commits]
    titles = {}
    for asked, model in described.items():
        commit = f"@{model.commit[:7]}" if repos.count(model.name.repo) > 1 else ""
        titles[asked] = f"{model.name.repo}{commit}{f'#{model.name.part}' if model.name.part else ''}"
    return titles


def _check_possible(
    panes: Mapping[int, Pane],
    sources: Mapping[str, PaneModel],
    shape: tuple[int, int],
    *,
    size: Size,
    device: str,
    progress: Progress,
) -> None:
    specs = {model: source.spec(progress) for model, source in sources.items()}
    for pane in panes.values():
        spec = specs[pane.model]
        spec.layer_number(pane.layer)
        if isinstance(pane.head, int) and pane.head >= spec.heads:
            raise ve.SpecError(f"head must be in 0..{spec.heads - 1} for {spec.name!r}; got {pane.head}.")
    carried = {pane.model for pane in panes.values() if ve.find_method(pane.method).needs is Needs.TOKENS}
    for model, spec in specs.items():
        attention, grid = RunPlan.asked(spec, device=device), spec.cropped_grid(*target_size(shape, spec, size))
        check_memory(attention, grid)
        if model in carried:
            tokens = RunPlan.asked(spec, device=device, statistics="none", facet=TOKEN)
            check_memory(tokens, grid, before=attention)


def compared(
    panes: Mapping[int, Pane],
    sources: Mapping[str, PaneModel],
    picture: Image.Image,
    *,
    size: Size,
    point: Point | None,
    reference: str,
    keep: float,
    device: str,
    progress: Progress,
) -> Comparison:
    """What the panes of these numbers show: each model is loaded, run once and let go before the next one comes.

    SpecError, CheckpointError or ResourceError where a pane cannot be, before anything is run, and before anything but
    models on the Hugging Face hub is downloaded.
    """
    shape, frame = (picture.height, picture.width), (0, 0)
    _check_possible(panes, sources, shape, size=size, device=device, progress=progress)
    shown: dict[int, PaneResult] = {}
    for turn, (model, source) in enumerate(sources.items()):
        share = _share(progress, turn, len(sources))
        loaded = source.load(device, share)
        prepared = ve.prepare_image(picture, loaded.spec, size=size)
        frame = target_size(shape, loaded.spec, size)
        run = ve.Run(ve.attend(loaded, prepared, progress=share), loaded, prepared)
        alike = {number: replace(pane, model=source.name) for number, pane in panes.items() if pane.model == model}
        together: dict[str, Any] = {
            "frame": frame,
            "point": point,
            "fitted_to": pca_layers(alike.values(), loaded.spec),
        }
        for number, pane in alike.items():
            shown[number] = evaluate_pane(number, pane, run, prepared.pixels, loaded.report, **together)
        del loaded, run
    results = tuple(shown[number] for number in sorted(shown))
    return Comparison(results, frame, reference=reference, point=point, keep=keep)


def _share(progress: Progress, turn: int, count: int) -> Progress:
    """The progress of one model of several."""
    return lambda fraction, message: progress((turn + fraction) / count, message)
