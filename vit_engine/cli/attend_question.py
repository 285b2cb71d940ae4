"""What `attend` is asked: read from the command line, and checked before anything is run."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

import vit_engine as ve
from vit_engine.analysis.methods import Method, Needs, Value
from vit_engine.analysis.methods.options import first_layer
from vit_engine.cli.method_arguments import Box, read_mask, read_method_options, read_target
from vit_engine.grid import Query
from vit_engine.trace.differentiate import check_gradient_memory


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
            _check_layers(arguments.layers, layers, method, options)
        mask = None if arguments.mask is None else read_mask(arguments.mask, picture, spec, grid, size=size)
        # The last, because the model is run on another picture.
        target = read_target(arguments.target, loaded, grid, size=size) if targeted else None
        run = (arguments.query, layers, targeted, target, mask, arguments.faithfulness)
        return cls(loaded, prepared, method, options, *run)

    @property
    def first_layer(self) -> int:
        """Below it a method that depends on the layer has no map."""
        return first_layer(self.method.options, self.options) if "layer" in self.method.depends_on else 0

    @property
    def traced(self) -> tuple[int, ...]:
        """The layers that are read: those that were asked for, or all where a map is made of several."""
        several = self.method.needs.target or (self.method.needs is Needs.TRACE and not self.method.per_head)
        return tuple(range(self.loaded.spec.depth)) if several else self.layers


def _check_layers(
    asked: str | tuple[int, ...], layers: tuple[int, ...], method: Method, options: Mapping[str, Value]
) -> None:
    """SpecError for a layer that was asked for by its number and has no map. layers: the same, counted from 0."""
    first = first_layer(method.options, options)
    below = [str(layer) for layer in layers if layer < first]
    if asked != "all" and below:
        raise ve.SpecError(
            f"there is no map of layer {', '.join(below)}: {method.phrase} starts at layer {first}. Ask for --layers "
            f"from {first} on, or pass --option start={below[0]}."
        )


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
