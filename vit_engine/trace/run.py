"""attend(): the one way from an image to attention."""

import time
from collections.abc import Collection, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vit_engine.grid import TokenGrid
from vit_engine.image import Picture, PreparedImage
from vit_engine.model import LayerRecord
from vit_engine.model.streaming import AttentionPlan
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import RunPlan, attention_plan
from vit_engine.progress import Progress
from vit_engine.spec import ModelSpec
from vit_engine.trace.checks import Overflow, check_fit, memory_errors
from vit_engine.trace.inputs import Size, ready
from vit_engine.trace.record import AttentionTrace, LayerTrace, Prediction
from vit_engine.trace.statistics import STATISTICS, ClsRows, FromCls, FromCounts, FromQueries, HeadStatistics
from vit_engine.weights import LoadedModel
from vit_engine.weights.sources import Source


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
    check_fit(grid, spec)
    run = RunPlan.asked(spec, layers=layers, statistics=statistics, device=loaded.device, dtype=loaded.dtype)
    check_memory(run, grid)
    with torch.inference_mode(), memory_errors(grid, loaded):
        builder = _run(loaded, prepared, run, progress)
        head_statistics = None if statistics == "none" else builder.statistics()
        predictions = () if builder.output is None else predictions_of(builder.output[0], spec)
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
        counts = partial(empty, shape[:2], dtype=torch.int32) if plan.argmax else lambda: None
        self.store = {
            layer: (vectors(), vectors(), empty(shape[:2], dtype=widened), counts(), empty(shape[:2], dtype=widened))
            for layer in sorted(traced)
        }
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
        queries, keys, log_normalisers, counts, norms = self.store.pop(layer)
        for made, values in self.streamed.values():
            values[len(self.layers)] = made.reduce(getattr(streamed, made.quantity)[0])
        if counts is not None and streamed.argmax is not None:
            counts.zero_().scatter_add_(-1, streamed.argmax[0], counts.new_ones(()).expand_as(counts))
        self.layers[layer] = LayerTrace(
            queries.copy_(attention.queries[0]),
            keys.copy_(attention.keys[0]),
            log_normalisers.copy_(streamed.log_normaliser[0]),
            attention.scale,
            counts,
            norms.copy_(attention.value_norms[0]),
        )

    def statistics(self) -> HeadStatistics:
        layers = self.layers.values()
        rows = ClsRows(torch.stack([layer.scores(0) for layer in layers]), self.grid.prefix)
        counts = [layer.argmax_counts for layer in layers if layer.argmax_counts is not None]
        made: dict[str, Tensor | np.ndarray] = {name: values for name, (_, values) in self.streamed.items()}
        for name, each in STATISTICS.items():
            if isinstance(each.made, FromCls):
                made[name] = each.made.reduce(rows)
            elif isinstance(each.made, FromCounts) and counts:
                made[name] = each.made.reduce(torch.stack(counts))
        arrays = {name: torch.as_tensor(values).float().cpu().numpy() for name, values in made.items()}
        return HeadStatistics(tuple(self.layers), self.grid, arrays)


def predictions_of(output: Tensor, spec: ModelSpec) -> tuple[Prediction, ...]:
    """All classes, the likeliest first, from the logits (classes,)."""
    probabilities, numbers = output.float().softmax(dim=-1).sort(descending=True, stable=True)
    ranked = zip(numbers.tolist(), probabilities.tolist(), strict=True)
    return tuple(Prediction(spec.class_names[number], probability, number) for number, probability in ranked)
