"""features(): the one way from an image to what its tokens carry."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vit_engine.errors import NumericalError
from vit_engine.image import Picture, PreparedImage
from vit_engine.model import Block
from vit_engine.planning.estimates import check_memory
from vit_engine.planning.plan import FACETS, TOKEN, RunPlan, check_facet
from vit_engine.progress import Progress
from vit_engine.trace.checks import Overflow, check_fit, memory_errors
from vit_engine.trace.features import Features, FinalNorm
from vit_engine.trace.inputs import Size, ready
from vit_engine.weights import LoadedModel
from vit_engine.weights.sources import Source


def features(
    loaded: LoadedModel | Source,
    prepared: PreparedImage | Picture,
    *,
    size: Size | None = None,
    layers: str | int | Sequence[int] = "all",
    facet: str = TOKEN,
    precision: str = "float16",
    progress: Progress | None = None,
) -> Features:
    """Run the model on one picture and keep what its tokens carry, in memory linear in the tokens.

    It takes about as long as a plain forward pass, and ends where the last of the layers is read. loaded, prepared,
    size, layers, progress: as in attend(). facet: "token", what leaves a block, or the "query", "key" or "value" of its
    attention, before rotary positions turn them (Amir et al. 2021, arXiv 2112.05814). precision: "float16" or
    "float32", in which they are kept.

    Raises what attend() raises, and NumericalError where numbers are too large to be kept in float16.
    """
    loaded, prepared = ready(loaded, prepared, size=size, progress=progress)
    started = time.perf_counter()
    spec, grid = loaded.spec, prepared.grid
    check_facet(facet)  # an empty one would plan a run of attend()
    check_fit(grid, spec)
    options: dict[str, Any] = {"device": loaded.device, "dtype": loaded.dtype, "facet": facet, "precision": precision}
    run = RunPlan.asked(spec, layers=layers, statistics="none", **options)
    check_memory(run, grid)
    with torch.inference_mode(), memory_errors(grid, loaded):
        kept = _run(loaded, prepared, run, progress)
    return Features(
        spec=spec,
        grid=grid,
        image_sha256=prepared.sha256,
        facet=facet,
        layers=kept,
        final_norm=_final_norm(loaded) if facet == TOKEN else None,
        random=loaded.report.random,
        seconds=time.perf_counter() - started,
    )


def _run(
    loaded: LoadedModel, prepared: PreparedImage, run: RunPlan, progress: Progress | None
) -> dict[int, np.ndarray]:
    """The facet of each layer; NumericalError where activations overflow. It has its memory before the run begins."""
    shape, last = (prepared.grid.tokens, loaded.spec.dim), max(run.traced)
    store = {layer: torch.empty(shape, dtype=run.precision, device=loaded.device) for layer in sorted(run.traced)}
    overflow = Overflow(loaded)
    images = prepared.tensor.unsqueeze(0).to(loaded.device, loaded.dtype)
    for layer, values in _read(loaded, images, run.facet, last):
        overflow.add(layer, values)
        if layer in store:
            store[layer].copy_(values[0])
        if progress is not None:
            progress((layer + 1) / (last + 1), f"layer {layer + 1} of {loaded.spec.depth}")
    overflow.require_none(None, loaded)
    for layer, values in store.items():
        if not values.isfinite().all():  # by narrowing: the run has been found finite
            raise NumericalError(
                f"the {FACETS[run.facet]} of layer {layer} of {loaded.spec.name!r} are too large for float16, which "
                "ends at 65,504; keep them with precision float32."
            )
    return {layer: values.cpu().numpy() for layer, values in store.items()}


def _read(loaded: LoadedModel, images: Tensor, facet: str, last: int) -> Iterator[tuple[int, Tensor]]:
    """(layer, its facet (1, tokens, dim)) of each layer up to the last."""
    blocks = cast(Sequence[Block], loaded.model.blocks)
    for depth, tokens in enumerate(loaded.model.token_stream(images)):
        layer = depth - (facet == TOKEN)
        if layer >= 0:
            block = blocks[layer]
            yield layer, tokens if facet == TOKEN else block.attn.project_to(facet, block.norm1(tokens))
        if layer == last:
            return


def _final_norm(loaded: LoadedModel) -> FinalNorm:
    norm = loaded.model.norm
    weight, bias = (values.detach().float().cpu().numpy() for values in (norm.weight, norm.bias))
    return FinalNorm(weight, bias, norm.eps)
