"""How well the demo models' attention finds objects, on scenes that were never trained on.

Scored is the CLS query's attention to patches, renormalised over them, layer by layer:
hit        the patch with the largest share is more than a quarter object;
gain       Σ share · coverage over the scene's object area: 1 is what blind attention gets;
variation  total variation ½ Σ |p − q| between two heads, mean over pairs: 0 where heads are alike.
The head mean is that of the weights, then renormalised. The best head is chosen by hits on the same scenes.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vit_engine.demo.data import TRAINING_SEED, normalise, patch_shares
from vit_engine.demo.scenes import Scene
from vit_engine.errors import SpecError
from vit_engine.model import Block, VisionTransformer
from vit_engine.model.streaming import explicit_weights
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
    """Models of one patch size on scenes draw(0), draw(1), …; SpecError for a number that reaches the training's."""
    if not 1 <= scenes <= TRAINING_SEED:
        raise SpecError(f"scenes must be in 1..{TRAINING_SEED:,}, seeds beyond are trained on; got {scenes:,}.")
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in models}
    patch_size = next(iter(models.values())).patch_size
    count = max(1, BATCH_TOKENS * patch_size**2 // draw(0).mask.size)
    for start in range(0, scenes, count):
        batch = [draw(seed) for seed in range(start, min(start + count, scenes))]
        images = normalise(np.stack([scene.pixels for scene in batch]))
        coverage = 1 - patch_shares(np.stack([scene.mask for scene in batch]), patch_size)[..., 0]
        for name, model in models.items():
            logits, rows = cls_attention(model, images)
            exact = {"exact": exact_sets(logits, batch)[None]}
            parts[name].append(_scene_scores(rows[..., model.prefix :], coverage) | exact)
    return {name: _mean_scores(each) for name, each in parts.items()}


def _scene_scores(weights: Float[Tensor, "layers B H M"], coverage: Float[Tensor, "B M"]) -> dict[str, Tensor]:
    """Of the scenes of a batch, each (layers, B), of heads (layers, B, H)."""
    heads, mean = shares(weights), shares(weights.mean(dim=2))
    return {
        "hit": hits(mean, coverage),
        "gain": gains(mean, coverage),
        "head_hit": hits(heads, coverage[:, None]),
        "head_gain": gains(heads, coverage[:, None]),
        "variation": variation(heads),
    }


def _mean_scores(batches: Sequence[Mapping[str, Tensor]]) -> Scores:
    gathered = {name: torch.cat([batch[name] for batch in batches], dim=1).double() for name in batches[0]}
    means = {name: values.mean(dim=1).tolist() for name, values in gathered.items()}
    layers = []
    for layer, (head_hits, head_gains) in enumerate(zip(means["head_hit"], means["head_gain"], strict=True)):
        best = max(range(len(head_hits)), key=lambda head: (head_hits[head], head_gains[head]))
        hit, gain, variation = (means[name][layer] for name in ("hit", "gain", "variation"))
        layers.append(LayerScores(layer, hit, gain, best, head_hits[best], head_gains[best], variation))
    return Scores(gathered["exact"].shape[1], tuple(layers), means["exact"][0])


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
    if heads.shape[-2] == 1:
        return torch.zeros(heads.shape[:-2])
    first, second = (heads[..., side, :] for side in torch.combinations(torch.arange(heads.shape[-2])).unbind(1))
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


def load_candidates(patch_size: int, weights: Path | None = None) -> Candidates:
    """The demo model of this patch size; weights: a file in place of the packaged one.

    A training checkpoint's averaged weights are rounded to float16, as they would ship. CheckpointError for a misfit.
    """
    name = f"demo_vit_p{patch_size}"
    random = load_model(name, weights="random", device="cpu").model
    checkpoint = read_checkpoint(weights) if weights else None
    if checkpoint is None or not isinstance(checkpoint.content, Mapping) or "average" not in checkpoint.content:
        return Candidates(load_model(name, weights=weights or "auto", device="cpu").model, random)
    original = load_model(name, weights=f"{checkpoint.path}#average", device="cpu").model
    return Candidates(deepcopy(original).half().float(), random, original)


def rounding_effect(candidates: Candidates, draw: Draw, scenes: int) -> float | None:
    """Largest difference of a CLS attention weight between float32 and float16 weights; None without float32."""
    if candidates.original is None:
        return None
    images = normalise(np.stack([draw(seed).pixels for seed in range(scenes)]))
    _, before = cls_attention(candidates.original, images)
    _, after = cls_attention(candidates.shipped, images)
    return (before - after).abs().max().item()
