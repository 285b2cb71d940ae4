"""The proof that a model computes what the module does that it was made from: both run on one small picture.

A module's class may compute anything with the tensors of a plain Vision Transformer: rotate queries, mask windows,
skip layers. So each layer of the model is given the tokens that the module's own layer was given, and what attention
adds and what the layer leaves are compared: roundings do not add up, and the first layer that differs is named.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from vit_engine.errors import CheckpointError
from vit_engine.model import Block, VisionTransformer
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.live.places import Places
from vit_engine.weights.live.runs import LayerRuns, NotRunError, run_layers
from vit_engine.weights.reading.listing import listed

TOLERANCE = 1e-4  # of the largest value; both run in float32 on the CPU
# Whose classes are known to compute what their tensors show. DINOv2's may need a GPU, with xformers: then none is run.
LIBRARIES = {"torch", "timm", "transformers", "torchvision", "open_clip", "dinov2", "dinov3", "vit_engine"}
_SMALL = (2, 3)  # patches
_INERT = ("Dropout", "Identity", "DropPath", "GELU", "SiLU", "Activation")  # in names of classes


class Parity(NamedTuple):
    """How well both agree, a sentence, empty where they could not be compared; and sentences on what that leaves."""

    verified: str
    assumed: tuple[str, ...] = ()


class _Difference(NamedTuple):
    """The largest share of the largest value, or the first above TOLERANCE; and of what it is, in words."""

    share: float
    words: str


def check_parity(module: nn.Module, conversion: Conversion, model: VisionTransformer) -> Parity:
    """Compare the attention and the tokens of all layers, and the classes, on a picture of noise.

    It has 2×3 patches where the module takes that, else the native size. The module, its mode, its hooks and the random
    numbers stay as they are, because its twin is run. CheckpointError where both differ, saying where, and what is in
    the module that has no counterpart here.
    """
    places, failure, earlier = Places(module, conversion), "", None
    for grid in (_SMALL, model.native_grid):
        images, size = _noise(grid, model.patch_size)
        try:
            runs = run_layers(places, images, depth=len(model.blocks))
        except NotRunError as error:
            failure = f"at {size}, {error}"
            continue
        difference = _difference(model, images, runs)
        if difference.share <= TOLERANCE:
            return Parity(_agreement(difference, size, runs, model), _other_sizes(earlier, size))
        earlier = earlier or difference._replace(words=f"at {size} {difference.words}")
    if earlier is not None:
        raise CheckpointError(_refusal(earlier, places))
    if strangers := _unknown_classes(places.part()):
        raise CheckpointError(
            f"its forward failed ({failure}), and what it computes is not known without it: {listed(strangers, 3)} "
            "may be anything. Pass a module that takes a picture (1, 3, height, width) on the CPU, or save its "
            "state_dict(), and load that file."
        )
    return Parity("", (f"It was not compared with the module, whose own forward failed ({failure}).",))


def _unknown_classes(module: nn.Module) -> list[str]:
    """Of the module and its parts, those of no library whose Vision Transformers are known."""
    classes = {type(part) for part in module.modules()}
    return sorted(each.__qualname__ for each in classes if each.__module__.split(".")[0] not in LIBRARIES)


def _noise(grid: tuple[int, int], patch_size: int) -> tuple[Tensor, str]:
    """A picture of so many patches, and its size in words."""
    height, width = (side * patch_size for side in grid)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, height, width, generator=generator, dtype=torch.float32, device="cpu")
    return images, f"{height}×{width} px"


def _difference(model: VisionTransformer, images: Tensor, runs: LayerRuns) -> _Difference:
    largest = _Difference(0.0, "")
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        for what, ours, theirs in _pairs(model, images, runs):
            share, words = _compared(what, ours, theirs)
            if share > largest.share:
                largest = _Difference(share, words)
            if share > TOLERANCE:
                break
    return largest


def _compared(what: str, ours: Tensor, theirs: Tensor | None) -> tuple[float, str]:
    if theirs is None:
        return math.inf, f"{what} are missing: its forward leaves layers out"
    if ours.shape != theirs.shape:
        return math.inf, f"{what} are {tuple(theirs.shape)}, and {tuple(ours.shape)} were expected"
    share = ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30)).nan_to_num(math.inf).item()
    return share, f"{what} differ by up to {share:.2g} of the largest value"


def _pairs(model: VisionTransformer, images: Tensor, runs: LayerRuns) -> Iterator[tuple[str, Tensor, Tensor | None]]:
    """What is compared, in words, as it is here, and as the module has it; None where it has no such thing."""
    embedded, rotation = model.embed(images)[0], model.rotation(images)
    tokens = runs.given.get(0)
    if runs.shuffled and tokens is not None and tokens.shape == embedded.shape:
        embedded = embedded[torch.cdist(tokens, embedded).argmin(dim=1)]
    yield "the tokens before the first layer", embedded, tokens
    for layer, block in enumerate(cast(Sequence[Block], model.blocks)):
        if layer:
            yield f"the tokens that layer {layer} is given", runs.left[layer - 1], runs.given.get(layer)
        tokens = runs.given[layer]
        added = block.attn(block.norm1(tokens[None]), rotation)
        theirs = runs.attended.get(layer)
        if theirs is not None and theirs.shape == added[0].shape:
            yield f"the outputs of attention in layer {layer}", added[0], theirs
        yield f"the tokens after layer {layer}", block.add(tokens[None], added)[0], runs.left.get(layer)
    if (logits := _logits(model, runs)) is not None:
        yield "the classes' values", model.classify(runs.left[len(model.blocks) - 1][None]), logits


def _logits(model: VisionTransformer, runs: LayerRuns) -> Tensor | None:
    """(1, classes), where the module returned so many values."""
    classes = model.head.out_features if isinstance(model.head, nn.Linear) else None
    return runs.logits if runs.logits is not None and runs.logits.shape == (1, classes) else None


def _agreement(difference: _Difference, size: str, runs: LayerRuns, model: VisionTransformer) -> str:
    """The sentence of the report."""
    attention = "attention and " if len(runs.attended) == len(model.blocks) else ""
    classes = "" if _logits(model, runs) is None else ", and the values of its classes,"
    share = f"to {difference.share:.0e} of the largest value" if difference.share else "exactly"
    return f"{attention}tokens of all layers{classes} agree with the module's own {share}, at {size}"


def _other_sizes(earlier: _Difference | None, native: str) -> tuple[str, ...]:
    """For the report, of modules that agree at their native size alone."""
    if earlier is None:
        return ()
    return (
        f"Positions are resampled as its format has it, and the module does it in another way: {earlier.words}. At "
        f"{native}, its native size, both agree.",
    )


def _refusal(difference: _Difference, places: Places) -> str:
    extra = (
        f" It also has parts that are unknown here: {listed(parts, 4)}." if (parts := _unknown_parts(places)) else ""
    )
    return (
        f"its class computes something else than the Vision Transformer that its tensors show: {difference.words}."
        f"{extra} Pass a module that is a plain Vision Transformer."
    )


def _unknown_parts(places: Places) -> list[str]:
    """Modules, of the whole and of the first layer, without any of the tensors that were taken, and not known here."""
    keys, whole, other_layers = places.keys, places.path(), tuple(f"{layer}." for layer in places.other_layers)
    return [
        f"{path} ({type(part).__name__})"
        for path, part in places.module.named_modules()
        if path.startswith(f"{whole}." if whole else "")
        and not f"{path}.".startswith(other_layers)
        and not any(key.startswith(f"{path}." if path else "") for key in keys)
        and not any(word in type(part).__name__ for word in _INERT)
    ]
