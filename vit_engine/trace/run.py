"""attend(): the one way from an image to attention."""

import contextlib
import time
from collections.abc import Iterator, Sequence
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
    last = loaded.spec.depth - 1 if loaded.spec.class_names else max(wanted)  # predictions need every layer
    keeper = _Keeper(loaded.spec, prepared.grid, last, progress)
    with torch.inference_mode(), _memory_errors(prepared.grid, loaded):
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

    Everything stays on the device until the last layer is done: it never waits for the host.
    """

    def __init__(self, spec: ModelSpec, grid: TokenGrid, last: int, progress: Progress | None) -> None:
        self.spec, self.grid, self.last, self.progress = spec, grid, last, progress
        self.layers: dict[int, LayerTrace] = {}
        self.reduced: list[dict[str, Tensor]] = []

    def keep(self, layer: int, record: LayerAttention | None) -> None:
        if record is not None:
            streamed = record.streamed
            kept = LayerTrace(record.queries[0], record.keys[0], streamed.log_normaliser[0], record.scale)
            self.layers[layer] = kept
            if streamed.entropy is not None:
                self.reduced.append({**_reduce_cls(kept, self.grid.prefix), **_reduce_queries(streamed)})
        if self.progress is not None:
            self.progress((layer + 1) / (self.last + 1), f"layer {layer + 1} of {self.spec.depth}")

    def statistics(self) -> HeadStatistics:
        columns = {
            name: torch.stack([layer[name] for layer in self.reduced]).float().cpu().numpy() for name in self.reduced[0]
        }
        cls_rows = columns.pop("cls_row")  # (layers, heads, tokens)
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
    """The CLS query's row (heads, tokens), and its numbers, each (heads,)."""
    scores = kept.scores(0)
    row = scores.softmax(dim=-1)
    return {
        "cls_row": row,
        "cls_entropy": torch.special.entr(row).sum(dim=-1),
        "cls_patch_entropy": torch.special.entr(scores[:, prefix:].softmax(dim=-1)).sum(dim=-1),
        "cls_prefix_mass": row[:, :prefix].sum(dim=-1),
        "cls_maximum": row.amax(dim=-1),
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
