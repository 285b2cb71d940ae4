"""The benchmark of the pages: its plan, its reckoning, what it writes, and one small round on the server."""

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.pages import __main__ as command
from benchmarks.pages import plan, report, served
from benchmarks.pages.painted import Painted
from benchmarks.pages.plan import Step, View
from benchmarks.pages.report import Measured
from benchmarks.pages.served import Served
from dashboard.compare import state as compare_state
from dashboard.heads import state as heads_state
from dashboard.testing import open_app
from tests.benchmarks.support import MACHINE
from vit_engine.analysis.comparison import Pane

CHROMIUM = "7.8.9"
OPENING = {"minimal page": (2.0, 4.0, 2.5), "dashboard": (2.0, 3.0, 5.0)}  # seconds


def made(view: View) -> Measured:
    """The slowest by its median is not the one with the worst run, nor the largest."""
    served = {"layer": Served((0.1, 0.6, 0.2), 3_000, 400_000), "head": Served((0.25, 0.3, 0.2), 5_000, 300_400)}
    painted = {"layer": Painted((1.0, 1.6, 1.2), (70, 9_000, 80)), "head": Painted((1.1, 1.3, 1.4), (1, 2, 12_345))}
    return Measured(view, served, painted)


def test_bars_are_the_slowest_median_the_worst_run_and_the_largest_page() -> None:
    found = [(bar.what, bar.where, bar.value, bar.bound, bar.unit) for bar in report.bars(made(plan.compare(224)))]
    where = "Compare, 4 panes at 28×28"
    assert found == [
        ("server, median (head)", where, pytest.approx(250), 300, "ms"),
        ("server, worst (layer)", where, pytest.approx(600), 300, "ms"),
        ("painted, median (head)", where, pytest.approx(1300), 1500, "ms"),
        ("painted, worst (layer)", where, pytest.approx(1600), 1500, "ms"),
        ("page (layer)", where, pytest.approx(400), 1000, "kB"),
    ]


def test_the_server_has_half_a_second_at_60_by_60() -> None:
    bars = list(report.bars(made(plan.heads(480))))
    assert [bar.bound for bar in bars] == [500, 500, 1500, 1500, 1000]
    assert {bar.where for bar in bars} == {"Heads at 60×60"}
    assert [bar.met for bar in bars] == [True, False, True, False, True]


def test_a_row_has_medians_with_the_worst_behind_them_and_the_most_bytes() -> None:
    lines = report.view_table(made(plan.compare(224))).splitlines()
    assert lines[0] == "|  | server ms | painted ms | chart kB | page kB | sent kB |"
    assert lines[2:] == [
        "| layer | 200 (600) | 1,200 (1,600) | 3 | 400 | 9 |",
        "| head | 250 (300) | 1,300 (1,400) | 5 | 300 | 12 |",
    ]


def test_the_report_says_how_often_on_what_and_what_is_met() -> None:
    machine = MACHINE | {"streamlit": "4.3", "plotly": "6.7", "Chromium": CHROMIUM}
    text = report.full_report([made(plan.compare(224)), made(plan.heads(480))], OPENING, machine)
    assert "Each change is made 3 times" in text
    assert "2026-02-03: Abacus 9, 3 cores, 5 GiB, Linux x86_64; python 3.11.1, torch 2.1, " in text
    assert "streamlit 4.3, plotly 6.7, Chromium 7.8.9." in text
    assert (
        "| server, median (head) | Compare, 4 panes at 28×28 | 250.00 ms | ≤ 300.00 ms | met, 16.7% to spare |" in text
    )
    assert "| painted, worst (layer) | Heads at 60×60 | 1600.00 ms | ≤ 1500.00 ms | **missed by 6.7%** |" in text
    assert "| page (layer) | Heads at 60×60 | 400 kB | ≤ 1,000 kB | met, 60.0% to spare |" in text
    assert "| opening, median | Explore beside a minimal page | 1.20× | ≤ 1.15× | **missed by 4.3%** |" in text
    assert "| dashboard | 3,000 (5,000) |" in text
    assert (
        text.index("## Bars")
        < text.index("## Opening")
        < text.index("## Compare, 4 panes at 28×28")
        < text.index("## Heads at 60×60")
    )


def test_no_step_chooses_what_is_chosen_already() -> None:
    default, (pane, *_) = compare_state.DEFAULT, map(Pane.parse, plan.PANES)
    begin = {
        "layer": pane.layer,
        "head": str(pane.head),
        "query, by a click": None,
        "scale": default.scale,
        "maps, difference or mask": default.show,
        "statistic": heads_state.DEFAULT.statistic,
    }
    changes = {change.name: change for view in plan.views() for change in view.changes}
    assert changes.keys() == begin.keys()
    for name, change in changes.items():
        values = [begin[name], *(change.step(turn).value for turn in range(plan.REPEATS + 7))]
        assert all(before != after for before, after in pairwise(values)), name


def test_an_arrow_key_leads_from_each_layer_to_the_next() -> None:
    layers = [Pane.parse(plan.PANES[0]).layer, *(int(step.label) for step in plan.LAYERS)]
    assert {abs(after - before) for before, after in pairwise(layers)} == {1}
    assert [step.value for step in plan.LAYERS] == layers[1:]


def test_four_panes_at_both_sizes_are_measured_and_so_are_heads_and_tokens() -> None:
    assert [str(view) for view in plan.views()] == [
        "Compare, 4 panes at 28×28",
        "Compare, 4 panes at 60×60",
        "Heads at 28×28",
        "Heads at 60×60",
        "Tokens at 28×28",
        "Tokens at 60×60",
    ]
    assert plan.compare(480).parameters() == {"picture": "astronaut", "size": "480", "pane": list(plan.PANES)}


def test_a_click_is_on_the_middle_of_the_patch_that_a_point_falls_in() -> None:
    assert served.centre((0.2, 0.4), 224) == (44, 92)  # 44.8 and 89.6: row 5, column 11
    assert served.centre((0.0, 0.999), 224) == (4, 220)
    assert plan.compare(224).on_axes((44, 92)) == (44, 92)
    assert plan.tokens(224).on_axes((44, 92)) == (5, 11)


def test_a_run_that_failed_or_drew_the_same_is_refused() -> None:
    fine: Any = SimpleNamespace(exception=[])
    served.check_changed(fine, "a", "b", what="scale")
    with pytest.raises(RuntimeError, match=r"^scale, turn 1 must draw another chart; got the same\. "):
        served.check_changed(fine, "a", "a", what="scale, turn 1")
    failed: Any = SimpleNamespace(exception=[SimpleNamespace(message="no such layer")])
    with pytest.raises(RuntimeError, match=r"^scale failed: no such layer$"):
        served.check_changed(failed, "a", "b", what="scale")


@pytest.mark.parametrize("view", [plan.compare(96), plan.heads(96), plan.tokens(96)], ids=str)
def test_a_round_on_the_server_measures_every_change(view: View) -> None:
    found = served.serve(view, repeats=2)
    assert list(found) == [change.name for change in view.changes]
    for one in found.values():
        assert len(one.seconds) == 2
        assert min(one.seconds) > 0
        assert 0 < one.chart_bytes < one.page_bytes


def test_a_change_that_changes_nothing_is_not_measured() -> None:
    view = plan.compare(96)
    scale = next(change for change in view.changes if change.name == "scale")
    same = replace(view, changes=(replace(scale, steps=(Step("shared", "Shared"),)),))
    with pytest.raises(RuntimeError, match=r"^Compare, 4 panes at 12×12: scale, turn 0 must draw another chart"):
        served.serve(same, repeats=1)


def test_the_bytes_of_a_page_are_those_of_its_elements_in_the_sidebar_too() -> None:
    at = open_app(picture="scene_1", model="demo_vit_p16", size="96").switch_page("views/guide.py").run()
    main = sum(node.proto.ByteSize() for node in at.main if node.proto is not None)
    assert served.page_bytes(at) > main > len(at.main.markdown[0].value)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """A command that measures nothing: how often each change would have been made."""
    asked: list[int] = []

    def measure(chosen: tuple[View, ...], *, repeats: int) -> tuple[list[Measured], str]:
        asked.append(repeats)
        return [made(view) for view in chosen], CHROMIUM

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "measure_opening", lambda **_: OPENING)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "REPORT", tmp_path / "PAGES.md")
    return asked


def test_the_command_writes_one_file_and_the_quick_one_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ran: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.pages", "--quick"])
    command.main()
    assert f"Chromium {CHROMIUM}" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "argv", ["benchmarks.pages"])
    command.main()
    assert capsys.readouterr().out == "Written: PAGES.md.\n"
    assert (tmp_path / "PAGES.md").read_text(encoding="utf-8").count("\n## ") == 2 + len(plan.views())
    assert ran == [plan.QUICK_REPEATS, plan.REPEATS]
