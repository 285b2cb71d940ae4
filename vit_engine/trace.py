"""attend(): the one way from an image to attention; AttentionTrace: what it leaves.

A trace keeps queries, keys and log-normalisers of each layer, linear in the tokens. Any query's row
follows from them exactly: exp(scale · q·k − log-normaliser).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from vit_engine.errors import ResourceError, SpecError
from vit_engine.image import PreparedImage
from vit_engine.maps import AttentionMap
from vit_engine.model import LayerAttention
from vit_engine.progress import Progress
from vit_engine.spec import ModelSpec, Query, TokenGrid
from vit_engine.statistics import HeadStatistics, gini, top_mass
from vit_engine.streaming import AttentionPlan, explicit_weights
from vit_engine.weights import LoadedModel

WEIGHTS_BUDGET = 2 << 30  # bytes of one layer's whole matrices, on request
REDUCTIONS: dict[str, Callable[..., Tensor]] = {"mean": Tensor.mean, "max": Tensor.amax, "min": Tensor.amin}


@dataclass(frozen=True)
class LayerTrace:
    """One layer: queries and keys (heads, tokens, head_dim), log-normalisers (heads, tokens), the scores' scale."""

    queries: Tensor
    keys: Tensor
    log_normalisers: Tensor
    scale: float

    @property
    def nbytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.queries, self.keys, self.log_normalisers))


@dataclass(frozen=True)
class Prediction:
    """A class name and its probability, 0..1."""

    label: str
    probability: float


@dataclass(frozen=True)
class AttentionTrace:
    """The attention of one picture in one model. Holds no model and no N×N matrix.

    layers: layer number -> LayerTrace, for the layers that were asked for. predictions: all classes,
    the likeliest first; empty for a model without a classifier. seconds: what the run took.
    """

    spec: ModelSpec
    grid: TokenGrid
    image_sha256: str
    layers: dict[int, LayerTrace]
    head_statistics: HeadStatistics | None
    predictions: tuple[Prediction, ...]
    seconds: float
    random: bool = field(default=False)

    @property
    def statistics(self) -> HeadStatistics:
        """Of every traced (layer, head); SpecError if they were not asked for."""
        if self.head_statistics is None:
            raise SpecError("this trace has no statistics: it was made with statistics='none'; use 'all' or 'entropy'.")
        return self.head_statistics

    @property
    def nbytes(self) -> int:
        """Bytes that the trace keeps in memory."""
        return sum(layer.nbytes for layer in self.layers.values())

    def rows(self, layer: int = -1, query: Query = "cls") -> np.ndarray:
        """The weights that one query gives to all tokens, in each head: float32 (heads, tokens), rows sum to 1.

        query: "cls" or a patch (row, col). Raises SpecError for a layer or a query that is not here.
        """
        return self._rows(layer, query).cpu().numpy()

    def head_maps(self, layer: int = -1, query: Query = "cls") -> np.ndarray:
        """The weights that one query gives to the patches, in each head: float32 (heads, rows, cols).

        Not renormalised: what is missing to 1 goes to the prefix tokens.
        """
        return self.rows(layer, query)[:, self.grid.prefix :].reshape(-1, *self.grid.shape)

    def attention_map(self, layer: int = -1, head: int | str = "mean", query: Query = "cls") -> AttentionMap:
        """The weights that one query gives to the patches, in one head or over all: not renormalised.

        head: a number from 0, or "mean", "max", "min" over heads, patch by patch. query: "cls" or a
        patch (row, col). layer counts from 0; negative from the last. Raises SpecError for a layer,
        head or query that is not here.
        """
        number = self._layer_number(layer)
        patches = self._rows(number, query)[:, self.grid.prefix :]
        values = self._reduce(patches, head).reshape(self.grid.shape)
        which = "CLS" if isinstance(query, str) else f"patch {query[0]}, {query[1]}"
        label = f"layer {number} · head {head} · query {which}"
        return AttentionMap(values.cpu().numpy(), self.grid, label)

    def weights(self, layer: int = -1, *, budget: int = WEIGHTS_BUDGET) -> np.ndarray:
        """The whole attention matrices of a layer: float32 (heads, tokens, tokens), rows sum to 1.

        Quadratic in the tokens: ResourceError where they need more than `budget` bytes.
        """
        kept = self.layers[self._layer_number(layer)]
        needed = 4 * self.spec.heads * self.grid.tokens**2
        if needed > budget:
            raise ResourceError(
                f"the matrices of one layer need {needed:,} bytes, over the budget of {budget:,}; use rows() or "
                "attention_map(), which are exact too, prepare a smaller image, or pass budget=."
            )
        return explicit_weights(kept.queries.float(), kept.keys.float(), scale=kept.scale).cpu().numpy()

    def _rows(self, layer: int, query: Query) -> Tensor:
        kept = self.layers[self._layer_number(layer)]
        token = self.grid.token(query)
        q = kept.queries[:, token, :, None].float() * kept.scale
        return (kept.keys.float() @ q).squeeze(-1).sub_(kept.log_normalisers[:, token, None]).exp_()

    def _reduce(self, patches: Tensor, head: int | str) -> Tensor:
        if isinstance(head, str) and head in REDUCTIONS:
            return REDUCTIONS[head](patches, dim=0)
        if not isinstance(head, Integral) or not 0 <= head < self.spec.heads:
            raise SpecError(
                f"head must be in 0..{self.spec.heads - 1} or one of {', '.join(REDUCTIONS)} "
                f"for {self.spec.name!r}; got {head!r}."
            )
        return patches[int(head)]

    def _layer_number(self, layer: int) -> int:
        number = _layer_number(layer, self.spec)
        if number not in self.layers:
            raise SpecError(f"layer {number} was not traced; this trace has {sorted(self.layers)}.")
        return number


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
    statistics that do not exist, or an image prepared for another patch size.
    """
    started = time.perf_counter()
    wanted = _wanted_layers(layers, loaded.spec)
    plan = _plan(prepared.grid, statistics)
    if prepared.grid.patch_size != loaded.spec.patch_size or prepared.grid.prefix != loaded.spec.prefix:
        raise SpecError(
            f"the image was prepared for patches of {prepared.grid.patch_size} px and {prepared.grid.prefix} "
            f"prefix tokens; {loaded.spec.name!r} has {loaded.spec.patch_size} px and {loaded.spec.prefix}: "
            "prepare it with this model's spec."
        )
    keeper = _Keeper(loaded.spec, prepared.grid, progress)
    with torch.inference_mode():
        images = prepared.tensor.unsqueeze(0).to(loaded.device, loaded.dtype)
        output = loaded.model.forward_with_attention(
            images, lambda layer: plan if layer in wanted else None, keeper.keep
        )
        predictions = _predictions(output[0], loaded.spec)
    return AttentionTrace(
        spec=loaded.spec,
        grid=prepared.grid,
        image_sha256=prepared.sha256,
        layers=keeper.layers,
        head_statistics=None if statistics == "none" else keeper.statistics(),
        predictions=predictions,
        seconds=time.perf_counter() - started,
        random=loaded.report.random,
    )


class _Keeper:
    """Takes each layer's record as it comes, keeps what a trace keeps, and reduces the rest at once."""

    def __init__(self, spec: ModelSpec, grid: TokenGrid, progress: Progress | None) -> None:
        self.spec, self.grid, self.progress = spec, grid, progress
        self.layers: dict[int, LayerTrace] = {}
        self.reduced: list[dict[str, np.ndarray]] = []

    def keep(self, layer: int, record: LayerAttention | None) -> None:
        if record is not None:
            streamed = record.streamed
            # Contiguous copies: the originals are views that would keep the values alive too.
            kept = LayerTrace(
                record.queries[0].clone(memory_format=torch.contiguous_format),
                record.keys[0].clone(memory_format=torch.contiguous_format),
                streamed.log_normaliser[0],
                record.scale,
            )
            self.layers[layer] = kept
            if streamed.entropy is not None:
                self.reduced.append(_reduce_layer(record, self.grid.prefix))
        if self.progress is not None:
            self.progress((layer + 1) / self.spec.depth, f"layer {layer + 1} of {self.spec.depth}")

    def statistics(self) -> HeadStatistics:
        columns = {name: np.stack([layer[name] for layer in self.reduced]) for name in self.reduced[0]}
        return HeadStatistics(tuple(self.layers), self.grid, **columns)


def _reduce_layer(record: LayerAttention, prefix: int) -> dict[str, np.ndarray]:
    """Per-query results to one number a head: each float32 (heads,)."""
    streamed = record.streamed
    scores = record.scale * (record.keys[0].float() @ record.queries[0, :, 0, :, None].float()).squeeze(-1)
    cls_row = (scores - streamed.log_normaliser[0, :, :1]).exp().float().cpu().numpy()
    reduced = {
        "cls_to_cls": cls_row[:, 0],
        "cls_gini": gini(cls_row[:, prefix:]),
        "cls_top10_mass": top_mass(cls_row[:, prefix:]),
    }
    for name in ("entropy", "patch_entropy", "prefix_mass", "maximum"):
        values = getattr(streamed, name)
        reduced[f"cls_{name}"] = values[0, :, 0].float().cpu().numpy()
        reduced[f"mean_{name}"] = values[0].mean(dim=-1).float().cpu().numpy()
    for keys in ("", "patch_"):
        effective = getattr(streamed, f"{keys}entropy")[0].exp().mean(dim=-1)
        reduced[f"mean_{keys}effective_tokens"] = effective.float().cpu().numpy()
    if streamed.distance is not None:
        reduced["distance"] = streamed.distance[0].mean(dim=-1).float().cpu().numpy()
    return reduced


def _plan(grid: TokenGrid, statistics: str) -> AttentionPlan:
    plans = {
        "all": AttentionPlan(grid),
        "entropy": AttentionPlan(grid, distance=False),
        "none": AttentionPlan(grid, entropy=False, distance=False),
    }
    if statistics not in plans:
        raise SpecError(f"statistics must be one of {', '.join(map(repr, plans))}; got {statistics!r}.")
    return plans[statistics]


def _layer_number(layer: int, spec: ModelSpec) -> int:
    if not -spec.depth <= layer < spec.depth:
        raise SpecError(f"layer must be in 0..{spec.depth - 1} for {spec.name!r}; got {layer}.")
    return int(layer) % spec.depth


def _wanted_layers(layers: str | int | Sequence[int], spec: ModelSpec) -> frozenset[int]:
    if isinstance(layers, str):
        if layers != "all":
            raise SpecError(f"layers must be 'all', a number or several numbers; got {layers!r}.")
        return frozenset(range(spec.depth))
    numbers = [int(layers)] if isinstance(layers, int | Integral) else list(layers)
    if not numbers:
        raise SpecError("layers must name at least one layer; got none.")
    return frozenset(_layer_number(layer, spec) for layer in numbers)


def _predictions(output: Tensor, spec: ModelSpec) -> tuple[Prediction, ...]:
    if not spec.class_names:
        return ()
    probabilities = output.float().softmax(dim=-1).cpu().tolist()
    ranked = sorted(zip(spec.class_names, probabilities, strict=True), key=lambda pair: -pair[1])
    return tuple(Prediction(label, probability) for label, probability in ranked)
