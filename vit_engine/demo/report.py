"""The evaluation of one demo model as data and as the Markdown of its model card."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from vit_engine.demo.evaluation import Candidates, LayerScores, Scores, rounding_effect, score_models
from vit_engine.demo.foreign import FOREIGN_SIZE, NOISES, draw_foreign
from vit_engine.demo.scenes import Size, draw_scene

ROUNDING_SCENES = 32
RANDOM = " (random)"  # behind the columns of the same architecture with random weights

Row = dict[str, str]  # of a table: column -> text


@dataclass(frozen=True)
class Evaluation:
    """One model. by_size: (height, width) -> {"trained": …, "random": …}; by_noise the same on foreign scenes."""

    name: str
    scenes: int
    by_size: dict[Size, dict[str, Scores]]
    by_noise: dict[str, dict[str, Scores]]
    rounding: float | None


def evaluate(patch_size: int, candidates: Candidates, *, scenes: int, sizes: Sequence[int]) -> Evaluation:
    """A demo model on square scenes of each size in pixels, and on foreign scenes."""
    models = {"trained": candidates.shipped, "random": candidates.random}
    squares = [(side, side) for side in sizes]
    return Evaluation(
        name=f"demo_vit_p{patch_size}",
        scenes=scenes,
        by_size={size: score_models(models, partial(draw_scene, size=size), scenes) for size in squares},
        by_noise={noise: score_models(models, partial(draw_foreign, noise=noise), scenes) for noise in NOISES},
        rounding=rounding_effect(candidates, partial(draw_scene, size=squares[0]), min(scenes, ROUNDING_SCENES)),
    )


def markdown(evaluation: Evaluation) -> str:
    """The model card's tables. Pairs are head mean / best head."""
    foreign = "×".join(map(str, FOREIGN_SIZE))
    parts = [
        f"## {evaluation.name}",
        f"{evaluation.scenes:,} unseen scenes a row (seeds 0 to {evaluation.scenes - 1}). Of CLS attention; a pair is "
        "head mean / best head; (random) is the same architecture with random weights.",
        "### The better of the last two layers",
        _table(_better_layer({"size": _pixels(size)}, of, exact=True) for size, of in evaluation.by_size.items()),
        "### Every layer",
        _table(row for size, of in evaluation.by_size.items() for row in _every_layer(size, of)),
        f"### Scenes drawn by someone else ({foreign} px)",
        _table(_better_layer({"noise": noise}, of, exact=False) for noise, of in evaluation.by_noise.items()),
    ]
    if evaluation.rounding is not None:
        parts.append(
            f"Rounding the weights to float16 moves no CLS attention weight by more than {evaluation.rounding:.1e}."
        )
    return "\n\n".join(parts)


def _better_layer(place: Row, scores: Mapping[str, Scores], *, exact: bool) -> Row:
    row = place | {"layer": str(scores["trained"].better_of_last_two.layer)}
    for name, suffix in (("trained", ""), ("random", RANDOM)):
        row |= _pairs(scores[name].better_of_last_two, suffix)
        if exact:
            row[f"exact set{suffix}"] = f"{scores[name].exact_set:.0%}"
    return row


def _every_layer(size: Size, scores: Mapping[str, Scores]) -> Iterator[Row]:
    better = scores["trained"].better_of_last_two.layer
    for layer, blind in zip(scores["trained"].layers, scores["random"].layers, strict=True):
        number = f"**{layer.layer}**" if layer.layer == better else str(layer.layer)
        place = {"size": _pixels(size), "layer": number}
        trained = _pairs(layer, "") | {"best head": str(layer.best_head), "variation": f"{layer.variation:.2f}"}
        yield place | trained | _pairs(blind, RANDOM) | {f"variation{RANDOM}": f"{blind.variation:.2f}"}


def _pairs(layer: LayerScores, suffix: str) -> Row:
    hits = f"{layer.hit:.2f} / {layer.best_head_hit:.2f}"
    return {f"hit{suffix}": hits, f"gain{suffix}": f"{layer.gain:.1f} / {layer.best_head_gain:.1f}"}


def _pixels(size: Size) -> str:
    return f"{size[0]}×{size[1]}"


def _table(rows: Iterable[Row]) -> str:
    """Markdown; the columns are named by the keys of each row."""
    first, *others = rows
    lines = [first, ["---"] * len(first), *(row.values() for row in (first, *others))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(evaluation: Evaluation) -> dict[str, object]:
    """The evaluation in JSON's types; layers are lists of their fields by name."""

    def plain(scores: dict[str, Scores]) -> dict[str, object]:
        return {
            name: {"exact_set": each.exact_set, "layers": [vars(layer) for layer in each.layers]}
            for name, each in scores.items()
        }

    return {
        "model": evaluation.name,
        "scenes": evaluation.scenes,
        "sizes": {_pixels(size): plain(scores) for size, scores in evaluation.by_size.items()},
        "foreign": {noise: plain(scores) for noise, scores in evaluation.by_noise.items()},
        "float16_effect": evaluation.rounding,
    }
