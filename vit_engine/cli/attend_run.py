"""One picture in one model by one method: what is run, and what came of it."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

import vit_engine as ve
from vit_engine.analysis.methods import RAW, Attribution, Needs
from vit_engine.analysis.worth.masks import mask_coverage
from vit_engine.analysis.worth.pointing import rank_attributions
from vit_engine.cli import console
from vit_engine.cli.attend_cost import ATTENTION, FAITHFULNESS, MAPS, RANDOMISED, TARGET, costs_of, progress_of
from vit_engine.cli.attend_question import Question, is_targeted
from vit_engine.cli.model import load_model
from vit_engine.progress import Progress, part_of
from vit_engine.trace.differentiate import differentiate


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
    randomised: ve.Faithfulness | None  # of the same method's map on randomised weights, without random orders

    @property
    def layers(self) -> tuple[int, ...]:
        """Those that there are maps of; of a method that does not depend on the layer those that were asked for."""
        return tuple(self.attributions) if "layer" in self.question.method.depends_on else self.question.layers

    @property
    def deepest(self) -> Attribution:
        """Whose map is drawn, and held to the mask and to the model."""
        return self.attributions[max(self.attributions)]

    @cached_property
    def pointing(self) -> ve.Pointing | None:
        """Of the deepest map; None without a mask, and for a map without mass."""
        shown, mask = self.deepest.map, self.question.mask
        return None if mask is None or not (shown.values > 0).any() else ve.pointing(shown, mask)


def answer(arguments: argparse.Namespace, progress: Progress) -> Answer:
    """Check all that can be checked, run the model, and make the maps and what says how good they are."""
    method = ve.find_method(arguments.method)
    is_targeted(arguments, method)  # before the model is loaded
    picture = ve.open_image(arguments.image)
    question = Question.read(arguments, method, picture, load_model(arguments, progress))
    costs = costs_of(question)
    console.note_long(costs)
    steps = progress_of(costs, progress)
    run, target, score = _run(question, steps)
    maps = _attributions(question, run, target)
    measured = (
        _faithfulness(question, run, maps[max(maps)].map, target, steps) if question.faithfulness else (None, None)
    )
    return Answer(question, run, maps, target, score, _ranking(question, run, maps), *measured)


def _run(question: Question, steps: Mapping[str, Progress]) -> tuple[ve.Run, ve.Target | None, float | None]:
    """The trace; and where there is a target what the method needs of its gradients, and its value."""
    loaded, prepared, needs = question.loaded, question.prepared, question.method.needs
    trace = ve.attend(loaded, prepared, layers=question.traced, progress=steps[ATTENTION])
    if not question.targeted:
        return ve.Run(trace, loaded, prepared, progress=steps[MAPS]), None, None
    parts: dict[str, Any] = {"backward": needs is Needs.GRADIENTS, "readouts": needs is Needs.READOUTS}
    further: dict[str, Any] = {"target": question.target, "trace": trace, "progress": steps[TARGET]}
    _, gradients = differentiate(loaded, prepared, **further, **parts)
    kept = gradients if needs.target else None
    run = ve.Run(trace, loaded, prepared, gradients=kept, progress=steps[MAPS])
    return run, gradients.target, gradients.score


def _faithfulness(
    question: Question, run: ve.Run, shown: ve.AttentionMap, target: ve.Target | None, steps: Mapping[str, Progress]
) -> tuple[ve.Faithfulness, ve.Faithfulness | None]:
    """Of the map, beside random orders; and of the same method's map on randomised weights, where these are trained."""
    measured = ve.faithfulness(run, shown, target, progress=steps[FAITHFULNESS])
    if RANDOMISED not in steps:
        return measured, None
    method = question.method
    choices: dict[str, Any] = {"layer": question.layers[-1], "query": question.query, "options": question.options}
    own = target if "target" in method.depends_on else None
    choices["progress"] = part_of(steps[RANDOMISED], 0.0, 0.5)
    other = ve.randomised_map(run, method.name, target=own, **choices)
    return measured, ve.faithfulness(run, other, target, orders=0, progress=part_of(steps[RANDOMISED], 0.5, 1.0))


def _attributions(question: Question, run: ve.Run, target: ve.Target | None) -> dict[int, Attribution]:
    """Of the layers that were asked for; where all were, but for those below the first that the method counts."""
    method, deepest = question.method, question.layers[-1]
    choices: dict[str, Any] = {"query": question.query, "target": target, "options": question.options}
    if "layer" not in method.depends_on:
        return {deepest: method.attribute(run, **choices)}
    maps = method.by_layer(run, **choices)
    return {layer: maps[layer] for layer in question.layers if layer in maps}


def _ranking(question: Question, run: ve.Run, maps: Mapping[int, Attribution]) -> pd.DataFrame | None:
    """Of all heads of the layers that were asked for by raw attention, and of the method's maps, which are there."""
    if question.mask is None:
        return None
    method, raw = question.method, ve.find_method(RAW)
    choices: dict[str, Any] = {"query": question.query}
    heads = [(raw, layer, raw.attribute(run, layer=layer, **choices)) for layer in question.layers if method is not raw]
    own = [(method, layer, maps[layer]) for layer in (maps if method.per_head else [max(maps)])]
    return rank_attributions([*heads, *own], mask_coverage(question.mask, run.trace.grid).ravel())
