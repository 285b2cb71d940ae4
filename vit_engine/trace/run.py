"""attend(): the one way from an image to attention."""

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vit_engine.devices import out_of_memory
from vit_engine.errors import NumericalError, ResourceError, SpecError
from vit_engine.image import Picture, PreparedImage
from vit_engine.model import LayerRecord
from vit_engine.model.streaming import AttentionPlan
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import RunPlan, attention_plan
from vit_engine.progress import Progress
from vit_engine.spec import ModelSpec, TokenGrid
from vit_engine.trace.inputs import Size, ready
from vit_engine.trace.record import AttentionTrace, LayerTrace, Prediction
from vit_engine.trace.statistics import STATISTICS, ClsRows, FromCls, FromQueries, HeadStatistics
from vit_engine.weights import LoadedModel
from vit_engine.weights.sources import Source

CLASSIFIER, EMBEDDING = -2, -1  # where there is no layer
_PLACES = {CLASSIFIER: "the classifier", EMBEDDING: "the embedding of patches"}


def attend(
    loaded: LoadedModel | Source,
    prepared: PreparedImage | Picture,
    *,
    size: Size | None = None,
    layers: str | int | Sequence[int] = "all",
    statistics: str = "all",
    progress: Progress | None = None,
) -> AttentionTrace:
    """Run the model on one picture and keep its attention: exact, in memory linear in the tokens.

    loaded: a LoadedModel, or what load_model() takes: a name, the path of a checkpoint, a ModelSpec, a torch.nn.Module.
    All but the first are loaded in each call: for several pictures, load once. prepared: a PreparedImage, or what
    prepare_image() takes: a path, a PIL picture, an array. size: of a picture that is not prepared, as in
    prepare_image(). layers: "all", a layer, or several; negative ones count from the last. Only these are analysed, and
    the run ends in the last of them, unless the model has classes, which need all. statistics: "all", "entropy"
    (neither distances nor argmax) or "none". progress(fraction, message) is called while weights are fetched, and after
    each layer's attention; what it raises stops the run. Safe to call from many threads at once.

    Raises SpecError for layers, statistics or a size that do not exist, model and picture in the wrong order, or an
    image prepared for another patch size; ImageError for what is no picture; what load_model() raises; ResourceError,
    before anything is run, where the run needs more than memory_budget(), and where memory runs out all the same;
    NumericalError where the activations overflow.
    """
    loaded, prepared = ready(loaded, prepared, size=size, progress=progress)
    started = time.perf_counter()
    spec, grid = loaded.spec, prepared.grid
    _check_fit(grid, spec)
    run = RunPlan.asked(spec, layers=layers, statistics=statistics, device=loaded.device, dtype=loaded.dtype)
    check_memory(run, grid)
    with torch.inference_mode(), _memory_errors(grid, loaded):
        builder = _run(loaded, prepared, run, progress)
        head_statistics = None if statistics == "none" else builder.statistics()
        predictions = () if builder.output is None else _predictions(builder.output[0], spec)
        if loaded.device.type != "cpu":
            torch.accelerator.synchronize(loaded.device)  # the seconds are those of the work, not of its launch
    return AttentionTrace(
        spec=spec,
        grid=grid,
        image_sha256=prepared.sha256,
        layers=builder.layers,
        head_statistics=head_statistics,
        predictions=predictions,
        seconds=time.perf_counter() - started,
        random=loaded.report.random,
    )


def _run(loaded: LoadedModel, prepared: PreparedImage, run: RunPlan, progress: Progress | None) -> "_TraceBuilder":
    """The run itself, layer by layer; what it leaves. NumericalError where activations overflow."""
    spec, plan = loaded.spec, attention_plan(prepared.grid, run.statistics)
    builder = _TraceBuilder(loaded, prepared.grid, run.traced, plan)
    last = spec.depth if spec.class_names else max(run.traced) + 1  # predictions need every layer
    images = prepared.tensor.unsqueeze(0).to(loaded.device, loaded.dtype)
    for layer, record in loaded.model.record(images, dict.fromkeys(run.traced, plan), output=bool(spec.class_names)):
        builder.add(layer, record)
        del record  # the MLP needs the memory
        if progress is not None and layer < spec.depth:
            progress((layer + 1) / last, f"layer {layer + 1} of {spec.depth}")
    builder.overflow.require_none(builder.output, loaded)
    return builder


def _check_fit(grid: TokenGrid, spec: ModelSpec) -> None:
    if (grid.patch_size, grid.prefix) != (spec.patch_size, spec.prefix):
        raise SpecError(
            f"the image was prepared for patches of {grid.patch_size} px and {grid.prefix} prefix tokens; "
            f"{spec.name!r} has {spec.patch_size} px and {spec.prefix}: prepare it with this model's spec."
        )


@contextlib.contextmanager
def _memory_errors(grid: TokenGrid, loaded: LoadedModel) -> Iterator[None]:
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


class _TraceBuilder:
    """Takes each layer's record as it comes, and keeps what the trace and its statistics need.

    What is kept has its memory before the run begins: among the run's own tensors, which come and go, it would leave
    holes that nothing fits. It stays on the device until the last layer is done: the run never waits for the host.
    """

    def __init__(self, loaded: LoadedModel, grid: TokenGrid, traced: Collection[int], plan: AttentionPlan) -> None:
        spec = loaded.spec
        self.spec, self.grid = spec, grid
        self.overflow = Overflow(loaded)
        self.classify = loaded.model.classify
        self.output: Tensor | None = None
        self.layers: dict[int, LayerTrace] = {}
        empty = partial(torch.empty, device=loaded.device)
        shape = spec.heads, grid.tokens, spec.dim // spec.heads
        widened = torch.promote_types(loaded.dtype, torch.float32)
        vectors = partial(empty, shape, dtype=loaded.dtype)
        self.store = {layer: (vectors(), vectors(), empty(shape[:2], dtype=widened)) for layer in sorted(traced)}
        self.streamed = {
            name: (made, empty(len(traced), spec.heads))
            for name, made in ((name, statistic.made) for name, statistic in STATISTICS.items())
            if isinstance(made, FromQueries) and made.quantity in plan.quantities
        }

    def add(self, layer: int, record: LayerRecord) -> None:
        self.overflow.add(layer - 1, record.tokens)  # which the layer before has left
        if layer == self.spec.depth:
            self.output = self.classify(record.tokens)
        attention = record.attention
        if attention is None:
            return
        streamed = attention.streamed
        self.overflow.add(layer, streamed.log_normaliser)
        queries, keys, log_normalisers = self.store.pop(layer)
        for made, values in self.streamed.values():
            values[len(self.layers)] = made.reduce(getattr(streamed, made.quantity)[0])
        self.layers[layer] = LayerTrace(
            queries.copy_(attention.queries[0]),
            keys.copy_(attention.keys[0]),
            log_normalisers.copy_(streamed.log_normaliser[0]),
            attention.scale,
        )

    def statistics(self) -> HeadStatistics:
        rows = ClsRows(torch.stack([layer.scores(0) for layer in self.layers.values()]), self.grid.prefix)
        made: dict[str, Tensor | np.ndarray] = {name: values for name, (_, values) in self.streamed.items()}
        made |= {name: each.made.reduce(rows) for name, each in STATISTICS.items() if isinstance(each.made, FromCls)}
        arrays = {name: torch.as_tensor(values).float().cpu().numpy() for name, values in made.items()}
        return HeadStatistics(tuple(self.layers), self.grid, arrays)


def _predictions(output: Tensor, spec: ModelSpec) -> tuple[Prediction, ...]:
    probabilities = output.float().softmax(dim=-1).cpu().tolist()
    ranked = sorted(zip(spec.class_names, probabilities, strict=True), key=lambda pair: -pair[1])
    return tuple(Prediction(*pair) for pair in ranked)
