"""What a run will take: counted by hand, refused above the budget, and the largest size that fits."""

import itertools
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vit_engine as ve
from tests.vit_engine.planning.builders import CPU, GRID, MIB, SPEC, options
from vit_engine.model.chunks import CPU_CHUNK_BYTES, GPU_CHUNK_BYTES
from vit_engine.planning.estimates import check_memory, largest_size
from vit_engine.planning.plan import RunPlan
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes
from vit_engine.trace.differentiate import differentiate
from vit_engine.weights import LoadedModel


@pytest.mark.parametrize(
    ("size", "rows_cols"), [(30, (4, 4)), (7, (1, 1)), ((30, 50), (4, 7)), ((35, 21), (5, 3)), (GRID, (13, 29))]
)
def test_the_grid_is_that_of_a_picture_prepared_to_this_size(size: Any, rows_cols: tuple[int, int]) -> None:
    assert ve.estimate(SPEC, size, **CPU).grid == ve.TokenGrid(3, *rows_cols, 7)


def test_numpys_integers_are_sizes_too_and_do_not_overflow() -> None:
    expected = ve.estimate(SPEC, 8400, **CPU).peak_bytes
    assert expected > 2**31
    for size in (np.int32(8400), (np.int16(8400), np.int32(8400))):
        assert ve.estimate(SPEC, size, **CPU).peak_bytes == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (6, "each at least one patch of 7 px; got 6"),
        ((30, 6), r"each at least one patch of 7 px; got \(30, 6\)"),
        (30.5, "must be a short side or"),
        (replace(GRID, prefix=1), "must have 3 prefix tokens and patches of 7 px; got 1 and 7 px"),
        (replace(GRID, patch_size=8), "must have 3 prefix tokens and patches of 7 px; got 3 and 8 px"),
    ],
)
def test_a_size_that_cannot_be_prepared_is_refused(size: Any, message: str) -> None:
    with pytest.raises(ve.SpecError, match=message):
        ve.estimate(SPEC, size, **CPU)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layers": 5}, "layer must be in 0..4"),
        ({"statistics": "some"}, "statistics must be one of 'all', 'entropy', 'none'; got 'some'"),
        ({"device": "quantum"}, "'quantum'"),
        ({"gradients": True, "layers": 2}, "gradients are of all layers, and of no facet: leave layers="),
        ({"gradients": True, "facet": "key"}, "gradients are of all layers, and of no facet: leave layers="),
        ({"gradients": True, "dtype": torch.bfloat16}, "gradients need a model in float32 or wider"),
    ],
)
def test_what_a_run_refuses_has_no_estimate(wrong: dict[str, Any], message: str) -> None:
    calls = (
        lambda: ve.estimate(SPEC, GRID, **{**CPU, **wrong}),
        lambda: largest_size(RunPlan.asked(SPEC, **{**CPU, **wrong}), (1, 1), MIB),
        lambda: check_memory(RunPlan.asked(SPEC, **{**CPU, **wrong}), GRID),
    )
    for call in calls:
        with pytest.raises(ve.SpecError, match=message):
            call()


@pytest.mark.parametrize(
    ("layers", "dtype", "expected"),
    [
        # 380 tokens · (2 · 22 dimensions · itemsize + 11 heads · 4 bytes twice, and 4 bytes of counts) a layer
        (2, torch.float32, 380 * (176 + 2 * 44 + 44)),
        ("all", torch.float32, 5 * 380 * (176 + 2 * 44 + 44)),
        ([0, -1], torch.float16, 2 * 380 * (88 + 2 * 44 + 44)),
        (2, torch.float64, 380 * (352 + 2 * 88 + 44)),
    ],
)
def test_kept_bytes_by_hand(layers: Any, dtype: torch.dtype, expected: int) -> None:
    assert ve.estimate(SPEC, GRID, layers=layers, dtype=dtype, **CPU).kept_bytes == expected


@pytest.mark.parametrize("statistics", ["all", "entropy", "none"])
@pytest.mark.parametrize("layers", ["all", -1])
def test_kept_bytes_are_those_of_the_trace(
    layers: Any, statistics: str, small: LoadedModel, prepared: ve.PreparedImage
) -> None:
    asked: dict[str, Any] = {"layers": layers, "statistics": statistics}
    trace = ve.attend(small, prepared, **asked)
    assert ve.estimate(small.spec, prepared.grid, **asked, **CPU).kept_bytes == trace.nbytes


def test_kept_bytes_of_gradients_are_those_of_the_gradients(small: LoadedModel, prepared: ve.PreparedImage) -> None:
    # 5 layers of 380 tokens with 22 values and 22 gradients, and of 13·29 patches in 11 heads' readouts and one map
    assert ve.estimate(SPEC, GRID, gradients=True, **CPU).kept_bytes == 5 * 4 * (380 * 2 * 22 + 13 * 29 * 12)
    _, gradients = differentiate(small, prepared, target=0)
    assert ve.estimate(small.spec, prepared.grid, gradients=True, **CPU).kept_bytes == gradients.nbytes


def test_gradients_beyond_the_budget_are_refused_before_anything_is_run(
    small: LoadedModel, prepared: ve.PreparedImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = ve.attend(small, prepared, statistics="none")
    needed = ve.estimate(small, prepared.grid, gradients=True, **CPU).peak_bytes
    monkeypatch.setenv(BUDGET_VARIABLE, str(needed))
    differentiate(small, prepared, target=0, trace=trace)
    run = ve.Run(trace, small, prepared)
    monkeypatch.setattr(type(small.model), "embed", None)  # the first that would be run
    with pytest.raises(ve.ResourceError, match=f"needs {format_bytes(needed + trace.nbytes)}"):
        differentiate(small, prepared, target=0)
    monkeypatch.setenv(BUDGET_VARIABLE, str(needed - 1))
    for name in ("relevance", "integrated_gradients"):
        with pytest.raises(ve.ResourceError, match="a run must fit the memory budget"):
            ve.find_method(name).attribute(run, target=0)


# Bytes by hand for 380 tokens of 22 dimensions, 11 heads, 13×29 patches.
STREAM, VECTOR = 380 * 22 * 4, 380 * 11 * 4
COUNTS = 380 * 11 * 4
CHUNKS = 5 * CPU_CHUNK_BYTES
VECTORS = (6 + 14 + 3 * 3) * VECTOR  # three prefix tokens
LIBRARIES = 8 * MIB


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("spec", "asked", "layers", "at_work", "holes"),
    [
        # attention is the most, and all layers but the last one leave holes
        (SPEC, {}, 5, 8 * STREAM + VECTORS + CHUNKS, 8 * STREAM + VECTORS + CHUNKS),
        (
            SPEC,
            {"statistics": "none", "layers": [1, 4]},
            2,
            8 * STREAM + VECTORS + CHUNKS - CPU_CHUNK_BYTES,
            8 * STREAM + VECTORS + CHUNKS - CPU_CHUNK_BYTES,
        ),
        # the only layer, whose output nobody needs
        (SPEC, {"layers": 0}, 1, 7 * STREAM + VECTORS + CHUNKS, 0),
        # an MLP of 22 · 4000 hidden dimensions, in five layers where there is a classifier, and in four without
        (replace(SPEC, mlp_ratio=4000, class_names=("ant",)), {}, 5, (5 + 8000) * STREAM, 80 * MIB),
        (replace(SPEC, mlp_ratio=4000), {}, 5, (5 + 8000) * STREAM, 64 * MIB),
        (replace(SPEC, mlp_ratio=4000, depth=9), {}, 9, (5 + 8000) * STREAM, 96 * MIB),
        (replace(SPEC, mlp_ratio=4000), {"layers": 0}, 1, 7 * STREAM + VECTORS + CHUNKS, 0),
        # other MLPs have more steps
        (replace(SPEC, mlp_ratio=4000, mlp="swiglu"), {}, 5, (5 + 16000) * STREAM, 64 * MIB),
        (replace(SPEC, mlp_ratio=4000, mlp="quick_gelu"), {}, 5, (5 + 16000) * STREAM, 64 * MIB),
    ],
)
def test_the_peak_by_hand(spec: ve.ModelSpec, asked: dict[str, Any], layers: int, at_work: int, holes: int) -> None:
    of_layers = layers * (2 * STREAM + 2 * VECTOR + COUNTS * ("statistics" not in asked))
    assert ve.estimate(spec, GRID, **CPU, **asked).peak_bytes == of_layers + at_work + holes + LIBRARIES


def test_rotated_queries_and_keys_are_copies_made_of_two_more() -> None:
    learned, rotary = (
        ve.estimate(replace(SPEC, dim=44, positions=positions), GRID, layers=0, **CPU).peak_bytes
        for positions in ("learned", "rope")
    )
    assert rotary - learned == 4 * 2 * STREAM


@pytest.mark.usefixtures("one_thread")
def test_in_half_precision_sums_and_what_they_are_of_are_wide() -> None:
    picture = 3 * 91 * 203 * 2  # a copy, since pictures are prepared in float32
    at_work = 5 * STREAM // 2 + 5 * STREAM + VECTORS + CHUNKS
    of_a_layer = STREAM + 2 * VECTOR + COUNTS
    half: dict[str, Any] = {"dtype": torch.float16, **CPU}
    assert ve.estimate(SPEC, GRID, layers=0, **half).peak_bytes == picture + of_a_layer + at_work + LIBRARIES
    wide_mlp = (5 + 8000) * STREAM // 2
    expected = picture + 5 * of_a_layer + wide_mlp + 64 * MIB + LIBRARIES
    assert ve.estimate(replace(SPEC, mlp_ratio=4000), GRID, **half).peak_bytes == expected


def test_every_thread_has_its_part_of_a_chunk_and_small_pictures_need_less(monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(threads: int, size: Any) -> int:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        return ve.estimate(SPEC, size, layers=0, **CPU).peak_bytes

    assert peak(3, GRID) - peak(1, GRID) == 2 * CHUNKS
    assert peak(3, 7) == peak(1, 7)


def test_on_a_gpu_the_picture_is_a_copy_and_chunks_are_large() -> None:
    chunks = 5 * 380 * 11 * 377 * 4  # all pairs of all heads
    of_a_layer = 2 * STREAM + 2 * VECTOR + COUNTS
    expected = 3 * 91 * 203 * 4 + of_a_layer + 7 * STREAM + VECTORS + chunks + LIBRARIES
    assert ve.estimate(SPEC, GRID, device="cuda", layers=0).peak_bytes == expected
    assert ve.estimate(SPEC, 1400, device="cuda").peak_bytes > 5 * GPU_CHUNK_BYTES


@given(st.integers(1, 40), st.integers(1, 40), options)
def test_the_peak_grows_with_the_picture_and_holds_what_is_kept(rows: int, cols: int, asked: dict[str, Any]) -> None:
    grid = replace(GRID, rows=rows, cols=cols)
    taller, wider = replace(grid, rows=rows + 1), replace(grid, cols=cols + 1)
    one, *more = (ve.estimate(SPEC, each, **CPU, **asked) for each in (grid, taller, wider))
    assert one.kept_bytes < one.peak_bytes < min(each.peak_bytes for each in more)


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, mlp="swiglu"), replace(SPEC, dim=44, positions="rope")])
def test_the_peak_of_gradients_grows_with_the_picture_and_the_precision(spec: ve.ModelSpec) -> None:
    peaks = [
        ve.estimate(spec, side, gradients=True, dtype=dtype, **CPU)
        for side, dtype in ((70, torch.float32), (77, torch.float32), (700, torch.float32), (700, torch.float64))
    ]
    for less, more in itertools.pairwise(peaks):
        assert less.kept_bytes < less.peak_bytes < more.peak_bytes


def test_the_peak_grows_with_layers_statistics_and_precision() -> None:
    def peak(**asked: Any) -> int:
        return ve.estimate(SPEC, 700, **CPU, **asked).peak_bytes

    assert peak(layers=0) <= peak(layers=-1) < peak(layers=[0, -1]) < peak()
    assert peak(statistics="none") <= peak(statistics="entropy") < peak()
    assert peak(dtype=torch.float16) < peak() < peak(dtype=torch.float64)


def test_an_estimate_is_frozen_and_short_in_print() -> None:
    expected = ve.estimate(SPEC, 30, **CPU)
    with pytest.raises(FrozenInstanceError):
        expected.peak_bytes = 0  # type: ignore[misc]
    assert "work" not in repr(expected)


def test_a_name_or_a_loaded_model_stands_for_its_spec() -> None:
    loaded = ve.load_model("demo_vit_p16", device="cpu")
    expected = ve.estimate(loaded.spec, 224)
    assert ve.estimate("demo_vit_p16", 224) == ve.estimate(loaded, 224) == expected
    with pytest.raises(ve.SpecError, match="did you mean 'demo_vit_p16'"):
        ve.estimate("demo_vit_16", 224)
