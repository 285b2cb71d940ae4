"""Attention sinks: tokens that most queries of a layer attend to, whatever the queries are of.

Named by Xiao et al. 2023 (arXiv 2309.17453). In Vision Transformers without registers they are patches of little
content, and show as artefacts in maps: Darcet et al. 2023 (arXiv 2309.16588).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vit_engine.errors import SpecError
from vit_engine.grid import token_name
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace, LayerTrace
from vit_engine.trace.attention_map import head_number

MOST = 0.5  # of the queries
TIMES_EVEN = 2.0  # what a sink takes at least: so many times as much as in even attention, 1 / tokens


@dataclass(frozen=True)
class Sink:
    """A token that most queries attend to."""

    token: int  # counted from 0, prefix tokens first
    patch: tuple[int, int] | None  # (row, col); None for a prefix token, which is on no map
    name: str  # in words: "CLS token", "register 2" or "patch row 3, col 20", each counted from 0
    queries: float  # 0..1: the share of the queries that have their largest weight on it
    attention: float  # 0..1: the weight that a query gives to it, mean over all queries


def sinks(trace: AttentionTrace, *, layer: int = -1, head: int | str = "mean", share: float = MOST) -> tuple[Sink, ...]:
    """The tokens that at least a `share` of all queries give their largest weight to: the commonest first.

    A sink also takes at least twice an even share of the attention, 2 / tokens: where attention is nearly even, the
    largest weight is hardly larger than the others. layer: from 0; negative from the last. head: a number from 0; for
    "mean", "max" or "min" the queries of all heads count together. share: above 0, at most 1. Prefix tokens are queries
    too, and can be sinks. Linear in the tokens.

    Raises SpecError for a layer or head that is not here, a share out of range, and a trace without counts.
    """
    kept, number = trace.layer(layer), head_number(head, trace.spec)
    heads = slice(None) if number is None else slice(number, number + 1)
    found = _found(trace, kept, heads, _query_shares(kept, share)[heads].mean(axis=0), share)
    return tuple(sorted(found, key=lambda sink: -sink.queries))


def sink_patches(trace: AttentionTrace, *, layer: int = -1, share: float = MOST) -> np.ndarray:
    """Which patches are sinks of a layer's heads, each by its own queries: bool (heads, rows, cols).

    Arguments and errors of sinks().
    """
    kept = trace.layer(layer)
    patches = np.zeros((trace.spec.heads, *trace.grid.shape), dtype=bool)
    for head, queries in enumerate(_query_shares(kept, share)):
        for sink in _found(trace, kept, slice(head, head + 1), queries, share):
            if sink.patch is not None:
                patches[head, *sink.patch] = True
    return patches


def _query_shares(layer: LayerTrace, share: float) -> np.ndarray:
    """The part of a head's queries that have their largest weight on a token: float64 (heads, tokens)."""
    if not 0 < share <= 1:
        raise SpecError(f"share must be above 0 and at most 1; got {share!r}.")
    if layer.argmax_counts is None:
        raise SpecError(
            "this trace does not count where queries have their largest weight: run attend() with statistics='all'."
        )
    counts = layer.argmax_counts.cpu().numpy()
    return counts / counts.shape[-1]


def _found(trace: AttentionTrace, layer: LayerTrace, heads: slice, queries: np.ndarray, share: float) -> Iterator[Sink]:
    """The sinks of these heads, by token. queries: of each token, the share that have their largest weight on it."""
    grid = trace.grid
    for token in np.flatnonzero(queries >= share).tolist():
        attention = layer.log_column([token], heads).exp().mean().item()
        if attention * grid.tokens >= TIMES_EVEN:
            patch = None if token < grid.prefix else divmod(token - grid.prefix, grid.cols)
            yield Sink(token, patch, _name(token, patch, trace.spec), float(queries[token]), attention)


def _name(token: int, patch: tuple[int, int] | None, spec: ModelSpec) -> str:
    if patch is not None:
        return token_name(patch)
    if token == 0:
        return "CLS token"
    register = token - 1 - spec.distilled
    return "distillation token" if register < 0 else f"register {register}"
