"""How long a run will take: its work, counted, by this machine's rates, measured once."""

import threading
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from vit_engine.errors import ResourceError
from vit_engine.grid import TokenGrid
from vit_engine.model import Block
from vit_engine.model.fused import exact_attention
from vit_engine.planning.plan import STATISTICS, TOKEN, RunPlan, attention_plan
from vit_engine.spec import GATED_MLPS, ModelSpec
from vit_engine.weights import load_model

PLAIN = "plain"  # a layer that is not traced; the others are called by their statistics


@dataclass(frozen=True)
class Work:
    """What a run has to do on a device, in a precision. Kinds of layers are "plain", or their statistics."""

    products: int  # floating-point operations of all matrix products
    scores: Mapping[str, int]  # by kind of layer, pairs of query and key over all its heads and layers
    layers: Mapping[str, int]  # by kind, how many
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Rates:
    products: float  # floating-point operations a second in matrix products, with what goes on between them
    score: Mapping[str, float]  # by kind of layer, seconds for one pair of query and key, without its products
    layer: Mapping[str, float]  # by kind, seconds for a layer whatever its size

    def seconds(self, work: Work) -> float:
        """That this work takes, on a machine with nothing else to do."""
        reductions = sum(count * self.score[kind] for kind, count in work.scores.items())
        constants = sum(count * self.layer[kind] for kind, count in work.layers.items())
        return work.products / self.products + reductions + constants


def work_of(run: RunPlan, grid: TokenGrid) -> Work:
    """The work of a run: a multiplication with its addition counts as two operations."""
    if run.gradients:
        return _work_of_gradients(run, grid)
    spec, whole = run.spec, run.whole_layers
    started = whole if run.facet else max(whole, max(run.traced) + 1)
    traced = {} if run.facet else {run.statistics: len(run.traced)}
    layers = {**traced, PLAIN: started - sum(traced.values())}
    projected = 0 if run.facet in {"", TOKEN} else len(run.traced) * grid.tokens * spec.dim**2  # for features alone
    pairs = spec.heads * grid.tokens**2
    embedding = grid.patches * 3 * spec.patch_size**2 * spec.dim
    attention = 3 * grid.tokens * spec.dim**2 + grid.tokens**2 * spec.dim  # queries, keys, values; scores
    into = 2 if spec.mlp in GATED_MLPS else 1
    mlp = (into + 1) * spec.dim * spec.hidden
    rest = grid.tokens**2 * spec.dim + grid.tokens * (spec.dim**2 + mlp)  # output; MLP
    return Work(
        products=2 * (embedding + started * attention + whole * rest + projected),
        scores={kind: count * pairs for kind, count in layers.items()},
        layers=layers,
        device=run.device,
        dtype=run.dtype,
    )


# By the gradient of a layer beside its forward pass: queries, keys, values and projection once more and back; the MLP
# but for its last product, and back; of attention's scores, weights and their gradients five products for two.
_TIMES_LINEAR, _TIMES_MLP, _TIMES_ATTENTION = 3, 2.5, 3.5


def _work_of_gradients(run: RunPlan, grid: TokenGrid) -> Work:
    spec, pairs = run.spec, run.spec.heads * grid.tokens**2
    linear = grid.tokens * 4 * spec.dim**2
    mlp = grid.tokens * (3 if spec.mlp in GATED_MLPS else 2) * spec.dim * spec.hidden
    layer = _TIMES_LINEAR * linear + _TIMES_MLP * mlp + _TIMES_ATTENTION * 2 * grid.tokens**2 * spec.dim
    embedding = 2 * grid.patches * 3 * spec.patch_size**2 * spec.dim
    return Work(
        products=int(2 * (embedding + spec.depth * layer)),
        scores={PLAIN: 3 * spec.depth * pairs},
        layers={PLAIN: 3 * spec.depth},
        device=run.device,
        dtype=run.dtype,
    )


_rates: dict[tuple[str, torch.dtype, int], Rates] = {}
_lock = threading.Lock()


def rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """Of this machine at the present number of threads: measured at the first call, with errors as Estimate.seconds."""
    key = str(device), dtype, torch.get_num_threads()
    with _lock:  # two measurements at a time would slow each other down
        if key not in _rates:
            try:
                _rates[key] = measure(device, dtype)
            except torch.OutOfMemoryError as error:
                raise ResourceError(f"no memory is left on {str(device)!r} to measure its speed.") from error
        return _rates[key]


_SAMPLE = ModelSpec(name="sample", title="", family="", patch_size=16, dim=384, depth=1, heads=6)  # a layer of ViT-S
_CPU_SIDE, _GPU_SIDE = 384, 1024  # pixels: small, but enough for a core, or all of a GPU's, to reach their pace
_REPEATS = 3


def measure(device: torch.device, dtype: torch.dtype) -> Rates:
    """The rates of the engine's own code on one layer, in the middle of a picture and where there is next to none."""
    block = cast(Block, load_model(_SAMPLE, weights="random", device=device).model.to(dtype).blocks[0])
    side = _CPU_SIDE if device.type == "cpu" else _GPU_SIDE
    grid, least = _SAMPLE.grid(side, side), _SAMPLE.grid(_SAMPLE.patch_size, _SAMPLE.patch_size)
    with torch.inference_mode():
        products = 4 * grid.tokens * _SAMPLE.dim * _SAMPLE.hidden / _mlp_seconds(block, grid, device, dtype)
        of_scores = 4 * grid.tokens**2 * _SAMPLE.dim / products
        pairs = _SAMPLE.heads * grid.tokens**2
        whole, constant = (_attention_seconds(each, device, dtype) for each in (grid, least))
        mlp_constant = _mlp_seconds(block, least, device, dtype)
    score = {kind: max(0.0, seconds - of_scores) / pairs for kind, seconds in whole.items()}
    return Rates(products, score, {kind: seconds + mlp_constant for kind, seconds in constant.items()})


def _mlp_seconds(block: Block, grid: TokenGrid, device: torch.device, dtype: torch.dtype) -> float:
    tokens = _noise(1, grid.tokens, _SAMPLE.dim, device=device, dtype=dtype)
    return _seconds(lambda: block.mlp(block.norm2(tokens)), device)


def _attention_seconds(grid: TokenGrid, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    heads, head_dim = _SAMPLE.heads, _SAMPLE.dim // _SAMPLE.heads
    q, k, v = _noise(3, 1, heads, grid.tokens, head_dim, device=device, dtype=dtype)
    stream = partial(exact_attention, q, k, v, scale=head_dim**-0.5)
    calls: dict[str, Callable[[], object]] = {PLAIN: lambda: functional.scaled_dot_product_attention(q, k, v)}
    calls |= {kind: partial(stream, plan=attention_plan(grid, kind)) for kind in STATISTICS}
    return {kind: _seconds(call, device) for kind, call in calls.items()}


def _noise(*shape: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Of a generator of its own: the user's random numbers stay what they are."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """The shortest of some runs, after one to warm up: what else the machine does can only make a run longer."""

    def finished() -> None:
        call()
        if device.type in {"cuda", "mps"}:
            torch.accelerator.synchronize(device)

    return min(timeit.repeat(finished, number=1, repeat=1 + _REPEATS)[1:])
