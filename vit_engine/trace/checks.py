"""What every run of a model is held to: a picture that fits, memory that suffices, numbers that are finite."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from vit_engine.devices import out_of_memory
from vit_engine.errors import NumericalError, ResourceError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.spec import ModelSpec
from vit_engine.trace.record import AttentionTrace, LayerTrace
from vit_engine.trace.targets import Target, VectorTarget
from vit_engine.weights import LoadedModel

CLASSIFIER, EMBEDDING = -2, -1  # where there is no layer
_PLACES = {CLASSIFIER: "the classifier", EMBEDDING: "the embedding of patches"}


def check_fit(grid: TokenGrid, spec: ModelSpec) -> None:
    if (grid.patch_size, grid.prefix) != (spec.patch_size, spec.prefix):
        raise SpecError(
            f"the image was prepared for patches of {grid.patch_size} px and {grid.prefix} prefix tokens; "
            f"{spec.name!r} has {spec.patch_size} px and {spec.prefix}: prepare it with this model's spec."
        )


def check_trace(trace: AttentionTrace | None, prepared: PreparedImage, loaded: LoadedModel) -> None:
    """SpecError for a trace of another model, precision or picture: its queries and keys would be wrong."""
    if trace is None:
        return
    kept = {layer.queries.dtype for layer in trace.layers.values()}
    if (trace.spec, kept) != (loaded.spec, {loaded.dtype}):
        raise SpecError(
            f"a trace must be of the model that is differentiated, {loaded.spec.name!r} in {loaded.dtype}; got "
            f"{trace.spec.name!r} in {', '.join(map(str, kept))}."
        )
    if (trace.image_sha256, trace.grid) != (prepared.sha256, prepared.grid):
        raise SpecError(
            f"a trace must be of the picture that is differentiated, sha256 {prepared.sha256[:12]}… on "
            f"{prepared.grid}; got {trace.image_sha256[:12]}… on {trace.grid}."
        )


_OTHER_WEIGHTS = 1e-2  # rounding leaves about 1e-6 of the queries' length


def check_weights(known: LayerTrace, queries: Tensor, layer: int) -> None:
    """SpecError where a trace's queries are not those of this run, whose weights are other ones then."""
    kept = known.queries.to(queries)
    if (kept - queries).norm() > _OTHER_WEIGHTS * queries.norm():
        raise SpecError(
            f"the trace is of other weights than those of the model: its queries differ in layer {layer}. Make it with "
            "attend() and this model."
        )


@contextlib.contextmanager
def graphs_possible() -> Iterator[None]:
    """Gradients off, but possible within: also for a caller in torch.inference_mode(), where they are not."""
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


def pixels_of(prepared: PreparedImage, loaded: LoadedModel) -> Tensor:
    """The normalised pixels (1, 3, height, width) as the model takes them, for gradients."""
    images = prepared.tensor.unsqueeze(0).to(loaded.device, loaded.dtype)
    return images.clone() if images.is_inference() else images


def require_finite(gradient: Tensor, target: Target, layer: int) -> Tensor:
    """The gradient; NumericalError where it is none, naming the layer."""
    if not gradient.isfinite().all():
        raise NumericalError(
            f"the gradient of {target.label!r} is not finite in layer {layer}: it is too large for "
            f"{str(gradient.dtype).removeprefix('torch.')}, or the target has none at this picture. Choose another "
            "target, or run the model in float64: loaded.model.double()."
        )
    return gradient


_MAXIMUM = 1 - 1e-6  # a cosine that float32 does not tell from 1


def require_slope(target: Target, score: float) -> None:
    """SpecError for a similarity at its maximum, where it has no gradient and maps would be of rounding errors."""
    if isinstance(target, VectorTarget) and score > _MAXIMUM:
        raise SpecError(
            f"the {target.label} is 1, its maximum, where it has no gradient: a picture is as alike itself as can be. "
            "Choose another picture, or the method 'legrad' or 'integrated_gradients'."
        )


@contextlib.contextmanager
def memory_errors(grid: TokenGrid, loaded: LoadedModel) -> Iterator[None]:
    """Running out of memory as a ResourceError; every other error as it is."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise ResourceError(
            f"not enough memory on {str(loaded.device)!r} for {loaded.spec.name!r} at {grid.height}×{grid.width} px "
            f"({grid.tokens:,} tokens); use a smaller size."
        ) from error


class Overflow:
    """Norms of what each layer leaves. They stay on the device, and are looked at once, after the run.

    Finite tokens of 1e20 are too large for float32, too: LayerNorm needs sums of squares, and maps would be uniform.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        """Has room for two norms a layer, which among the run's tensors would leave holes in memory."""
        widened = torch.promote_types(loaded.dtype, torch.float32)
        self._layers: list[int] = []
        self._norms = torch.empty(2 * loaded.spec.depth + 2, dtype=widened, device=loaded.device)

    def add(self, layer: int, values: Tensor) -> None:
        """Of a layer, or EMBEDDING; in float32 at least, because half precision ends at 65,504."""
        torch.linalg.vector_norm(values, dtype=self._norms.dtype, out=self._norms[len(self._layers)])
        self._layers.append(layer)

    def require_none(self, output: Tensor | None, loaded: LoadedModel) -> None:
        """NumericalError naming the first layer whose norm is no number, or the classifier. output: its logits."""
        if output is not None:
            self.add(CLASSIFIER, output)
        finite = self._norms[: len(self._layers)].isfinite().tolist()
        if all(finite):
            return
        place = _PLACES.get(first := self._layers[finite.index(False)], f"layer {first}")
        narrow = torch.finfo(loaded.dtype).bits < 32
        remedy = (
            "Run the model in float32: loaded.model.float()."
            if narrow
            else "Its weights are damaged, or of a training run that has diverged: load another checkpoint."
        )
        raise NumericalError(
            f"the activations of {loaded.spec.name!r} overflow in {place}: from there on they "
            f"are too large for {str(loaded.dtype).removeprefix('torch.')}, and attention is no number. {remedy}"
        )
