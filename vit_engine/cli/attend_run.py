"""One picture in one model by one method: what is checked beforehand, what is run, and what came of it."""

import argparse
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import vit_engine as ve
from vit_engine.analysis.methods import RAW, Attribution, Method, Needs, Value
from vit_engine.analysis.methods.options import check_first_layer
from vit_engine.cli.method_arguments import Box, read_mask, read_method_options, read_target
from vit_engine.cli.model import load_model
from vit_engine.grid import Query
from vit_engine.progress import Progress, part_of
from vit_engine.trace.differentiate import check_gradient_memory, differentiate


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked, of a model and a picture that can answer it."""

    loaded: ve.LoadedModel
    prepared: ve.PreparedImage
    method: Method
    options: dict[str, Value]  # all of the method's
    query: Query
    layers: tuple[int, ...]  # ascending
    targeted: bool  # whether the map, or what it is worth, depends on a target
    target: ve.Target | None  # None: the likeliest class
    mask: np.ndarray | Box | None
    faithfulness: bool

    @classmethod
    def read(
        cls, arguments: argparse.Namespace, method: Method, picture: Image.Image, loaded: ve.LoadedModel
    ) -> "Question":
        """From the command line; VitEngineError for what cannot be answered, before the long run."""
        spec, size, targeted = loaded.spec, arguments.size, is_targeted(arguments, method)
        prepared = ve.prepare_image(picture, spec, size=size)
        grid = prepared.grid
        grid.query_tokens(arguments.query)
        if method.needs.target:
            check_gradient_memory(loaded, grid, traced=False)
        options = read_method_options(method, arguments.option, spec)
        layers = tuple(sorted(spec.layer_numbers(arguments.layers)))
        if "layer" in method.depends_on:
            check_first_layer(method.options, options, layers[-1])
        target = read_target(arguments.target, loaded, grid, size=size) if targeted else None
        mask = None if arguments.mask is None else read_mask(arguments.mask, picture, spec, grid, size=size)
        run = (arguments.query, layers, targeted, target, mask, arguments.faithfulness)
        return cls(loaded, prepared, method, options, *run)

    @property
    def traced(self) -> tuple[int, ...]:
        """The layers that are read: those that were asked for, or all where a map is made of several."""
        several = self.method.needs.target or (self.method.needs is Needs.TRACE and not self.method.per_head)
        return tuple(range(self.loaded.spec.depth)) if several else self.layers


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of it."""

    question: Question
    run: ve.Run
    attributions: dict[int, Attribution]  # by layer; of a method that does not depend on it at the deepest alone
    target: ve.Target | None  # of the map, or of its faithfulness
    score: float | None  # of the target in this picture
    ranking: pd.DataFrame | None  # of heads, and of the map, by what of them lies on the mask
    faithfulness: ve.Faithfulness | None

    @property
    def deepest(self) -> Attribution:
        """Whose map is drawn, and held to the mask and to the model."""
        return self.attributions[max(self.attributions)]

    @cached_property
    def pointing(self) -> ve.Pointing | None:
        """Of the deepest map; None without a mask, and for a map without mass."""
        shown, mask = self.deepest.map, self.question.mask
        return None if mask is None or not (shown.values > 0).any() else ve.pointing(shown, mask)


def is_targeted(arguments: argparse.Namespace, method: Method) -> bool:
    """Whether the map, or what it is worth, depends on a target; SpecError for a target that would change nothing."""
    targeted = "target" in method.depends_on or arguments.faithfulness
    if arguments.target is not None and not targeted:
        names = ", ".join(each.name for each in ve.METHODS if "target" in each.depends_on)
        raise ve.SpecError(
            f"the method {method.name!r} depends on no target: leave --target out, add --faithfulness, or choose a "
            f"method that does: {names}."
        )
    return targeted


def answer(arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Check all that can be checked, run the model, and make the maps and what says how good they are."""
    method = ve.find_method(arguments.method)
    is_targeted(arguments, method)  # before the model is loaded
    picture = ve.open_image(arguments.image)
    question = Question.read(arguments, method, picture, load_model(arguments, progress))
    steps = (0.4, 0.6) if question.faithfulness else (0.6, 1.0)
    run, target, score = _run(question, progress, steps)
    maps = _attributions(question, run, target)
    measured = None
    if question.faithfulness:
        shown = maps[max(maps)].map
        measured = ve.faithfulness(run, shown, target, progress=part_of(progress, steps[1], 1.0))
    return Answer(question, run, maps, target, score, _ranking(question, run, target), measured)


def _run(
    question: Question, progress: Progress, steps: tuple[float, float]
) -> tuple[ve.Run, ve.Target | None, float | None]:
    """The trace; and where there is a target what the method needs of its gradients, and its value.

    steps: the parts of the progress at which the trace and the gradients are done.
    """
    loaded, prepared, needs = question.loaded, question.prepared, question.method.needs
    done, end = steps if question.targeted else (steps[1], steps[1])
    trace = ve.attend(loaded, prepared, layers=question.traced, progress=part_of(progress, 0.0, done))
    if not question.targeted:
        return ve.Run(trace, loaded, prepared), None, None
    further: dict[str, Any] = {"target": question.target, "trace": trace, "progress": part_of(progress, done, end)}
    parts: dict[str, Any] = {"backward": needs is Needs.GRADIENTS, "readouts": needs is Needs.READOUTS}
    _, gradients = differentiate(loaded, prepared, **further, **parts)
    kept = gradients if needs.target else None
    run = ve.Run(trace, loaded, prepared, gradients=kept, progress=further["progress"])
    return run, gradients.target, gradients.score


def _attributions(question: Question, run: ve.Run, target: ve.Target | None) -> dict[int, Attribution]:
    """Of the layers that were asked for, but for those below the first that the method counts."""
    method, deepest = question.method, question.layers[-1]
    choices: dict[str, Any] = {"query": question.query, "target": target, "options": question.options}
    if "layer" not in method.depends_on:
        return {deepest: method.attribute(run, **choices)}
    maps = method.by_layer(run, **choices)
    return {layer: maps[layer] for layer in question.layers if layer in maps}


def _ranking(question: Question, run: ve.Run, target: ve.Target | None) -> pd.DataFrame | None:
    """Of all heads of the layers that were asked for by raw attention, and of the method's maps."""
    if question.mask is None:
        return None
    methods = tuple(dict.fromkeys((RAW, question.method.name)))
    choices: dict[str, Any] = {"target": target, "query": question.query, "layers": question.layers}
    options = {question.method.name: question.options}
    return ve.rank_pointing(run, question.mask, methods=methods, options=options, **choices)
