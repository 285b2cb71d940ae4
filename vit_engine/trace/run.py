"""attend(): the one way from an image to attention."""

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from numbers import Integral

import torch
from torch import Tensor

from vit_engine.errors import ResourceError, SpecError
from vit_engine.image import PreparedImage
from vit_engine.model import LayerAttention
from vit_engine.progress import Progress
from vit_engine.spec import ModelSpec, TokenGrid
from vit_engine.statistics import HeadStatistics, gini, top_mass
from vit_engine.streaming import AttentionPlan, StreamedAttention
from vit_engine.trace.record import AttentionTrace, LayerTrace, Prediction, layer_number
from vit_engine.weights import LoadedModel

TRACED = ("queries", "keys", "log_normalisers")  # the fields of LayerTrace; all else that is kept are statistics


def attend(
    loaded: LoadedModel,
    prepared: PreparedImage,
    *,
    layers: str | int | Sequence[int] = "all",
    statistics: str = "all",
    progress: Progress | None = None,
) -> AttentionTrace:
    """Run the model on one picture and keep its attention: exact, in memory linear in the tokens.

    layers: "all", a layer, or several; negative ones count from the last. statistics: "all",
    "entropy" (no distances) or "none". progress(fraction, message) is called after each layer; what it
    raises stops the run. Safe to call from many threads at once. Raises SpecError for layers or
    statistics that do not exist, or an image prepared for another patch size; ResourceError where
    memory does not suffice.
    """
    started = time.perf_counter()
    wanted = _wanted_layers(layers, loaded.spec)
    plan = _plan(prepared.grid, statistics)
    _demand_fit(prepared.grid, loaded.spec)
    with torch.inference_mode(), _memory_errors(prepared.grid, loaded):
        keeper = _Keeper(loaded, prepared.grid, wanted, progress)
        images = prepared.tensor.unsqueeze(0).to(loaded.device, loaded.dtype)
        output = loaded.model.forward_with_attention(
            images,
            lambda layer: plan if layer in wanted else None,
            keeper.keep,
            output=bool(loaded.spec.class_names),
        )
        head_statistics = None if statistics == "none" else keeper.statistics()
        predictions = () if output is None else _predictions(output[0], loaded.spec)
    return AttentionTrace(
        spec=loaded.spec,
        grid=prepared.grid,
        image_sha256=prepared.sha256,
        layers=keeper.layers,
        head_statistics=head_statistics,
        predictions=predictions,
        seconds=time.perf_counter() - started,
        random=loaded.report.random,
    )


def _demand_fit(grid: TokenGrid, spec: ModelSpec) -> None:
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
        # On a CPU it is no error of its own: its allocator says so, in these words on Linux and macOS, and on Windows.
        of_memory = any(words in str(error) for words in ("can't allocate memory", "not enough memory"))
        if not isinstance(error, torch.OutOfMemoryError) and not of_memory:
            raise
        raise ResourceError(
            f"not enough memory on {str(loaded.device)!r} for {loaded.spec.name!r} at {grid.height}×{grid.width} px "
            f"({grid.tokens:,} tokens); use a smaller size."
        ) from error


class _Keeper:
    """Takes each layer's record as it comes, keeps what a trace keeps, and reduces the rest at once.

    What is kept has its memory from the start, one piece for all layers: made among the run's own
    tensors, which come and go, it would leave holes that nothing fits. Everything stays on the device
    until the last layer is done: the run never waits for the host.
    """

    def __init__(
        self, loaded: LoadedModel, grid: TokenGrid, wanted: Collection[int], progress: Progress | None
    ) -> None:
        spec = loaded.spec
        self.spec, self.grid, self.progress = spec, grid, progress
        self.last = spec.depth - 1 if spec.class_names else max(wanted)  # predictions need every layer
        self.wanted = tuple(sorted(wanted))
        self.layers: dict[int, LayerTrace] = {}
        self.kept: dict[str, Tensor] = {}

    def keep(self, layer: int, record: LayerAttention | None) -> None:
        if record is not None:
            streamed = record.streamed
            self.layers[layer] = trace = LayerTrace(
                self._keep(layer, "queries", record.queries[0]),
                self._keep(layer, "keys", record.keys[0]),
                self._keep(layer, "log_normalisers", streamed.log_normaliser[0]),
                record.scale,
            )
            if streamed.entropy is not None:
                for name, values in {**_reduce_cls(trace, self.grid.prefix), **_reduce_queries(streamed)}.items():
                    self._keep(layer, name, values.float())
        if self.progress is not None:
            self.progress((layer + 1) / (self.last + 1), f"layer {layer + 1} of {self.spec.depth}")

    def _keep(self, layer: int, name: str, values: Tensor) -> Tensor:
        """A copy of a layer's values, in what all layers share."""
        if name not in self.kept:
            self.kept[name] = values.new_empty((len(self.wanted), *values.shape))
        return self.kept[name][self.wanted.index(layer)].copy_(values)

    def statistics(self) -> HeadStatistics:
        columns = {name: values.cpu().numpy() for name, values in self.kept.items() if name not in TRACED}
        cls_rows = columns.pop("cls_rows")  # (layers, heads, tokens)
        to_patches = cls_rows[..., self.grid.prefix :]
        return HeadStatistics(
            tuple(self.layers),
            self.grid,
            cls_to_cls=cls_rows[..., 0],
            cls_gini=gini(to_patches),
            cls_top10_mass=top_mass(to_patches),
            **columns,
        )


def _reduce_cls(kept: LayerTrace, prefix: int) -> dict[str, Tensor]:
    """The CLS query's rows (heads, tokens), and their numbers, each (heads,)."""
    scores = kept.scores(0)
    rows = scores.softmax(dim=-1)
    return {
        "cls_rows": rows,
        "cls_entropy": torch.special.entr(rows).sum(dim=-1),
        "cls_patch_entropy": torch.special.entr(scores[:, prefix:].softmax(dim=-1)).sum(dim=-1),
        "cls_prefix_mass": rows[:, :prefix].sum(dim=-1),
        "cls_maximum": rows.amax(dim=-1),
    }


def _reduce_queries(streamed: StreamedAttention) -> dict[str, Tensor]:
    """Means over the queries, each (heads,)."""
    means = {f"mean_{name}": getattr(streamed, name) for name in ("entropy", "patch_entropy", "prefix_mass", "maximum")}
    for keys in ("", "patch_"):
        means[f"mean_{keys}effective_tokens"] = means[f"mean_{keys}entropy"].exp()
    if streamed.distance is not None:
        means["distance"] = streamed.distance
    return {name: values[0].mean(dim=-1) for name, values in means.items()}


def _plan(grid: TokenGrid, statistics: str) -> AttentionPlan:
    plans = {
        "all": AttentionPlan(grid),
        "entropy": AttentionPlan(grid, distance=False),
        "none": AttentionPlan(grid, entropy=False, distance=False),
    }
    if statistics not in plans:
        raise SpecError(f"statistics must be one of {', '.join(map(repr, plans))}; got {statistics!r}.")
    return plans[statistics]


def _wanted_layers(layers: str | int | Sequence[int], spec: ModelSpec) -> frozenset[int]:
    if isinstance(layers, str):
        if layers != "all":
            raise SpecError(f"layers must be 'all', a number or several numbers; got {layers!r}.")
        return frozenset(range(spec.depth))
    numbers = [int(layers)] if isinstance(layers, int | Integral) else list(layers)
    if not numbers:
        raise SpecError("layers must name at least one layer; got none.")
    return frozenset(layer_number(layer, spec) for layer in numbers)


def _predictions(output: Tensor, spec: ModelSpec) -> tuple[Prediction, ...]:
    if not spec.class_names:
        return ()
    probabilities = output.float().softmax(dim=-1).cpu().tolist()
    ranked = sorted(zip(spec.class_names, probabilities, strict=True), key=lambda pair: -pair[1])
    return tuple(Prediction(label, probability) for label, probability in ranked)
