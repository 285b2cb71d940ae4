"""One run of a module's twin on a picture, and what each of its layers was given and made of it."""

import copy
import inspect
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vit_engine.devices import out_of_memory
from vit_engine.weights.live.places import Places
from vit_engine.weights.live.twin import Twins
from vit_engine.weights.reading.listing import shorten


class NotRunError(Exception):
    """The module's own forward failed: it takes no picture of this size, or not on a CPU, or no picture alone."""


@dataclass
class LayerRuns:
    """By layer: each (N, D). A layer that was not run is missing, and attention where it was not called as a module."""

    given: dict[int, Tensor] = field(default_factory=dict)
    attended: dict[int, Tensor] = field(default_factory=dict)
    left: dict[int, Tensor] = field(default_factory=dict)
    logits: Tensor | None = None  # (1, classes), where it returned them
    shuffled: bool = False  # whether the patches come in a random order, as in a masked autoencoder


def run_layers(places: Places, images: Tensor, *, depth: int) -> LayerRuns:
    """The module's Vision Transformer on one picture (1, 3, height, width). NotRunError where its forward fails."""
    twins, runs = Twins(), LayerRuns()
    whole = twins.of(places.part())
    _show_all_patches(whole)
    with ExitStack() as stack:
        for handle in _watch(places, twins, depth, runs):
            stack.callback(handle.remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast("cpu", enabled=False))
        stack.enter_context(torch.random.fork_rng(devices=[]))
        try:
            output = whole(images, **_options(whole, runs))
        except Exception as error:  # whatever code of others raises
            if out_of_memory(error):
                raise
            raise NotRunError(f"{type(error).__name__}: {shorten(str(error), 200)}") from error
    runs.logits = _logits(output)
    return runs


def _watch(places: Places, twins: Twins, depth: int, runs: LayerRuns) -> list[Any]:
    """Handles of the hooks, on twins alone, that keep what each layer is given, adds by attention, and leaves."""
    blocks: dict[nn.Module, list[int]] = defaultdict(list)  # a module may be that of several layers
    attentions: dict[nn.Module, list[int]] = defaultdict(list)
    for layer in range(depth):
        block, attention = places.part(f"blocks.{layer}."), places.part(f"blocks.{layer}.attn.")
        blocks[twins.of(block)].append(layer)
        if attention is not block:
            attentions[twins.of(attention)].append(layer)
    handles: list[Any] = []
    for block, layers in blocks.items():
        handles.append(block.register_forward_pre_hook(_input_keeper(runs.given, layers), with_kwargs=True))
        handles.append(block.register_forward_hook(_keeper(runs.left, layers)))
    for attention, layers in attentions.items():
        handles.append(attention.register_forward_hook(_keeper(runs.attended, layers)))
    return handles


def _keeper(values: dict[int, Tensor], layers: Sequence[int]) -> Callable[..., None]:
    """Keeps the output of one layer after another."""
    turns = itertools.cycle(layers)
    return lambda module, arguments, output: _keep(values, next(turns), output)


def _input_keeper(values: dict[int, Tensor], layers: Sequence[int]) -> Callable[..., None]:
    turns = itertools.cycle(layers)
    return lambda module, arguments, options: _keep(values, next(turns), (*arguments, *options.values()))


def _keep(values: dict[int, Tensor], layer: int, output: Any) -> None:
    """The first tensor, however deep in tuples and lists, without its axis of one picture."""
    while isinstance(output, tuple | list) and output:
        output = output[0]
    if isinstance(output, Tensor):
        values[layer] = output.detach().clone().squeeze(1 if output.ndim == 3 and output.shape[1] == 1 else 0)


def _show_all_patches(module: nn.Module) -> None:
    """transformers' masked autoencoders hide patches, of a share that is in their configuration."""
    for part in module.modules():
        config: Any = vars(part).get("config")
        if getattr(config, "mask_ratio", 0):
            shown = copy.copy(config)
            shown.mask_ratio = 0.0
            vars(part)["config"] = shown


def _options(module: nn.Module, runs: LayerRuns) -> dict[str, Any]:
    """What a forward needs to take pictures of any size, and all of their patches."""
    parameters = inspect.signature(module.forward).parameters
    runs.shuffled = bool({"mask_ratio", "noise"} & parameters.keys())
    options = {
        "interpolate_pos_encoding": True,  # transformers
        "mask_ratio": 0.0,  # facebookresearch/mae
    }
    return {name: value for name, value in options.items() if name in parameters}


def _logits(output: Any) -> Tensor | None:
    logits = getattr(output, "logits", output)
    return logits if isinstance(logits, Tensor) and logits.ndim == 2 else None
