"""Where the models of panes are from, by what the panes call them."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import vit_engine as ve
from vit_engine.analysis.comparison import FILE_PREFIX, Pane, letter
from vit_engine.cli import console
from vit_engine.progress import Progress
from vit_engine.registry import find_model
from vit_engine.weights.fetching.hub import HubModel, describe_hub_model
from vit_engine.weights.reading.read import split_part
from vit_engine.weights.sources import checkpoint_path, hub_source
from vit_engine.weights.text.read import NO_TEXT_BY_NAME, why_no_text


@dataclass(frozen=True)
class PaneModel:
    """Where a pane's model is from."""

    name: str  # in panes and records
    path: str = ""  # of a checkpoint, with its '#part', or its name on the hub; empty for a model known by name
    heads: int | None = None  # of a checkpoint that does not state it
    seed: int = 0  # of random weights
    title: str = ""  # for people; empty for the name

    def spec(self, progress: Progress) -> tuple[ve.ModelSpec, str]:
        """What the model is, before it is loaded, and why it reads no text, or nothing; one on the hub is fetched."""
        if not self.path:
            return find_model(self.name), NO_TEXT_BY_NAME
        option = f"--heads {self.path}=N"
        spec, report = console.checkpoint_spec(self.path, self.heads, option=option, progress=progress)
        return self._named(spec), why_no_text(report)

    def load(self, device: str, progress: Progress) -> ve.LoadedModel:
        """The model; a checkpoint under its name in panes, without the folders that it lies in."""
        source, heads = self.path or self.name, self.heads
        loaded = ve.load_model(source, heads=heads, device=device, seed=self.seed, progress=progress)
        if not self.path:
            return loaded
        return replace(loaded, spec=self._named(loaded.spec), report=replace(loaded.report, source=self.name))

    def _named(self, spec: ve.ModelSpec) -> ve.ModelSpec:
        return replace(spec, name=self.name, title=self.title or self.name.removeprefix(FILE_PREFIX), weights=None)


@contextlib.contextmanager
def naming(numbers: Iterable[int]) -> Iterator[None]:
    """Errors begin with the panes, counted from 0, that they are of: "pane B: …", "panes A, C: …"."""
    try:
        yield
    except ve.VitEngineError as error:
        letters = [letter(number) for number in numbers]
        panes = f"pane{'s' if len(letters) > 1 else ''} {', '.join(letters)}"
        raise type(error)(f"{panes}: {error}") from error


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
