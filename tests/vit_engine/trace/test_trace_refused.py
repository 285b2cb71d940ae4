"""What a trace does not have, and runs that cannot be, are refused with what there is."""

import dataclasses
from typing import Any

import pytest
import torch

from vit_engine.errors import ResourceError, SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 2}, r"layer must be in 0\.\.1 for 'small'; got 2"),
        ({"layer": -3}, r"layer must be in 0\.\.1 for 'small'; got -3"),
        ({"head": 3}, r"head must be in 0\.\.2 or one of mean, max, min for 'small'; got 3"),
        ({"head": -1}, r"head must be .* got -1"),
        ({"head": "median"}, r"head must be .* got 'median'"),
        ({"head": 1.5}, r"head must be .* got 1\.5"),
        ({"head": [0]}, r"head must be .* got \[0\]"),
        ({"query": (5, 0)}, r"row in 0\.\.4 and col in 0\.\.6; got \(5, 0\)"),
        ({"query": (0, 7)}, r"got \(0, 7\)"),
        ({"query": (-1, 0)}, r"got \(-1, 0\)"),
        ({"query": "register"}, r"'cls' .*, a patch \(row, col\) or a region .*; got 'register'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    trace: AttentionTrace, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        trace.attention_map(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 2}, r"layer must be in 0\.\.1"),
        ({"layers": [0, -3]}, r"got -3"),
        ({"layers": "last"}, r"layers must be 'all', a number or several numbers; got 'last'"),
        ({"layers": 1.5}, r"layers must be 'all', a number or several numbers; got 1\.5"),
        ({"layers": []}, r"at least one layer; got none"),
        ({"statistics": "some"}, r"one of 'all', 'entropy', 'none'; got 'some'"),
    ],
)
def test_a_run_that_cannot_be_is_refused(
    small: LoadedModel, prepared: PreparedImage, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        attend(small, prepared, **arguments)


def test_layers_cannot_be_put_in_or_taken_out_of_a_trace(trace: AttentionTrace) -> None:
    with pytest.raises(TypeError):
        trace.layers[5] = trace.layers[0]
    with pytest.raises(TypeError):
        del trace.layers[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda t: {"queries": t.queries[:, 1:]},
        lambda t: {"keys": t.keys[:2]},
        lambda t: {"keys": t.keys.mT},
        lambda t: {"log_normalisers": t.log_normalisers.T},
        lambda t: {name: getattr(t, name)[0] for name in ("queries", "keys", "log_normalisers")},
    ],
)
def test_a_layers_trace_whose_shapes_disagree_is_refused(trace: AttentionTrace, change: Any) -> None:
    with pytest.raises(SpecError, match=r"queries and keys of one shape \(heads, tokens, head_dim\).*; got \("):
        dataclasses.replace(trace.layers[0], **change(trace.layers[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts.T, r"int32 of shape \(3, 38\), .* got torch.int32 of \(38, 3\)"),
        (lambda counts: counts.long(), r"int32 of shape \(3, 38\), .* got torch.int64 of \(3, 38\)"),
    ],
)
def test_counts_of_another_shape_or_kind_are_refused(trace: AttentionTrace, change: Any, message: str) -> None:
    layer = trace.layers[0]
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(layer, argmax_counts=change(layer.argmax_counts))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: {"layers": {0: t.layers[0], 2: t.layers[1]}},
            r"0\.\.1 with queries of shape \(3, 38, 4\); got layer 2",
        ),
        (lambda t: {"grid": TokenGrid(3, 5, 6, 4)}, r"shape \(3, 33, 4\); got layer 0 with \(3, 38, 4\)"),
        (lambda t: {"spec": t.spec.with_heads(4)}, r"shape \(4, 38, 3\); got layer 0 with \(3, 38, 4\)"),
        (lambda t: {"layers": {0: t.layers[0]}}, r"trace of layers \[0\] .* got layers \[0, 1\]"),
        (lambda t: {"grid": TokenGrid(3, 7, 5, 4)}, r"rows=7, cols=5.* got .*rows=5, cols=7"),
    ],
)
def test_a_trace_that_is_not_of_its_spec_and_grid_is_refused(trace: AttentionTrace, change: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        dataclasses.replace(trace, **change(trace))


def out_of_gpu_memory(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.72 GiB.")


def out_of_cpu_memory(*_: object) -> None:
    torch.empty(1 << 55)


@pytest.mark.parametrize("run_out", [out_of_gpu_memory, out_of_cpu_memory])
def test_running_out_of_memory_says_what_to_do(small: LoadedModel, prepared: PreparedImage, run_out: Any) -> None:
    with pytest.raises(ResourceError, match=r"'cpu' for 'small' at 20×28 px \(38 tokens\); use a smaller size"):
        attend(small, prepared, progress=run_out)


@pytest.mark.parametrize("error", [RuntimeError("stop"), ValueError("can't allocate memory"), MemoryError()])
def test_other_errors_stay_what_they_are(small: LoadedModel, prepared: PreparedImage, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        attend(small, prepared, progress=fail)
    assert caught.value is error
