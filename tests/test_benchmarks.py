"""The benchmark: what its contenders compute, what it plans, and what it makes of results. Nothing is timed here."""

import json
import os
import re
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch
from torch import Tensor

import vit_engine as ve
from benchmarks import __main__ as command
from benchmarks import measure, plan, report, runner
from benchmarks.bars import Bar, bars, kept_bytes
from benchmarks.contenders import CONTENDERS, Pictures, timm_model, transformers_model
from benchmarks.plan import S8, S16, Case, Job
from benchmarks.plot import draw, line, write_plot
from benchmarks.results import Results, describe_machine

MACHINE = {
    "date": "2026-02-03",
    "cpu": "Abacus 9",
    "cores": 3,
    "memory_bytes": 5 * 2**30,
    "system": "Linux x86_64",
    "python": "3.11.1",
    "torch": "2.1",
    "timm": "1.2",
    "transformers": "5.6",
    "numpy": "2.3",
    "engine": "0123456789abcdef",
}
MIB = 2**20


# Contenders


@pytest.fixture(scope="module")
def loaded() -> ve.LoadedModel:
    """12 layers, 3 heads, dim 192, with attention that is far from uniform."""
    loaded = ve.load_model("random_vit_tiny_p16", weights="random", device="cpu")
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if "qkv" in name:
                parameter.mul_(8)
    return loaded


@torch.inference_mode()
def run(contender: str, loaded: ve.LoadedModel, *, size: tuple[int, int], count: int = 1) -> Any:
    return CONTENDERS[contender](loaded)(Pictures.of_noise(loaded.spec, size=size, count=count))


def matrices(contender: str, loaded: ve.LoadedModel, *, size: tuple[int, int]) -> list[Tensor]:
    """By layer, each (B, H, N, N); of the last layer alone for "last"."""
    left = run(contender, loaded, size=size)
    if contender == "explicit":
        return left[0]
    if contender == "timm":
        assert list(left) == [f"blocks.{layer}.attn.attn_drop" for layer in range(12)]
        return list(left.values())
    return [left] if contender == "last" else list(left)


@pytest.mark.parametrize(("contender", "layers"), [("explicit", 12), ("timm", 12), ("transformers", 12), ("last", 1)])
def test_matrices_are_layers_of_heads_of_tokens_squared(contender: str, layers: int, loaded: ve.LoadedModel) -> None:
    shapes = [tuple(each.shape) for each in matrices(contender, loaded, size=(32, 80))]
    assert shapes == [(1, 3, 11, 11)] * layers  # 2×5 patches and CLS


def test_all_contenders_show_the_same_attention(loaded: ve.LoadedModel) -> None:
    size = loaded.spec.native_size  # elsewhere each resamples the positions in its own way
    [trace] = run("ours", loaded, size=size)
    expected = [torch.from_numpy(trace.weights(layer))[None] for layer in range(12)]
    assert min(float((a - b).abs().max()) for a, b in combinations(expected, 2)) > 1e-2, "the layers must differ"
    for contender in ("explicit", "timm", "transformers"):
        for layer, found in enumerate(matrices(contender, loaded, size=size)):
            torch.testing.assert_close(found, expected[layer], atol=1e-4, rtol=0, msg=f"{contender}, layer {layer}")
    torch.testing.assert_close(matrices("last", loaded, size=size)[0], expected[-1], atol=1e-4, rtol=0)


def test_explicit_entropies_are_those_of_attend(loaded: ve.LoadedModel) -> None:
    _, entropies = run("explicit", loaded, size=(32, 80))
    [trace] = run("entropy", loaded, size=(32, 80))
    mean = torch.stack([each[0].mean(dim=-1) for each in entropies])
    torch.testing.assert_close(mean, torch.tensor(trace.statistics.mean_entropy), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("contender", "layers", "distance"),
    [
        ("ours", tuple(range(12)), True),
        ("entropy", tuple(range(12)), False),
        ("ours_last_layer", (11,), True),
        ("ours_first_layer", (0,), True),
    ],
)
def test_attend_records_what_its_name_says(
    contender: str, layers: tuple[int, ...], distance: bool, loaded: ve.LoadedModel
) -> None:
    traces = run(contender, loaded, size=(32, 80), count=2)
    first, second = (trace.layers[layers[0]].queries for trace in traces)
    assert not torch.equal(first, second), "one trace a picture"
    for trace in traces:
        assert tuple(trace.layers) == layers
        assert {tuple(layer.queries.shape) for layer in trace.layers.values()} == {(3, 11, 64)}
        assert trace.statistics.mean_entropy.shape == (len(layers), 3)
        assert (trace.statistics.distance is not None) is distance


def test_limit_is_the_models_output_for_the_whole_batch(loaded: ve.LoadedModel) -> None:
    assert run("limit", loaded, size=(32, 80), count=2).shape == (2, 192)


def test_other_libraries_models_have_the_same_parameters(loaded: ve.LoadedModel) -> None:
    models = (loaded.model, timm_model(loaded), transformers_model(loaded))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in models]
    assert counts == [counts[0]] * 3
    assert not any(model.training for model in models)


def test_pictures_of_a_batch_differ_and_are_the_same_every_time() -> None:
    spec = next(spec for spec in ve.list_models() if spec.name == S16)
    first, again = (Pictures.of_noise(spec, size=(32, 48), count=2) for _ in range(2))
    assert first.images.shape == (2, 3, 32, 48)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images[0], first.images[1])
    assert torch.equal(first.images[1], first.prepared[1].tensor)


# Measuring

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


# Plan


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


# Results


def results_of(*rows: tuple[Job, list[float], list[float], list[float]]) -> Results:
    """From jobs with the CPU seconds, wall seconds and MiB of each of their runs."""
    results = Results(dict(MACHINE))
    for job, *units in rows:
        for number, (cpu, wall, mib) in enumerate(zip(*units, strict=True)):
            measured = {"cpu_seconds": cpu, "wall_seconds": wall, "bytes": mib * MIB}
            results.add(replace(job, run=number), measured)
    return results


@pytest.fixture
def results() -> Results:
    return results_of(
        (Job("limit", S8, 480), [5, 4, 9], [5, 5, 5], [100, 110, 90]),
        (Job("entropy", S8, 480), [6, 7, 5.5], [6, 6, 6], [200, 200, 200]),
        (Job("ours", S8, 480), [8, 7, 7.75], [8, 8, 8], [220, 300, 210]),
        (Job("explicit", S8, 480), [15, 14, 16], [15, 15, 15], [4000, 4100, 4200]),
        (Job("limit", S8, 480, threads=2), [5, 5, 5], [3, 2.5, 2], [1, 1, 1]),
        (Job("entropy", S8, 480, threads=2), [6, 6, 6], [3.5, 3.5, 4], [1, 1, 1]),
        (Job("click", S8, 480), [0.1, 0.1, 0.1], [0.012, 0.0125, 0.05], [0, 0, 0]),
        (Job("limit", S16, 224, pictures=8), [2], [2], [80]),
        (Job("ours", S16, 224, pictures=8), [3], [3], [60]),
        (Job("limit", S8, 224), [1], [1], [20]),
        (Job("ours", S8, 800), [70], [70], [1500]),
    )


def test_a_spread_is_of_the_runs_of_one_job_only(results: Results) -> None:
    spread = results.spread("cpu_seconds", Job("limit", S8, 480, run=1))
    assert spread is not None
    assert (spread.median, spread.least, spread.most, spread.runs) == (5, 4, 9, 3)
    assert results.median("wall_seconds", Job("limit", S8, 480, threads=2)) == 2.5
    assert results.spread("cpu_seconds", Job("timm", S8, 480)) is None


def test_a_ratio_is_of_medians(results: Results) -> None:
    assert results.ratio("cpu_seconds", Job("ours", S8, 480), Job("limit", S8, 480)) == 7.75 / 5
    assert results.ratio("cpu_seconds", Job("ours", S8, 480), Job("limit", S8, 112)) is None


def test_results_are_read_as_they_were_written(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results.write(path)
    assert Results.read(path) == results
    assert json.loads(path.read_text())["runs"][0]["contender"] == "limit"
    assert [each.name for each in tmp_path.iterdir()] == ["results.json"]


def test_the_machine_is_described() -> None:
    assert set(describe_machine()) == set(MACHINE)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", describe_machine()["date"])
    assert describe_machine()["torch"].startswith(torch.__version__.split("+")[0])


# Running


def test_every_run_is_written_at_once_and_a_resumed_benchmark_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, jobs, ran = tmp_path / "results.json", list(plan.turns(Case(S8, 224, ("limit", "ours"), runs=2))), []

    def run_apart(job: Job) -> dict[str, float]:
        if len(ran) == 3:
            raise SystemExit("killed")
        ran.append(job)
        return {"cpu_seconds": 1.0, "wall_seconds": 1.0, "bytes": 1.0}

    monkeypatch.setattr(runner, "run_apart", run_apart)
    with pytest.raises(SystemExit, match="killed"):
        runner.run_all(jobs, Results(MACHINE), path=path)
    assert Results.read(path).done() == set(jobs[:3])
    ran.clear()
    runner.run_all(jobs, Results.read(path), path=path)
    assert ran == jobs[3:]
    assert Results.read(path).done() == set(jobs)


def test_another_machines_results_are_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    Results(describe_machine() | {"date": "2020-01-01"}).write(path)
    assert command.resumed(path).machine["date"] == "2020-01-01"
    Results(describe_machine() | {"cpu": "Abacus 9"}).write(path)
    with pytest.raises(SystemExit, match=r"another machine or engine: cpu differ"):
        command.resumed(path)


# Report


def test_bars_are_met_or_missed_by_so_much(results: Results) -> None:
    found = {(bar.what, bar.where): bar for bar in bars(results)}
    large = "ViT-S/8 at 480×480"
    assert found["entropy / limit, CPU time", large].verdict == "met, 7.7% to spare"  # 6 / 5 of 1.30
    assert found["ours / limit, CPU time", large].verdict == "**missed by 3.3%**"  # 7.75 / 5 of 1.50
    assert found["explicit / entropy, CPU time", large].verdict == "**missed by 16.7%**"  # 15 / 6 of 3
    assert found["a click", large].verdict == "**missed by 25.0%**"  # 12.5 ms of 10
    memory = found["ours, extra peak memory", large]
    assert memory.value == 220
    assert memory.bound == 100 + (2 * 12 * 3601 * 384 * 4 + 32e6) / MIB
    assert not found["ours, extra peak memory", "ViT-S/8 at 800×800"].met  # 1500 MiB are more than 1.5 GB
    assert len(found) == 6


@pytest.mark.parametrize(("at_least", "met"), [(False, (True, True, False)), (True, (False, True, True))])
def test_a_bar_is_met_at_its_bound(at_least: bool, met: tuple[bool, ...]) -> None:
    assert tuple(Bar("", "", value, 1.3, "×", at_least).met for value in (1.2, 1.3, 1.4)) == met


def test_what_a_trace_keeps_is_queries_and_keys() -> None:
    assert kept_bytes(S16, 224) == 2 * 12 * 197 * 384 * 4


def test_every_bar_of_the_project_is_there() -> None:
    whole = Results(MACHINE)
    for job in plan.full():
        whole.add(job, {"cpu_seconds": 1.0, "wall_seconds": 0.004, "bytes": 1.0})
    bounds = {}
    for bar in bars(whole):
        bounds.setdefault(bar.what, []).append(bar.bound if bar.unit == "×" else None)
    assert bounds["entropy / limit, CPU time"] == [1.30, 1.30, 1.30]
    assert bounds["ours / limit, CPU time"] == [1.50, 1.45, 1.40]
    assert bounds["explicit / entropy, CPU time"] == [3.0, 1.5, 1.0]
    assert bounds["timm / entropy, CPU time"] == [1.6, 1.1]
    assert len(bounds["ours, extra peak memory"]) == 4
    assert len(bounds["a click"]) == 1


def test_the_report_has_medians_spreads_and_ratios(results: Results) -> None:
    lines = report.full_report(results).splitlines()
    assert "## ViT-S/8 at 480×480, 3,601 tokens" in lines
    assert "| plain forward pass, the limit | 5.00 (4.00–9.00) | 1.00 | 100 (90–110) | 1.00 |" in lines
    assert "| `attend()` | 7.75 (7.00–8.00) | 1.55 | 220 (210–300) | 2.20 |" in lines
    assert "| timm `AttentionExtract`, matrices only | – | – | – | – |" in lines
    assert "| `attend()` | 3.00 | 1.50 | 60 | 0.75 |" in lines  # the batch
    assert "| 3,601 | 5.00 | 7.75 | 15.0 | 100 | 220 | 4,100 |" in lines
    assert "| 10,001 | – | 70.0 | – | – | 1,500 | – |" in lines
    assert not any(each.startswith("| 6,401 |") for each in lines), "nothing was measured there"
    assert "one thread: 12.50 ms, 80 a second." in report.full_report(results)
    assert "| ours / limit, CPU time | ViT-S/8 at 480×480 | 1.55× | ≤ 1.50× | **missed by 3.3%** |" in lines
    assert "| ours, extra peak memory | ViT-S/8 at 800×800 | 1,500 MiB | ≤ 1,431 MiB | **missed by 4.9%** |" in lines
    assert not any("480×480, 901 tokens" in each for each in lines), "a case that was not measured"


def test_two_threads_have_columns_where_all_have_them() -> None:
    case = Case(S8, 480, ("limit", "ours"), runs=1)
    one = [(Job(name, S8, 480), [seconds], [9], [10]) for name, seconds in (("limit", 2), ("ours", 3))]
    two = [(Job(name, S8, 480, threads=2), [9], [seconds], [99]) for name, seconds in (("limit", 1), ("ours", 1.25))]
    assert report.case_table(results_of(*one, *two), case).splitlines()[-1] == (
        "| `attend()` | 3.00 | 1.50 | 1.25 | 1.25 | 10 | 1.00 |"
    )
    assert report.case_table(results_of(*one, two[0]), case).splitlines()[-1] == (
        "| `attend()` | 3.00 | 1.50 | 10 | 1.00 |"
    )


def test_the_machine_is_named(results: Results) -> None:
    assert report.machine_line(results) == (
        "2026-02-03: Abacus 9, 3 cores, 5 GiB, Linux x86_64; python 3.11.1, torch 2.1, timm 1.2, transformers 5.6."
    )


def test_the_readme_has_a_row_a_contender(results: Results) -> None:
    block = report.readme_block(results)
    assert "|  | ViT-S/8, 480 px | ViT-S/8, 224 px | ViT-S/16, 224 px | ViT-B/16, 480 px | ViT-S/8, 800 px |" in block
    assert "| `attend()` | 1.55×, 220 MiB | – | – | – | – |" in block
    assert "| plain forward pass, the limit | 1.00×, 100 MiB | 1.00×, 20 MiB | – | – | – |" in block
    assert "](docs/benchmark.svg)" in block


def test_the_block_is_replaced_and_nothing_else() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.rewrite(text, "new")
    assert once == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.rewrite(once, "new") == once


@pytest.mark.parametrize("text", ["none", report.BEGIN, report.END, f"{report.END} {report.BEGIN}"])
def test_a_text_without_both_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="needs <!-- benchmark:begin -->"):
        report.rewrite(text, "new")


def test_the_readme_has_the_marks() -> None:
    assert report.rewrite(command.README.read_text(encoding="utf-8"), "new").count("new\n")


# Plot


def test_lines_are_medians_by_tokens(results: Results) -> None:
    assert line(results, "limit", "bytes", MIB) == ([785, 3601], [20, 100])
    assert line(results, "timm", "bytes", MIB) == ([], [])


def test_the_plot_has_a_name_at_every_line(results: Results) -> None:
    for axes in draw(results).axes:
        assert {text.get_text() for text in axes.texts} == {"plain forward", "attend()", "all matrices kept"}
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_the_plot_is_the_same_every_time_and_white(results: Results, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    texts = []
    for name in ("one.svg", "two.svg"):
        write_plot(results, tmp_path / name)
        texts.append((tmp_path / name).read_text(encoding="utf-8"))
    assert texts[0] == texts[1]
    assert "<dc:date>" not in texts[0]
    assert draw(results).get_facecolor() == (1, 1, 1, 1)
    assert dict(mpl.rcParams) == before


# Command


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A README of its own, and runs that cost nothing."""
    (tmp_path / "README.md").write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    names = {"RESULTS": "results.json", "REPORT": "RESULTS.md", "PLOT": "benchmark.svg", "README": "README.md"}
    for name, file in names.items():
        monkeypatch.setattr(command, name, tmp_path / file)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "run_apart", lambda _: {"cpu_seconds": 2.0, "wall_seconds": 1.0, "bytes": 3.0 * MIB})
    return tmp_path


def test_quick_prints_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--quick"])
    command.main()
    assert "| `attend()` | 2.00 (2.00–2.00) | 1.00 | 3 (3–3) | 1.00 |" in capsys.readouterr().out
    assert [each.name for each in places.iterdir()] == ["README.md"]
    assert (places / "README.md").read_text(encoding="utf-8") == f"{report.BEGIN}\n{report.END}\n"


def test_the_whole_writes_everything_and_the_report_again_from_its_results(
    monkeypatch: pytest.MonkeyPatch, places: Path
) -> None:
    few = list(plan.turns(Case(S8, 480, ("limit", "ours"), runs=1)))
    monkeypatch.setattr(command, "full", lambda: few)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    command.main()
    assert {each.name for each in places.iterdir()} == {"README.md", "RESULTS.md", "results.json", "benchmark.svg"}
    written = {each.name: each.read_bytes() for each in places.iterdir()}
    assert b"1.00\xc3\x97, 3 MiB" in written["README.md"]
    for name in ("RESULTS.md", "benchmark.svg"):
        (places / name).unlink()
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--report"])
    monkeypatch.setattr(runner, "run_apart", lambda _: pytest.fail("--report ran something"))
    command.main()
    assert {each.name: each.read_bytes() for each in places.iterdir()} == written
