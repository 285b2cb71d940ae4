"""Rollout is the product of explicit matrices, whatever is fused, discarded and kept, and takes linear memory."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.vit_engine.analysis.methods.matrices import random_trace, rolled_out
from tests.vit_engine.model.streams import LargestStorage
from vit_engine.analysis.methods import find_method
from vit_engine.analysis.run import Run
from vit_engine.errors import SpecError
from vit_engine.grid import Query, TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.model import chunks
from vit_engine.trace import AttentionTrace, attend
from vit_engine.trace.record import LayerTrace
from vit_engine.weights import LoadedModel

METHOD = find_method("rollout")
GRID = TokenGrid(prefix=3, rows=5, cols=7, patch_size=4)
DISCARDED = [{"discard": ratio, "fuse": fuse} for ratio in (0.9, 0.31) for fuse in ("mean", "max", "min")]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"residual": 0.0},
    {"residual": 1.0},
    {"start": 2},
    {"start": 3, "fuse": "min"},
    {"fuse": "max"},
    {"fuse": "min", "residual": 0.0, "start": 1},
    *DISCARDED,
    {"discard": 0.99, "residual": 0.0},
]


@pytest.fixture(params=[1 << 20, 2000], ids=["whole", "chunks"])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole layers at once, or a few queries and keys at a time."""
    monkeypatch.setattr(chunks, "CPU_CHUNK_BYTES", request.param)


def check(trace: AttentionTrace, query: Query, **options: Any) -> None:
    """One map, against the rows of the whole product."""
    layer = trace.spec.depth - 1
    rows = rolled_out(trace, layer=layer, **options)[trace.grid.query_tokens(query)]
    found = METHOD.attribute(trace, layer=layer, query=query, options=options)
    expected = rows.mean(axis=0)[trace.grid.prefix :].reshape(1, *trace.grid.shape)
    np.testing.assert_allclose(found.heads, expected, rtol=1e-5, atol=1e-30)
    assert found.note == ("" if expected.astype(np.float32).any() else METHOD.empty)


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("query", ["cls", (3, 2), (1, 2, 2, 4)], ids=str)
def test_it_is_a_row_of_the_product_of_explicit_matrices(query: Query, options: dict[str, Any]) -> None:
    check(random_trace(GRID, dtype=torch.float64), query, **options)


@pytest.mark.parametrize("prefix", range(6))
@pytest.mark.parametrize("options", [{}, {"fuse": "max"}], ids=str)
def test_any_number_of_prefix_tokens_takes_part_and_is_on_no_map(prefix: int, options: dict[str, Any]) -> None:
    check(random_trace(TokenGrid(prefix, 4, 3, 8), dtype=torch.float32), (3, 1), **options)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("spread", [10.0, 300.0])
@pytest.mark.parametrize("options", [{}, {"fuse": "max"}, {"fuse": "min", "residual": 0.1}], ids=str)
def test_large_scores_are_exact(dtype: torch.dtype, spread: float, options: dict[str, Any]) -> None:
    check(random_trace(GRID, spread=spread, dtype=dtype), "cls", **options)


def test_a_token_that_all_attention_is_lost_of_has_an_empty_map() -> None:
    """Each key is too unlikely in one of three heads, in most layers."""
    trace = random_trace(GRID, spread=1e5)
    found = METHOD.attribute(trace, options={"fuse": "min", "residual": 0.0})
    assert (found.map.values.any(), found.note) == (False, METHOD.empty)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_discarding_finds_the_lowest_of_any_scores(dtype: torch.dtype, spread: float) -> None:
    check(random_trace(GRID, spread=spread, dtype=dtype), (0, 0), discard=0.7)


def test_of_equal_weights_the_first_are_discarded_row_by_row() -> None:
    """All 9 weights are 1/3. Of them 4 are discarded: those of CLS, and that of the left patch for CLS."""
    grid = TokenGrid(prefix=1, rows=1, cols=2, patch_size=4)
    none = torch.zeros(1, 3, 4)
    layer = LayerTrace(none, none, torch.full((1, 3), 3.0).log(), 1.0)
    trace = replace(random_trace(grid, heads=1, depth=1), layers={0: layer})
    maps = {
        query: METHOD.attribute(trace, query=query, options={"discard": 0.45, "residual": 0.0}).map.values.tolist()
        for query in ("cls", (0, 0), (0, 1))
    }
    assert maps["cls"] == [[0, 0]]
    assert maps[0, 0] == [[0.5, 0.5]]
    np.testing.assert_allclose(maps[0, 1], [[1 / 3, 1 / 3]], rtol=1e-6)


def test_all_layers_at_once_are_what_each_is_alone() -> None:
    trace = random_trace(GRID)
    for options in ({}, {"fuse": "max", "start": 1}, {"discard": 0.5}):
        every = METHOD.by_layer(trace, query=(1, 1), options=options)
        assert list(every) == list(range(options.get("start", 0), 4))
        for layer, found in every.items():
            alone = METHOD.attribute(trace, layer=layer, query=(1, 1), options=options)
            np.testing.assert_allclose(found.heads, alone.heads, rtol=1e-6)
            assert found.map.label == alone.map.label


def test_several_layers_read_each_layer_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    layer = AttentionTrace.layer
    monkeypatch.setattr(AttentionTrace, "layer", lambda trace, number: read.append(number) or layer(trace, number))
    METHOD.by_layer(random_trace(GRID), query=(1, 1))
    assert read == [3, 2, 1, 0]


def test_it_says_how_far_it_is() -> None:
    reports: list[tuple[float, str]] = []
    run = Run(random_trace(GRID), progress=lambda fraction, message: reports.append((fraction, message)))
    METHOD.attribute(run, layer=3, options={"start": 2})
    assert reports == [(0.5, "rollout through layer 3"), (1.0, "rollout through layer 2")]


def test_rows_of_a_models_rollout_sum_to_one(small: LoadedModel, prepared: PreparedImage) -> None:
    trace = attend(small, prepared)
    expected = rolled_out(trace, layer=1)
    found = METHOD.attribute(trace, query=(2, 3))
    np.testing.assert_allclose(found.heads.ravel(), expected[20, 3:], rtol=1e-5)
    prefix = expected[20, :3].sum()
    assert found.heads.sum() == pytest.approx(1 - prefix, rel=1e-5)
    assert found.map.label == "attention rollout · layer 1 · query patch row 2, col 3"
    assert (found.heads.shape, found.map.unit) == ((1, 5, 7), "rollout weight")


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (1, {"start": 2}, "start must be at most the layer that the rollout ends in, 1; got 2."),
        (1, {"start": 4}, "start must be a whole number in 0..3 for 'random'; got 4."),
        (1, {"residual": 1.1}, "residual must be a number in 0..1; got 1.1."),
        (1, {"discard": 1.0}, "discard must be a number in 0..0.99; got 1.0."),
        (1, {"discard": float("nan")}, "discard must be a number in 0..0.99; got nan."),
        (1, {"fuse": "sum"}, "fuse must be one of 'mean', 'max', 'min'; got 'sum'."),
    ],
)
def test_what_cannot_be_is_refused(layer: int, options: dict[str, Any], message: str) -> None:
    trace = random_trace(TokenGrid(1, 2, 2, 4))
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        METHOD.attribute(trace, layer=layer, options=options)


def test_layers_between_that_were_not_traced_are_named() -> None:
    trace = random_trace(TokenGrid(1, 2, 2, 4))
    some = replace(trace, layers={number: trace.layers[number] for number in (1, 3)})
    with pytest.raises(SpecError, match=r"layer 2 was not traced; this trace has \[1, 3\]"):
        METHOD.attribute(some, options={"start": 1})
    with pytest.raises(SpecError, match=r"start must be at most the layer that the rollout ends in, 1; got 3"):
        METHOD.by_layer(replace(trace, layers={1: trace.layers[1]}), options={"start": 3})


@pytest.mark.parametrize("options", [{}, {"fuse": "max"}, {"discard": 0.9}], ids=str)
def test_no_tensor_grows_with_the_square_of_the_tokens(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CPU_CHUNK_BYTES", 1 << 16)
    trace = random_trace(TokenGrid(1, 23, 31, 4), heads=2, depth=2)
    with LargestStorage() as largest:
        METHOD.attribute(trace, query=(1, 2), options=options)
    assert largest.nbytes <= (8 << 16)  # counters
    assert largest.nbytes < 4 * trace.grid.tokens**2 / 3
