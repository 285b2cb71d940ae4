"""The command: every run, a resumed one, the report alone, and the quick one."""

import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import plan, report, runner
from benchmarks.plan import S8, Case, Job
from benchmarks.results import Results, describe_machine
from tests.benchmarks.support import MACHINE, MIB

ALL_FILES = {"README.md", "RESULTS.md", "results.json", "methods.json", "benchmark.svg"}


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


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A README of its own, and runs that cost nothing."""
    (tmp_path / "README.md").write_text(f"{report.BEGIN}\n{report.END}\n", encoding="utf-8")
    names = {"RESULTS": "results.json", "METHODS": "methods.json", "REPORT": "RESULTS.md"}
    names |= {"PLOT": "benchmark.svg", "README": "README.md"}
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
    monkeypatch.setattr(command, "methods", lambda: few)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    command.main()
    assert {each.name for each in places.iterdir()} == ALL_FILES
    written = {each.name: each.read_bytes() for each in places.iterdir()}
    assert b"1.00\xc3\x97, 3 MiB" in written["README.md"]
    for name in ("RESULTS.md", "benchmark.svg"):
        (places / name).unlink()
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--report"])
    monkeypatch.setattr(runner, "run_apart", lambda _: pytest.fail("--report ran something"))
    command.main()
    assert {each.name: each.read_bytes() for each in places.iterdir()} == written


def test_methods_alone_keep_what_was_measured_of_attention(monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    attention, methods = Job("ours", S8, 480), Job("relevance", S8, 480)
    Results(MACHINE, [asdict(attention) | {"cpu_seconds": 7.0, "wall_seconds": 7.0, "bytes": 7.0}]).write(
        places / "results.json"
    )
    before = (places / "results.json").read_bytes()
    monkeypatch.setattr(command, "full", lambda: pytest.fail("attention was measured again"))
    monkeypatch.setattr(command, "methods", lambda: [methods])
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--only", "methods"])
    command.main()
    assert (places / "results.json").read_bytes() == before
    assert Results.read(places / "methods.json").done() == {methods}
    text = (places / "RESULTS.md").read_text(encoding="utf-8")
    assert "| `attend()` | 7.00 | – |" in text
    assert "| relevance | 2.00 | – |" in text


def test_a_report_of_results_from_before_there_were_methods(monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    Results(MACHINE).write(places / "results.json")
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--report"])
    command.main()
    assert "Not measured." in (places / "RESULTS.md").read_text(encoding="utf-8").split("## Methods")[1]
    assert not (places / "methods.json").exists()
