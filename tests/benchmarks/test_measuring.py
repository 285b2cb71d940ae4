"""What is measured, in a process of its own, and in which order. Nothing is timed here."""

import os
from pathlib import Path
from typing import Any

import pytest

import vit_engine as ve
from benchmarks import measure, plan, runner
from benchmarks.bars import bars
from benchmarks.contenders import CONTENDERS, Pictures
from benchmarks.plan import S8, Case, Job
from benchmarks.results import Results
from tests.benchmarks.support import MACHINE, MIB

on_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's high-water mark")


@on_linux
def test_memory_is_the_peak_above_what_was_in_use() -> None:
    held = b"x" * (100 * MIB)
    cost = measure.watch(lambda: len(b"y" * (60 * MIB)))  # given back before the end: the peak still has it
    assert 59 * MIB <= cost["bytes"] < 80 * MIB  # the kernel counts in batches of pages
    assert len(held) == 100 * MIB


@on_linux
def test_a_click_is_measured_for_each_read(monkeypatch: pytest.MonkeyPatch, loaded: ve.LoadedModel) -> None:
    asked: list[tuple[int, Any]] = []
    real = ve.AttentionTrace.rows

    def rows(trace: ve.AttentionTrace, layer: int, query: Any) -> Any:
        asked.append((layer, query))
        return real(trace, layer, query)

    monkeypatch.setattr(measure, "CLICKS", 25)
    monkeypatch.setattr(ve.AttentionTrace, "rows", rows)
    cost = measure.measure_clicks(loaded, Pictures.of_noise(loaded.spec, size=(32, 80)))
    assert set(cost) == {"cpu_seconds", "wall_seconds", "bytes"}
    assert [layer for layer, _ in asked] == [*range(12), *range(12), 0]
    assert {query for _, query in asked} > {(0, 4), (1, 0)}


def measure_in_a_fork(contender: str, model: str, size: int, *, threads: int, pictures: int) -> dict[str, Any]:
    """In the place of a measurement: what the process is like that it would run in."""
    if contender == "killed":
        os._exit(9)
    asked = {"model": model, "size": size, "threads": threads, "pictures": pictures}
    return {"pid": os.getpid(), "offline": os.environ["HF_HUB_OFFLINE"], **asked}


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # put back afterwards
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    monkeypatch.setattr(runner, "LIBRARIES", ())
    monkeypatch.setattr(runner, "measure", measure_in_a_fork)
    runner._forks.cache_clear()


@pytest.mark.usefixtures("forked")
def test_every_run_has_a_process_of_its_own_and_no_internet() -> None:
    job = Job("ours", S8, 32, threads=2, pictures=3)
    first, second = runner.run_apart(job), runner.run_apart(job)
    assert len({first.pop("pid"), second.pop("pid"), os.getpid()}) == 3
    assert first == second == {"offline": "1", "model": S8, "size": 32, "threads": 2, "pictures": 3}


@pytest.mark.usefixtures("forked")
def test_a_run_that_was_killed_is_named() -> None:
    with pytest.raises(SystemExit, match=r"^killed, ViT-S/8 at 32, 1 thread, run 0 was killed\. .* --resume\.$"):
        runner.run_apart(Job("killed", S8, 32))


def test_contenders_take_turns() -> None:
    case = Case(S8, 224, ("limit", "ours"), runs=2)
    jobs = [(job.threads, job.run, job.contender) for job in plan.turns(case, threads=(1, 2))]
    assert jobs == [
        (threads, run, contender) for threads in (1, 2) for run in (0, 1) for contender in ("limit", "ours")
    ]


def test_the_whole_plan_has_every_run_once_and_no_matrices_that_do_not_fit() -> None:
    jobs = plan.full()
    assert len(set(jobs)) == len(jobs)
    assert {job.contender for job in jobs} == {*CONTENDERS, "click"}
    assert {job.contender for job in jobs if job.pictures == 8} == {"limit", "ours", "entropy"}
    for job in jobs:
        assert plan.tokens(job.model, job.size) <= 3601 or job.contender in {"limit", "ours", "entropy"}
    for case in plan.CASES:
        assert case.runs >= 5
        for threads in (1, 2) if case in plan.TWO_THREADS else (1,):
            wanted = {Job(name, case.model, case.size, threads, run=case.runs - 1) for name in case.contenders}
            assert wanted <= set(jobs)


def test_growth_goes_from_two_hundred_to_ten_thousand_tokens() -> None:
    sizes = {name: [job.size for job in plan.growth() if job.contender == name] for name in plan.GROWTH}
    assert sizes["limit"] == sizes["ours"] == list(plan.GROWTH_SIZES)
    assert [plan.tokens(S8, size) for size in (sizes["limit"][0], sizes["limit"][-1])] == [197, 10_001]
    assert plan.tokens(S8, sizes["explicit"][-1]) == 3601


def test_the_quick_plan_has_what_every_bar_needs_but_the_largest() -> None:
    results = Results(MACHINE)
    for job in plan.quick():
        results.add(job, {"cpu_seconds": 1.0, "wall_seconds": 1.0, "bytes": 1.0})
    whole = Results(MACHINE)
    for job in plan.full():
        whole.add(job, {"cpu_seconds": 1.0, "wall_seconds": 1.0, "bytes": 1.0})
    named = {(bar.what, bar.where) for bar in bars(whole)} - {(bar.what, bar.where) for bar in bars(results)}
    assert named == {("ours, extra peak memory", "ViT-S/8 at 800×800")}
    assert len(plan.quick()) < len(plan.full()) / 5
