"""Sinks are what the explicit matrix says: which tokens most queries attend to, and how much weight they take."""

import copy
import pickle
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

import vit_engine as ve
from vit_engine.analysis.sinks import sink_patches
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.spec import ModelSpec
from vit_engine.trace import AttentionTrace, LayerTrace, attend
from vit_engine.weights import LoadedModel, load_model

GRID = TokenGrid(prefix=3, rows=3, cols=5, patch_size=4)  # CLS and two registers
HEADS, PATCH = 2, 3 + 1 * 5 + 4  # row 1, col 4


def trace_with(sinks: Mapping[tuple[int, int], int], *, distilled: bool = False, times: float = 9.0) -> AttentionTrace:
    """One layer in which so many queries of a head have a weight on a token, and all others that on themselves.

    sinks: (head, token) -> how many queries, from the last one. times: the weight, in those of other tokens: 9/26.
    """
    tokens = GRID.tokens
    weights = torch.ones(HEADS, tokens, tokens, dtype=torch.float64) + (times - 1) * torch.eye(tokens).double()
    for (head, token), count in sinks.items():
        weights[head, -count:] = 1
        weights[head, -count:, token] = times
    keys = torch.eye(tokens, dtype=torch.float64).repeat(HEADS, 1, 1)
    counts = torch.stack([torch.bincount(rows, minlength=tokens) for rows in weights.argmax(dim=-1)]).int()
    layer = LayerTrace(weights.log(), keys, weights.sum(dim=-1).log(), 1.0, counts)
    registers = 1 if distilled else 2
    spec = ModelSpec("made", "", "", 4, HEADS * tokens, 1, HEADS, (12, 20), registers=registers, distilled=distilled)
    return AttentionTrace(spec, GRID, "0" * 64, {0: layer}, None, (), 0.0)


def expected(trace: AttentionTrace, layer: int, heads: slice, token: int) -> tuple[float, float]:
    """The share of the queries that have their largest weight on a token, and its mean weight, from the matrix."""
    weights = trace.weights(layer)[heads].astype(np.float64)
    return (weights.argmax(axis=-1) == token).mean(), weights[:, :, token].mean()


def test_a_patch_that_most_queries_attend_to_is_a_sink_of_its_head() -> None:
    trace = trace_with({(1, PATCH): 12})
    (sink,) = ve.sinks(trace, layer=0, head=1)
    assert (sink.token, sink.patch, sink.name) == (PATCH, (1, 4), "patch row 1, col 4")
    assert sink.queries == pytest.approx(12 / 18)
    assert sink.attention == pytest.approx((12 * 9 + 6 * 1) / 26 / 18)
    assert ve.sinks(trace, head=0) == ()
    assert ve.sinks(trace) == ()  # 12 of 36 queries, and one that is the patch's own


@pytest.mark.parametrize("head", ["mean", "max", "min"])
def test_the_queries_of_all_heads_count_together(head: str) -> None:
    trace = trace_with({(1, PATCH): 12, (0, PATCH): 14})
    (sink,) = ve.sinks(trace, head=head)
    assert sink.queries == pytest.approx(26 / 36)
    assert (sink.queries, sink.attention) == pytest.approx(expected(trace, 0, slice(None), PATCH))
    assert ve.sinks(trace, head=head, share=27 / 36) == ()


def test_as_many_as_the_share_are_enough_and_the_commonest_comes_first() -> None:
    trace = trace_with({(0, 4): 8})  # and its own query
    assert [sink.queries for sink in ve.sinks(trace, head=0)] == [0.5]
    trace = trace_with({(0, 5): 12, (0, 9): 7})
    found = ve.sinks(trace, head=0, share=5 / 18)
    assert [(sink.token, sink.queries) for sink in found] == [(9, pytest.approx(7 / 18)), (5, pytest.approx(6 / 18))]


@pytest.mark.parametrize(
    ("token", "distilled", "name"),
    [
        (0, False, "CLS token"),
        (1, False, "register 0"),
        (2, False, "register 1"),
        (1, True, "distillation token"),
        (2, True, "register 0"),
    ],
)
def test_prefix_tokens_are_named_as_what_they_are_and_are_on_no_map(token: int, distilled: bool, name: str) -> None:
    trace = trace_with({(0, token): 15}, distilled=distilled)
    (sink,) = ve.sinks(trace, head=0)
    assert (sink.token, sink.patch, sink.name) == (token, None, name)
    assert not sink_patches(trace).any()


def test_patches_are_set_aside_head_by_head() -> None:
    trace = trace_with({(0, 3): 10, (1, PATCH): 12})
    heads, rows, cols = sink_patches(trace, layer=-1).nonzero()
    assert [*zip(heads, rows, cols, strict=True)] == [(0, 0, 0), (1, 1, 4)]
    assert sink_patches(trace, share=0.65).sum() == 1


@pytest.mark.parametrize(("times", "sink"), [(1.1, False), (2.1, False), (2.15, True)])
def test_a_sink_takes_twice_an_even_share_of_the_attention(times: float, sink: bool) -> None:
    trace = trace_with({(1, PATCH): GRID.tokens}, times=times)  # of which it takes times / (17 + times)
    assert [found.token for found in ve.sinks(trace, head=1)] == [PATCH] * sink
    assert sink_patches(trace).sum() == sink
    pooled = trace_with({(0, PATCH): GRID.tokens, (1, PATCH): GRID.tokens}, times=times)
    assert [found.token for found in ve.sinks(pooled)] == [PATCH] * sink


@pytest.fixture(scope="module")
def drawn(small_spec: ModelSpec) -> LoadedModel:
    """A model with registers whose keys are all long and alike in two heads, so that single tokens draw all queries."""
    loaded = load_model(small_spec, weights="random", device="cpu", seed=3)
    for block in loaded.model.blocks:
        for name, parameter in block.attn.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(20)
        for name, parameter in block.attn.named_parameters():
            if name.endswith("bias"):
                parameter.add_(torch.linspace(-2, 2, parameter.numel()))
    return loaded


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("head", ["mean", 0, 1, 2])
def test_sinks_of_a_model_are_those_of_the_explicit_matrix(
    drawn: LoadedModel, prepared: PreparedImage, dtype: torch.dtype, layer: int, head: int | str
) -> None:
    trace = attend(replace(drawn, model=copy.deepcopy(drawn.model).to(dtype)), prepared)
    heads = slice(None) if isinstance(head, str) else slice(head, head + 1)
    every = {token: expected(trace, layer, heads, token) for token in range(trace.grid.tokens)}
    for share in (0.1, 0.5):
        found = ve.sinks(trace, layer=layer, head=head, share=share)
        even = 1 / trace.grid.tokens
        sinks = {token for token, (queries, weight) in every.items() if queries >= share and weight >= 2 * even}
        assert {sink.token for sink in found} == sinks
        for sink in found:
            assert (sink.queries, sink.attention) == pytest.approx(every[sink.token], rel=1e-5)


def test_the_model_of_these_tests_has_sinks_and_heads_without(drawn: LoadedModel, prepared: PreparedImage) -> None:
    trace = attend(drawn, prepared)
    found = [ve.sinks(trace, layer=layer, head=head) for layer in (0, 1) for head in range(3)]
    assert any(found)
    assert not all(found)
    assert any(sink.patch for sinks in found for sink in sinks)


def test_a_copied_trace_has_the_same_sinks() -> None:
    trace = trace_with({(1, PATCH): 12})
    for other in (copy.deepcopy(trace), pickle.loads(pickle.dumps(trace))):  # noqa: S301
        assert ve.sinks(other, head=1) == ve.sinks(trace, head=1)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    for ask in (ve.sinks, sink_patches):
        with pytest.raises(SpecError, match="share must be above 0 and at most 1; got"):
            ask(trace_with({}), share=share)
    assert ve.sinks(trace_with({(0, 4): 18}), head=0, share=1)


def test_a_layer_or_head_that_there_is_not_and_a_trace_without_counts_are_refused(
    small: LoadedModel, prepared: PreparedImage
) -> None:
    trace = trace_with({})
    with pytest.raises(SpecError, match=r"layer must be in 0\.\.0 for 'made'; got 1"):
        ve.sinks(trace, layer=1)
    for head in (2, -1, "median"):
        with pytest.raises(SpecError, match=r"head must be in 0\.\.1 or one of mean, max, min for 'made'; got"):
            ve.sinks(trace, head=head)
    bare = attend(small, prepared, statistics="entropy")
    for ask in (ve.sinks, sink_patches):
        with pytest.raises(SpecError, match=r"does not count .* run attend\(\) with statistics='all'"):
            ask(bare)
