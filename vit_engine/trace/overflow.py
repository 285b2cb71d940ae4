"""Whether activations overflow, and in which layer: finite weights can be so large that attention is no number."""

import torch
from torch import Tensor

from vit_engine.errors import NumericalError
from vit_engine.weights import LoadedModel


class Overflow:
    """Norms of what each layer leaves. They stay on the device, and are looked at once, after the run.

    The sum of squares is what LayerNorm's variance needs, so tokens of 1e20 are too large for float32, although they
    are finite: every variance is infinite, and every map uniform.
    """

    def __init__(self) -> None:
        self._layers: list[int] = []
        self._norms: list[Tensor] = []

    def add(self, layer: int, values: Tensor) -> None:
        """Of a layer, -1 for the embedding; in float32 at least, because half precision ends at 65,504."""
        widened = torch.promote_types(values.dtype, torch.float32)
        self._layers.append(layer)
        self._norms.append(torch.linalg.vector_norm(values, dtype=widened))

    def demand_none(self, output: Tensor | None, loaded: LoadedModel) -> None:
        """NumericalError naming the first layer whose norm is no number, or the classifier. output: its logits."""
        norms = self._norms if output is None else [*self._norms, torch.linalg.vector_norm(output.float())]
        finite = torch.stack(norms).isfinite().tolist()
        if all(finite):
            return
        places = [*map(_place, self._layers), "the classifier"]
        narrow = torch.finfo(loaded.dtype).bits < 32
        remedy = (
            "Run the model in float32: loaded.model.float()."
            if narrow
            else "Its weights are damaged, or of a training run that has diverged: load another checkpoint."
        )
        raise NumericalError(
            f"the activations of {loaded.spec.name!r} overflow in {places[finite.index(False)]}: from there on they "
            f"are too large for {str(loaded.dtype).removeprefix('torch.')}, and attention is no number. {remedy}"
        )


def _place(layer: int) -> str:
    return "the embedding of patches" if layer < 0 else f"layer {layer}"
