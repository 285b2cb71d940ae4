"""The load benchmark: its plan, its client against a small app, and its report by hand."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from streamlit.proto.Slider_pb2 import Slider

from benchmarks.load import __main__ as command
from benchmarks.load import measure, plan, report
from benchmarks.load.client import Answer, LoadError, opened
from benchmarks.load.measure import Alone, Behind, Together, measure_together
from benchmarks.load.plan import KINDS, Input
from benchmarks.load.report import Measured
from benchmarks.load.server import Server, serving
from benchmarks.load.widgets import chart_click, initial_state, segment, slider
from tests.asynchronous import finished
from tests.benchmarks.support import MACHINE

EXPLORE = KINDS[0]
AUTHOR = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
APP = """
import streamlit as st

layer = st.slider("Layer", 0, 5, 5, key="layer")
head = st.segmented_control("Head", ["mean", "max", "0", "1", "2", "3"], key="head", default="mean")
if layer == 4:
    raise ValueError("no such layer")
figure = {"data": [{"type": "scatter", "x": [0, 1], "y": [0, 1]}], "layout": {"title": {"text": f"{layer}, {head}"}}}
st.plotly_chart(figure, key="overlay")
clicks = st.components.v2.component("clicks", js="export default () => {}")(key="clicks", on_point_change=lambda: None)
st.html(f"<p>{'the same again and again ' * 1000}</p>")
st.query_params.from_dict({"layer": str(layer), "head": head, "points": str(clicks.point)})
"""


@pytest.fixture(scope="module")
def small_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout, whose dashboard needs no engine."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "dashboard").mkdir()
    (root / "dashboard" / "serve.py").write_text(APP, encoding="utf-8")
    return root


def act(key: str, state: plan.State) -> Input:
    return Input(EXPLORE, key, state)


def test_two_sessions_have_their_own_inputs_answered(small_app: Path) -> None:
    async def drive(server: Server) -> list[str]:
        async with opened(server.url, "") as one, opened(server.url, "") as other:
            first, _ = await asyncio.gather(one.act(act("layer", slider(2))), other.act(act("head", segment("3"))))
            await asyncio.gather(
                one.act(act("clicks", chart_click(x=1, y=2))),
                other.act(act("layer", slider(0))),
            )
            assert 0 < first.chart_seconds <= first.seconds < plan.PATIENCE
            assert first.received_bytes < 20_000  # the text, which is longer, came by its hash alone
            return [one.query, other.query]

    with serving(small_app) as server:
        queries = finished(drive(server))
        assert server.cpu_seconds() > 0
        assert server.rss_mib() > 10
    assert [parse_qs(query)["points"] for query in queries] == [["{'x': 1, 'y': 2}"], ["None"]]
    assert [query.partition("&points")[0] for query in queries] == ["layer=2&head=mean", "layer=0&head=3"]


def test_an_error_on_the_page_and_a_widget_that_is_not_there_are_told(
    small_app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drive(server: Server) -> Together:
        async with opened(server.url, "") as session:
            with pytest.raises(
                LoadError, match=r"needs the widget 'scale'; the page has \['clicks', 'head', 'layer', 'overlay'\]"
            ):
                await session.act(act("scale", segment("own")))
        return await measure_together(server, 2, seconds=0.3)

    monkeypatch.setattr("benchmarks.load.measure.page_of", lambda number: "")
    monkeypatch.setattr("benchmarks.load.measure.inputs", lambda number: iter([act("layer", slider(4 * number))]))
    monkeypatch.setattr("benchmarks.load.measure.thinks", lambda number: iter([0.0]))
    with serving(small_app) as server:
        found = finished(drive(server))
    assert len(found.answers) == 1
    (error,) = found.errors
    assert error.startswith("session 1, Explore: layer: the page shows an exception")
    assert [done for done, _ in found.memory][:: measure.LOOKS] == [0, 1]
    assert all(mib > 10 for _, mib in found.memory)
    assert found.cpu_seconds > 0


def test_a_server_that_does_not_come_up_is_told_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"did not come up; it said:[\s\S]*serve\.py"), serving(tmp_path):
        pytest.fail("it came up")


def test_inputs_are_the_same_in_every_run_and_never_what_is_chosen_already() -> None:
    for session in (0, 1):
        steps = [list(islice(plan.inputs(session), 40)) for _ in range(2)]
        said = [[(step.kind, step.key, step.state("x").SerializeToString()) for step in each] for each in steps]
        assert said[0] == said[1]
        kinds = {step.kind for step in steps[0]}
        assert kinds == {kind for kind in KINDS if kind.page == plan.page_of(session)}
        for key in {step.key for step in steps[0]}:
            states = [step.state("x").SerializeToString() for step in steps[0] if step.key == key]
            assert all(before != after for before, after in pairwise(states))
    least, most = plan.THINK
    assert all(least <= pause <= most for pause in islice(plan.thinks(3), 50))


def test_a_browsers_first_state_of_a_slider_is_its_default_and_then_what_the_server_sets() -> None:
    element = Slider(id="name", default=[3.0], value=[5.0])
    state = initial_state("slider", element)
    assert state is not None
    assert (state.id, list(state.double_array_value.data)) == ("name", [3.0])
    element.set_value = True
    state = initial_state("slider", element)
    assert state is not None
    assert list(state.double_array_value.data) == [5.0]
    words = Slider(id="words", type=Slider.SELECT_SLIDER, options=["a", "b"], default=[1.0])
    state = initial_state("slider", words)
    assert state is not None
    assert list(state.string_array_value.data) == ["b"]
    assert initial_state("plotly_chart", element) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([3.0, 1.0, 2.0], 0.95, 3.0),
        ([4.0], 0.5, 4.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        (list(map(float, range(1, 101))), 0.95, 95.0),
    ],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, expected: float) -> None:
    assert report.percentile(values, share) == expected


def measured(title: str, factor: float) -> Measured:
    """Everything takes factor times what it takes in the first."""
    answers = [Answer(0.05 * factor, seconds * factor, 120_000) for seconds in (0.1, 0.2, 0.9)]
    found = Measured(title, f"commit of {title}")
    memory = [(0, 700.0), *((100 * at, 800.0 + at) for at in range(1, 4))]  # 1 MiB for 100 interactions
    for kind in KINDS:
        found.alone[kind] = Alone(kind, [0.06 * factor, 0.05 * factor, 0.09 * factor], answers)
    for sessions in plan.SESSIONS:
        found.together[sessions] = Together(sessions, answers, ["lost"] * (factor > 1), 0.6 * factor, memory)
    found.behind = Behind(0.5, 0.75 * factor)
    return found


def test_the_report_has_the_bars_of_the_first_and_the_numbers_of_both() -> None:
    text = report.full_report(
        [measured("this", 1), measured("the other", 4)], MACHINE | {"streamlit": "1", "plotly": "7"}
    )
    assert "| CPU | Explore: layer | 60.00 ms | ≤ 120.00 ms | met, 50.0% to spare |" in text
    assert "| CPU | Compare, 4 panes: show | 60.00 ms | ≤ 200.00 ms | met, 70.0% to spare |" in text
    assert "| end, median | 16 sessions | 200.00 ms | ≤ 1000.00 ms | met, 80.0% to spare |" in text
    assert "| end, 95th percentile | 16 sessions | 900.00 ms | ≤ 3000.00 ms | met, 70.0% to spare |" in text
    assert "| memory, growth an interaction | 16 sessions | 10 kB | ≤ 40 kB | met, 73.8% to spare |" in text
    assert "| behind a heavy one | a small analysis | 750.00 ms | ≤ 3000.00 ms | met, 75.0% to spare |" in text
    assert "\n\nCheckouts: this, commit of this; the other, commit of the other.\n\n" in text
    assert "| behind a heavy one / alone | a small analysis | 1.50× | ≤ 3.00× | met, 50.0% to spare |" in text
    assert "| Explore: head | 0.060 | 0.050 | 0.200 | 120 | 0.240 | 0.200 | 0.800 | 120 |" in text
    assert "| 16 | this | 3 | 0 | 0.20 | 0.90 | 0.90 | 0.05 | 0.200 | 700, 801, 803 | 10.5 |" in text
    assert "| 16 | the other | 3 | 1 | 0.80 | 3.60 | 3.60 | 0.20 | 0.800 | 700, 801, 803 | 10.5 |" in text
    assert "| the other | 0.50 | 3.00 |" in text


def test_what_had_no_answer_at_all_is_shown_without_times() -> None:
    found = measured("this", 1)
    for sessions, together in found.together.items():
        found.together[sessions] = replace(together, answers=[], errors=["gone", "gone"])
    text = report.full_report([found], MACHINE | {"streamlit": "1", "plotly": "7"})
    assert "| 4 | this | 0 | 2 | – | – | – | – | – | 700, 801, 803 | 10.5 |" in text
    assert "end, median" not in text


def test_growth_is_that_of_the_last_two_thirds_and_of_enough_interactions() -> None:
    """The first third grows by 90 MiB; then there are 2, 4, 3 and 5 MiB at 0, 50, 100 and 150 interactions more.

    By hand: mean 75 and 3.5; Σxy = 75·1.5 - 25·0.5 - 25·0.5 + 75·1.5 = 200, Σxx = 12500, slope 0.016 MiB.
    """
    memory = [(0, 10.0), (10, 100.0), (20, 102.0), (70, 104.0), (120, 103.0), (170, 105.0)]
    assert Together(16, memory=memory).growth_kb == pytest.approx(0.016 * 1048.576)
    few = [(done // 2, mib) for done, mib in memory]
    assert Together(16, memory=few).growth_kb is None


def test_the_commit_of_a_checkout_is_told_and_whether_it_was_changed(tmp_path: Path) -> None:
    assert command.describe_commit(tmp_path) == "not under version control"
    for words in (["init", "-q"], [*AUTHOR, "commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    head = (tmp_path / ".git" / "HEAD").read_text(encoding="utf-8").removeprefix("ref: ").strip()
    name = (tmp_path / ".git" / head).read_text(encoding="utf-8")
    assert name.startswith(command.describe_commit(tmp_path))
    (tmp_path / "more").touch()
    commit, changed = command.describe_commit(tmp_path).split(" ", 1)
    assert name.startswith(commit)
    assert changed == "with changes"


def test_the_command_writes_one_file_the_quick_one_none_and_errors_end_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[list[str], bool]] = []

    def measure(checkouts: dict[str, Path], *, quick: bool) -> list[Measured]:
        asked.append((list(checkouts), quick))
        return [measured(title, 1 if title == command.HERE else 2) for title in checkouts]

    monkeypatch.setattr(command, "measure", measure)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "REPORT", tmp_path / "LOAD.md")
    monkeypatch.setattr(sys, "argv", ["benchmarks.load", "--quick"])
    command.main()
    assert "## Many sessions" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "argv", ["benchmarks.load", "--against", str(tmp_path)])
    with pytest.raises(SystemExit, match="lost"):
        command.main()
    assert capsys.readouterr().out == "Written: LOAD.md.\n"
    assert (tmp_path / "LOAD.md").read_text(encoding="utf-8").startswith("# Benchmark of the server under load")
    assert asked == [(["this"], True), (["this", "the other"], False)]
