"""What the gradient of a target leaves of every layer: what all gradient methods are made of, linear in the tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec
from vit_engine.trace.shared import SharedLayers
from vit_engine.trace.targets import Target


@dataclass(frozen=True, eq=False)
class LayerGradients:
    """One layer's values V and G = ∂y/∂O, the target's gradient by the heads' outputs: (heads, tokens, head_dim) each.

    The gradient of the attention weights is ∇A = G Vᵀ: with a LayerTrace any chunk of A ⊙ ∇A follows.
    rows: the tokens whose G is not zero, in order; None for all of them.
    """

    values: Tensor
    gradients: Tensor
    rows: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.gradients.nbytes


@dataclass(frozen=True, eq=False)
class Gradients(SharedLayers):
    """The gradient of one target of one picture in one model. Holds no model and no N×N matrix.

    score: the target's value. layers: by number, of all layers; empty where only readouts were asked for. readouts: by
    layer, float32 (heads, rows, cols): the mean over all queries of ReLU(∂s/∂A), where s is the target read from that
    layer's own tokens (LeGrad); empty where they were not asked for. activations: by layer, float32 (rows, cols),
    signed: the normalised tokens that attention reads, weighted by their gradients' mean over the patches (Grad-CAM
    before its ReLU). pixels: float32 (rows, cols), signed: input × gradient of normalised pixels, summed over each
    patch.
    """

    spec: ModelSpec
    grid: TokenGrid
    image_sha256: str
    target: Target
    score: float
    layers: Mapping[int, LayerGradients]
    readouts: Mapping[int, np.ndarray]
    activations: Mapping[int, np.ndarray]
    pixels: np.ndarray | None
    seconds: float = 0.0
    random: bool = False

    def __post_init__(self) -> None:
        self._share()

    def __repr__(self) -> str:
        size = f"{self.grid.rows}×{self.grid.cols} patches, {self.nbytes / 1e6:.1f} MB, {self.seconds:.2f} s"
        return f"Gradients({self.spec.name!r}, {self.target.label!r}, {size})"

    @property
    def nbytes(self) -> int:
        """Bytes that are kept in memory."""
        maps = [*self.readouts.values(), *self.activations.values()]
        return sum(layer.nbytes for layer in self.layers.values()) + sum(each.nbytes for each in maps)

    def layer(self, layer: int = -1) -> LayerGradients:
        """Of a layer counted from 0, or negative from the last; SpecError where there is none."""
        number = self.spec.layer_number(layer)
        if number not in self.layers:
            raise SpecError("these gradients hold readouts alone: make them with backward=True.")
        return self.layers[number]
