"""Expected seconds: the work counted by hand, and rates that are measured once."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
import torch

import vit_engine as ve
from vit_engine.planning import speed
from vit_engine.planning.speed import Rates, Work

CPU = torch.device("cpu")
SPEC = ve.ModelSpec(
    name="prime", title="", family="", patch_size=7, dim=22, depth=5, heads=11, native_size=(21, 35), registers=2
)
GRID = ve.TokenGrid(prefix=3, rows=3, cols=5, patch_size=7)  # 18 tokens
RATES = Rates(
    products=1e6,
    score={"all": 0.5, "entropy": 0.25, "none": 0.125, "plain": 0.0625},
    layer={"all": 64.0, "entropy": 32.0, "none": 16.0, "plain": 8.0},
)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Rates without a measurement, which is written down instead."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(speed, "_rates", {})
    monkeypatch.setattr(speed, "measure", lambda *asked: calls.append((*asked, torch.get_num_threads())) or RATES)
    return calls


# Multiplications by hand: 18 tokens, 22 dimensions, 88 hidden, 147 numbers in each of 15 patches.
EMBEDDING = 15 * 147 * 22
SCORES = 18 * 22 * 66 + 18 * 18 * 22  # queries, keys and values, then queries with keys
REST = 18 * 18 * 22 + 18 * 22 * 22 + 18 * 22 * 88 * 2  # weights with values, projection, MLP


@pytest.mark.parametrize(
    ("classes", "layers", "started", "whole"),
    [
        (("ant", "bee"), [0, -2], 5, 5),  # predictions need every layer
        ((), [0, -2], 4, 3),  # else the last one that is traced ends with its scores
        ((), [-1, 1], 5, 4),
    ],
)
def test_work_by_hand(classes: tuple[str, ...], layers: list[int], started: int, whole: int) -> None:
    spec = replace(SPEC, class_names=classes)
    assert ve.estimate(spec, GRID, layers=layers, statistics="entropy", device="cpu").work == Work(
        products=2 * (EMBEDDING + started * SCORES + whole * REST),
        scores={"entropy": 2 * 11 * 18 * 18, "plain": (started - 2) * 11 * 18 * 18},
        layers={"entropy": 2, "plain": started - 2},
        device=CPU,
        dtype=torch.float32,
    )


@pytest.mark.parametrize(("facet", "whole", "projections"), [("token", 4, 0), ("key", 3, 2)])
def test_the_work_of_features_by_hand(facet: str, whole: int, projections: int) -> None:
    assert ve.estimate(SPEC, GRID, layers=[0, -2], facet=facet, device="cpu").work == Work(
        products=2 * (EMBEDDING + whole * (SCORES + REST) + projections * 18 * 22 * 22),
        scores={"plain": whole * 11 * 18 * 18},
        layers={"plain": whole},
        device=CPU,
        dtype=torch.float32,
    )


@pytest.mark.parametrize(("mlp", "products"), [("gelu", 2), ("swiglu", 3)])
def test_the_work_of_gradients_by_hand(mlp: str, products: int) -> None:
    """Forward, once more, and back; of attention two products and five; of the MLP half of it once more."""
    spec = replace(SPEC, mlp=mlp)
    linear, attention, hidden = 4 * 18 * 22 * 22, 18 * 18 * 22, products * 18 * 22 * 88
    layer = 3 * linear + 7 * attention + 2.5 * hidden
    assert ve.estimate(spec, GRID, gradients=True, device="cpu").work == Work(
        products=2 * int(2 * EMBEDDING + 5 * layer),
        scores={"plain": 3 * 5 * 11 * 18 * 18},
        layers={"plain": 15},
        device=CPU,
        dtype=torch.float32,
    )


def test_a_gated_mlp_has_half_as_many_products_again() -> None:
    plain, gated = (ve.estimate(replace(SPEC, mlp=mlp), GRID, device="cpu").work for mlp in ("gelu", "swiglu"))
    assert gated.products - plain.products == 2 * 4 * 18 * 22 * 88  # in the four layers that run to their end


def test_seconds_by_hand(measured: list[Any]) -> None:
    work = Work(
        products=3_000_000,
        scores={"all": 8, "plain": 16},
        layers={"all": 2, "plain": 4},
        device=CPU,
        dtype=torch.float32,
    )
    assert RATES.seconds(work) == 3 + (8 * 0.5 + 16 * 0.0625) + (2 * 64 + 4 * 8)
    expected = replace(ve.estimate(SPEC, GRID, device="cpu"), work=work)
    assert expected.seconds == RATES.seconds(work)
    assert len(measured) == 1


@pytest.mark.usefixtures("measured")
def test_seconds_grow_with_the_picture_the_layers_and_the_statistics() -> None:
    def seconds(size: Any = 70, **asked: Any) -> float:
        return ve.estimate(SPEC, size, device="cpu", **asked).seconds

    assert seconds() < seconds((70, 77)) < seconds((77, 77))
    assert seconds(layers=0) < seconds(layers=-1) < seconds(layers=[1, -1]) < seconds()
    assert seconds(statistics="none") < seconds(statistics="entropy") < seconds()


def test_peak_and_kept_bytes_cost_no_measurement(measured: list[Any]) -> None:
    expected = ve.estimate(SPEC, 700, device="cpu")
    assert expected.peak_bytes > expected.kept_bytes > 0
    repr(expected)
    assert measured == []


def test_eight_threads_measure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first measurement goes on until all threads have asked, so whoever does not wait measures too."""
    calls: list[tuple[Any, ...]] = []
    asking, everybody = itertools.count(1), Event()

    def measure(*asked: Any) -> Rates:
        calls.append(asked)
        assert everybody.wait(timeout=60)
        return RATES

    def ask(_: int) -> Rates:
        if next(asking) == 8:
            everybody.set()
        return speed.rates(CPU, torch.float32)

    monkeypatch.setattr(speed, "_rates", {})
    monkeypatch.setattr(speed, "measure", measure)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [RATES] * 8
    assert calls == [(CPU, torch.float32)]


def test_rates_are_of_a_device_a_precision_and_a_number_of_threads(
    measured: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for threads in (1, 3, 1):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        for dtype in (torch.float32, torch.bfloat16, torch.float32):
            speed.rates(CPU, dtype)
    assert measured == [(CPU, dtype, threads) for threads in (1, 3) for dtype in (torch.float32, torch.bfloat16)]


def test_a_device_that_is_not_there_has_no_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_rates", {})
    with pytest.raises(ve.SpecError, match="'xpu'"):
        ve.estimate(SPEC, GRID, device="xpu").seconds  # noqa: B018


def test_measured_rates_are_positive_and_leave_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SAMPLE", replace(speed._SAMPLE, dim=48, heads=3))
    monkeypatch.setattr(speed, "_CPU_SIDE", 64)
    monkeypatch.setattr(speed, "_REPEATS", 1)
    before = torch.get_rng_state()
    rates = speed.measure(CPU, torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    kinds = {"all", "entropy", "none", "plain"}
    assert (set(rates.score), set(rates.layer)) == (kinds, kinds)
    assert all(0 < rate < math.inf for rate in (rates.products, *rates.layer.values()))
    assert all(0 <= rate < math.inf for rate in rates.score.values())


def test_a_gpu_whose_memory_is_full_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Rates:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(speed, "_rates", {})
    monkeypatch.setattr(speed, "measure", full)
    with pytest.raises(ve.ResourceError, match="no memory is left on 'cpu'"):
        _ = ve.estimate(SPEC, GRID, device="cpu").seconds
