"""How long a run will take: its work, counted, by this machine's rates, measured once."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from vit_engine.devices import usable_device
from vit_engine.model import Block
from vit_engine.planning.run import STATISTICS, Run, attention_plan
from vit_engine.spec import ModelSpec, TokenGrid
from vit_engine.streaming import AttentionPlan, stream_attention
from vit_engine.weights import load_model

PLAIN = "plain"  # a layer that is not traced; the others are called by their statistics


@dataclass(frozen=True)
class Work:
    """What a run has to do on a device, in a precision.

    linear: floating-point operations of all linear layers. head_dim: of one head. scores: by kind of
    layer ("plain", or its statistics), pairs of query and key over all its heads and layers. layers: by
    kind, how many.
    """

    linear: int
    head_dim: int
    scores: Mapping[str, int]
    layers: Mapping[str, int]
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True)
class Rates:
    """What a machine does. linear: operations a second. score: by kind of layer, seconds for one pair of query and
    key, without its 4 · head_dim multiplications and additions. layer: by kind, seconds whatever its size."""

    linear: float
    score: Mapping[str, float]
    layer: Mapping[str, float]

    def seconds(self, work: Work) -> float:
        """That this work takes, on a machine with nothing else to do."""
        products = 4 * work.head_dim * sum(work.scores.values())
        reductions = sum(count * self.score[kind] for kind, count in work.scores.items())
        constants = sum(count * self.layer[kind] for kind, count in work.layers.items())
        return (work.linear + products) / self.linear + reductions + constants


def work_of(run: Run, grid: TokenGrid) -> Work:
    """The work of a run: a multiplication with its addition counts as two operations."""
    spec = run.spec
    embedding = grid.patches * 3 * spec.patch_size**2 * spec.dim
    block = grid.tokens * spec.dim * (4 * spec.dim + 2 * spec.hidden)
    layers = {run.statistics: run.traced, PLAIN: spec.depth - run.traced}
    pairs = spec.heads * grid.tokens**2
    return Work(
        linear=2 * (embedding + spec.depth * block),
        head_dim=spec.dim // spec.heads,
        scores={kind: count * pairs for kind, count in layers.items()},
        layers=layers,
        device=run.device,
        dtype=run.dtype,
    )


_rates: dict[tuple[str, torch.dtype, int], Rates] = {}
_lock = threading.Lock()


def rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """Of this machine at the present number of threads: measured at the first call, some tenths of a second."""
    key = str(device), dtype, torch.get_num_threads()
    with _lock:  # two measurements at a time would slow each other down
        if key not in _rates:
            _rates[key] = measure(usable_device(device), dtype)
        return _rates[key]


# A layer of ViT-S on 24×24 patches: small, but long enough for a core to reach its pace.
_SAMPLE = ModelSpec(
    name="sample", title="", family="", patch_size=16, dim=384, depth=1, heads=6, native_size=(384, 384)
)
_REPEATS = 3


def measure(device: torch.device, dtype: torch.dtype) -> Rates:
    """The rates of the engine's own code on one layer."""
    block = cast(Block, load_model(_SAMPLE, weights="random", device=device).model.to(dtype).blocks[0])
    grid, smallest = _SAMPLE.grid(*_SAMPLE.native_size), _SAMPLE.grid(_SAMPLE.patch_size, _SAMPLE.patch_size)
    tokens, few = (_noise(1, each.tokens, _SAMPLE.dim, device=device, dtype=dtype) for each in (grid, smallest))
    pairs = _SAMPLE.heads * grid.tokens**2
    with torch.inference_mode():
        operations = 4 * grid.tokens * _SAMPLE.dim * _SAMPLE.hidden
        linear = operations / _seconds(lambda: block.mlp(block.norm2(tokens)), device)
        products = 4 * (_SAMPLE.dim // _SAMPLE.heads) * pairs / linear
        score = {
            kind: max(0.0, _seconds(call, device) - products) / pairs
            for kind, call in _attentions(grid, device, dtype).items()
        }
        layer = {kind: _seconds(partial(block, few, plan), device) for kind, plan in _plans(smallest).items()}
    return Rates(linear, score, layer)


def _attentions(grid: TokenGrid, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """The attention of one layer, by kind."""
    heads, head_dim = _SAMPLE.heads, _SAMPLE.dim // _SAMPLE.heads
    q, k, v = _noise(3, 1, heads, grid.tokens, head_dim, device=device, dtype=dtype)
    return {
        kind: partial(functional.scaled_dot_product_attention, q, k, v)
        if plan is None
        else partial(stream_attention, q, k, v, scale=head_dim**-0.5, plan=plan)
        for kind, plan in _plans(grid).items()
    }


def _plans(grid: TokenGrid) -> dict[str, AttentionPlan | None]:
    return {PLAIN: None} | {statistics: attention_plan(grid, statistics) for statistics in STATISTICS}


def _noise(*shape: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Of a generator of its own: the user's random numbers stay what they are."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """The shortest of some runs, after one to warm up: what else the machine does can only make a run longer."""
    times = []
    for _ in range(1 + _REPEATS):
        started = time.perf_counter()
        call()
        _finish(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
