"""What is made of results: ratios, bars, tables and the plot."""

import json
import re
from pathlib import Path

import matplotlib as mpl
import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import plan, report
from benchmarks.bars import Bar, bars, kept_bytes
from benchmarks.plan import S8, S16, Case, Job
from benchmarks.plot import draw, line, write_plot
from benchmarks.results import Results, describe_machine
from tests.benchmarks.support import MACHINE, MIB, results_of


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
