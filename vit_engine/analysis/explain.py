"""explain(): a picture in a model to a map by any method, in one call."""

from dataclasses import replace
from typing import Any

from vit_engine.analysis.methods import Method, Needs, Value, find_method
from vit_engine.analysis.methods.options import check_names
from vit_engine.analysis.run import Run
from vit_engine.grid import Query
from vit_engine.image import Picture, PreparedImage
from vit_engine.progress import Progress, part_of
from vit_engine.trace import attend
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.differentiate import differentiate
from vit_engine.trace.inputs import Size, ready
from vit_engine.trace.targets import Target, check_target
from vit_engine.weights import LoadedModel
from vit_engine.weights.sources import Source

# How much of the time the passes take that leave what a method reads, about; its map takes the rest.
_OF_PASSES = {need: 0.1 if need is Needs.MODEL else 0.7 for need in Needs}


def explain(
    loaded: LoadedModel | Source,
    prepared: PreparedImage | Picture,
    *,
    method: str,
    layer: int = -1,
    head: int | str = "mean",
    query: Query = "cls",
    target: Target | int | str | None = None,
    size: Size | None = None,
    progress: Progress | None = None,
    **options: Value,
) -> AttentionMap:
    """A map of one picture in one model by any method: exact, in memory linear in the tokens.

    loaded, prepared, size, progress: as in attend(), and progress goes on while the map is made. method: its name, in
    METHODS, or 'pca' or 'similarity' of tokens. layer, head, query, target: as in Method.attribute(); what the method
    does not depend on changes nothing. options: the method's own, each by its name, as start=2, with the papers'
    defaults; find_method(method).options lists them, and Method.attribute() takes the same as options={"start": 2}. For
    several maps of one picture, make a Run once and ask find_method(name).attribute(run).

    Raises SpecError, before the model is run, for a method, option, layer, head, query or target that does not exist,
    for a value that an option does not take, and for a target that is missing where the model has no classifier; and
    what attend() raises.
    """
    chosen = find_method(method)
    check_names(chosen.options, options, chosen.name)  # before weights are loaded or even downloaded
    loaded, prepared = ready(loaded, prepared, size=size, progress=progress)
    choices: dict[str, Any] = {"layer": layer, "head": head, "query": query, "options": options}
    chosen.check(loaded.spec, prepared.grid, **choices)
    if "target" in chosen.depends_on:
        found = check_target(target, loaded.spec, prepared.grid)
        if found is not None:
            found.check_model(loaded.model)
    run = _run(chosen, loaded, prepared, target, progress and part_of(progress, 0.0, _OF_PASSES[chosen.needs]))
    run = replace(run, progress=progress and part_of(progress, _OF_PASSES[chosen.needs], 1.0))
    shown = chosen.attribute(run, target=target if run.gradients is None else None, **choices).map
    if progress is not None:
        progress(1.0, "map")
    return shown


def _run(
    method: Method,
    loaded: LoadedModel,
    prepared: PreparedImage,
    target: Target | int | str | None,
    progress: Progress | None,
) -> Run:
    """What the method needs, from as few passes as it takes."""
    if not method.needs.target:
        return Run(attend(loaded, prepared, statistics="none", progress=progress), loaded, prepared)
    backward = method.needs is Needs.GRADIENTS
    passes: dict[str, Any] = {"backward": backward, "readouts": not backward, "progress": progress}
    trace, gradients = differentiate(loaded, prepared, target=target, **passes)
    return Run(trace, loaded, prepared, gradients=gradients)
