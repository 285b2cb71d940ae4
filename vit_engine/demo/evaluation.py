"""How well the demo models' attention finds objects, on scenes that were never trained on.

Scored is the CLS query's attention to patches, renormalised over them, layer by layer:
hit        the patch with the largest share is more than a quarter object;
gain       Σ share · coverage over the scene's object area: 1 is what blind attention gets;
variation  total variation ½ Σ |p − q| between two heads, mean over pairs: 0 where heads are alike.
The head mean is the mean of the weights, then renormalised. The best head is chosen on the same
scenes, by hits, and both its numbers are given: of four heads this flatters it a little.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.demo.data import TRAINING_SEED, normalise, patch_shares
from vit_engine.demo.scenes import Scene
from vit_engine.errors import CheckpointError, SpecError
from vit_engine.model import Block, VisionTransformer
from vit_engine.model.streaming import explicit_weights
from vit_engine.registry import find_model
from vit_engine.registry.shapes import CLASSES
from vit_engine.weights import load_model
from vit_engine.weights.reading.read import read_checkpoint

HIT_COVERAGE = 0.25
PRESENT_PROBABILITY = 0.3
BATCH_TOKENS = 8192  # tokens in a batch of pictures, so that memory does not grow with their size

Draw = Callable[[int], Scene]


@dataclass(frozen=True)
class LayerScores:
    """One layer's CLS attention over many scenes: means, and the head with the most hits."""

    layer: int
    hit: float
    gain: float
    best_head: int
    best_head_hit: float
    best_head_gain: float
    variation: float


@dataclass(frozen=True)
class Scores:
    """A model on many scenes. exact_set: share of the scenes whose classes were all named, and no others."""

    scenes: int
    layers: tuple[LayerScores, ...]
    exact_set: float

    @property
    def better_of_last_two(self) -> LayerScores:
        """Of the last two layers the one whose head mean hits more often, then gains more."""
        return max(self.layers[-2:], key=lambda layer: (layer.hit, layer.gain))


@torch.inference_mode()
def cls_attention(
    model: VisionTransformer, images: Float[Tensor, "B 3 height width"]
) -> tuple[Float[Tensor, "B classes"], Float[Tensor, "layers B H N"]]:
    """Class logits, and in every layer the weights that the CLS query gives to all tokens: only this row."""
    x = model.embed(images)
    rows = []
    for block in cast(Sequence[Block], model.blocks):
        queries, keys, _ = block.attn.queries_keys_values(block.norm1(x))
        rows.append(explicit_weights(queries[:, :, :1], keys, scale=block.attn.scale).squeeze(2))
        x = block(x)
    return model.classify(x), torch.stack(rows)


def score_models(models: Mapping[str, VisionTransformer], draw: Draw, scenes: int) -> dict[str, Scores]:
    """Every model on the scenes draw(0), draw(1), …, drawn once for all; the models have one patch size.

    Raises SpecError for more scenes than there are seeds below the training's.
    """
    if not 1 <= scenes <= TRAINING_SEED:
        raise SpecError(f"scenes must be in 1..{TRAINING_SEED:,}, seeds beyond are trained on; got {scenes:,}.")
    tallies = {name: _Tally() for name in models}
    patch_size = next(iter(models.values())).patch_size
    for batch in _batches(draw, scenes, patch_size):
        images = normalise(np.stack([scene.pixels for scene in batch]))
        coverage = 1 - patch_shares(np.stack([scene.mask for scene in batch]), patch_size)[..., 0]
        for name, model in models.items():
            logits, rows = cls_attention(model, images)
            tallies[name].add(rows[..., model.prefix :], coverage, exact_sets(logits, batch))
    return {name: tally.scores() for name, tally in tallies.items()}


def _batches(draw: Draw, scenes: int, patch_size: int) -> Iterator[list[Scene]]:
    count = max(1, BATCH_TOKENS * patch_size**2 // draw(0).mask.size)
    for start in range(0, scenes, count):
        yield [draw(seed) for seed in range(start, min(start + count, scenes))]


class _Tally:
    """Per-scene scores of one model, each (layers, B, …), gathered batch by batch."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Tensor]] = []

    def add(self, weights: Float[Tensor, "layers B H M"], coverage: Float[Tensor, "B M"], exact: Tensor) -> None:
        heads = shares(weights)
        mean = shares(weights.mean(dim=2))
        self.parts.append(
            {
                "hit": hits(mean, coverage),
                "gain": gains(mean, coverage),
                "head_hit": hits(heads, coverage[:, None]),
                "head_gain": gains(heads, coverage[:, None]),
                "variation": variation(heads),
                "exact": exact[None],
            }
        )

    def scores(self) -> Scores:
        """Means over scenes."""
        gathered = {name: torch.cat([part[name] for part in self.parts], dim=1) for name in self.parts[0]}
        means = {name: values.double().mean(dim=1) for name, values in gathered.items()}
        layers = tuple(_layer_scores(layer, means) for layer in range(len(means["hit"])))
        return Scores(gathered["exact"].shape[1], layers, means["exact"].item())


def _layer_scores(layer: int, means: Mapping[str, Tensor]) -> LayerScores:
    head_hits, head_gains = means["head_hit"][layer].tolist(), means["head_gain"][layer].tolist()
    best = max(range(len(head_hits)), key=lambda head: (head_hits[head], head_gains[head]))
    return LayerScores(
        layer=layer,
        hit=means["hit"][layer].item(),
        gain=means["gain"][layer].item(),
        best_head=best,
        best_head_hit=head_hits[best],
        best_head_gain=head_gains[best],
        variation=means["variation"][layer].item(),
    )


def shares(weights: Float[Tensor, "*lead M"]) -> Float[Tensor, "*lead M"]:
    """Weights on patches renormalised to sum to 1."""
    return weights / weights.sum(dim=-1, keepdim=True)


def hits(attended: Float[Tensor, "*lead M"], coverage: Float[Tensor, "*tail M"]) -> Tensor:
    """1 where the patch with the largest share is more than a quarter object, else 0."""
    peak = attended.argmax(dim=-1, keepdim=True)
    return (coverage.expand_as(attended).gather(-1, peak).squeeze(-1) > HIT_COVERAGE).float()


def gains(attended: Float[Tensor, "*lead M"], coverage: Float[Tensor, "*tail M"]) -> Tensor:
    """How much more attention objects get than their area: Σ share · coverage / mean coverage."""
    return (attended * coverage).sum(dim=-1) / coverage.mean(dim=-1)


def variation(heads: Float[Tensor, "*lead H M"]) -> Tensor:
    """Total variation between heads' distributions, 0..1, mean over all pairs; 0 for a single head."""
    pairs = list(combinations(range(heads.shape[-2]), 2))
    if not pairs:
        return torch.zeros(heads.shape[:-2])
    first, second = (heads[..., list(side), :] for side in zip(*pairs, strict=True))
    return (first - second).abs().sum(dim=-1).mean(dim=-1) / 2


def exact_sets(logits: Float[Tensor, "B classes"], scenes: list[Scene]) -> Tensor:
    """1 where the classes of probability at least 0.3 (or else the likeliest) are just those in the scene."""
    probabilities = logits.softmax(dim=-1)
    present = probabilities >= PRESENT_PROBABILITY
    present |= probabilities == probabilities.amax(dim=-1, keepdim=True)
    truth = torch.zeros(len(scenes), len(CLASSES), dtype=torch.bool)
    for row, scene in enumerate(scenes):
        truth[row, list(scene.labels)] = True
    return (present == truth).all(dim=-1).float()


@dataclass(frozen=True)
class Candidates:
    """A demo model as it ships, the same with random weights, and where there is one its float32 original."""

    shipped: VisionTransformer
    random: VisionTransformer
    original: VisionTransformer | None = None

    @property
    def compared(self) -> dict[str, VisionTransformer]:
        return {"trained": self.shipped, "random": self.random}


def load_candidates(patch_size: int, weights: Path | None = None) -> Candidates:
    """The demo model of this patch size; weights: a file in place of the packaged one.

    Of a training checkpoint the averaged weights are taken, rounded to float16 as they would ship, and
    kept in float32 too. Raises CheckpointError for a file that does not fit.
    """
    name = f"demo_vit_p{patch_size}"
    random = load_model(name, weights="random", device="cpu").model
    content = read_checkpoint(weights).content if weights else None
    if not isinstance(content, Mapping) or "average" not in content:
        shipped = load_model(name, weights=weights or "auto", device="cpu").model
        return Candidates(shipped, random)
    average = content["average"]
    rounded = {key: tensor.half().float() for key, tensor in average.items()}
    return Candidates(_with_weights(name, rounded), random, _with_weights(name, average))


def _with_weights(name: str, state: Mapping[str, Tensor]) -> VisionTransformer:
    model = VisionTransformer(find_model(name))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's averaged weights do not fit {name!r}; is it of another patch size?"
        ) from error
    return model.eval().requires_grad_(False)


def rounding_effect(candidates: Candidates, draw: Draw, scenes: int) -> float | None:
    """Largest difference of a CLS attention weight between float32 and float16 weights; None without float32."""
    if candidates.original is None:
        return None
    images = normalise(np.stack([draw(seed).pixels for seed in range(scenes)]))
    _, before = cls_attention(candidates.original, images)
    _, after = cls_attention(candidates.shipped, images)
    return (before - after).abs().max().item()
