"""What an analysis will take stands beside the size, before it is run."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys, serve
from dashboard.services import catalogue, limits, memory, pictures
from dashboard.services.analyses import Request
from dashboard.services.requests import Cost
from dashboard.shell.formatting import format_duration
from tests.dashboard.support import SMALL, analyse, assert_drawn, assert_works, ignore, open_small, request, small_trace
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes


def costs(at: AppTest) -> list[str]:
    return [caption.value for caption in at.sidebar.caption if "needs " in caption.value]


def test_the_cost_is_the_engines_estimate_for_the_grid_of_this_picture() -> None:
    picture = pictures.sample_picture("scene_1")
    cost = request(picture, SMALL["model"], 96).cost
    expected = ve.estimate(catalogue.models()[SMALL["model"]], (96, 128))
    assert cost.grid == small_trace().grid == expected.grid
    assert (cost.peak_bytes, cost.seconds) == (expected.peak_bytes, expected.seconds)
    assert cost.seconds > 0
    assert not cost.refusal


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (lambda estimate: ("TRACE_BYTES", estimate.kept_bytes - 1), "its trace of 315 kB is over the 315 kB kept"),
        (lambda estimate: ("MAX_PATCHES", estimate.grid.patches - 1), "at most 47 patches are allowed here"),
    ],
)
def test_the_dashboards_own_limits_are_told_too(
    limit: Callable[[ve.Estimate], tuple[str, int]], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, bound = limit(ve.estimate(catalogue.models()[SMALL["model"]], (96, 128)))
    picture = pictures.sample_picture("scene_1")
    monkeypatch.setattr(limits, name, bound)
    assert reason in request(picture, SMALL["model"], 96).cost.refusal
    monkeypatch.setattr(limits, name, bound + 1)
    assert not request(picture, SMALL["model"], 96).cost.refusal


@pytest.mark.usefixtures("fresh_caches")
def test_what_is_there_or_under_way_is_never_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, model = pictures.sample_picture("scene_1"), SMALL["model"]
    refusals = [lambda size=size: request(picture, model, size).cost.refusal for size in (96, 128)]
    during: list[list[str]] = []

    def attend(*_: object, **__: object) -> ve.AttentionTrace:
        during.append([refusal() for refusal in refusals])
        return small_trace()

    memory.load_model(model, ignore)  # reading it takes memory, too
    monkeypatch.setattr(ve, "attend", attend)
    monkeypatch.setenv(BUDGET_VARIABLE, "1")
    refused = "only 1 B may be taken now"
    assert [refusal() for refusal in refusals] == [refused, refused]
    analyse(picture, model, 96, ignore)
    assert during == [["", refused]]
    assert [refusal() for refusal in refusals] == ["", refused]


def test_memory_and_time_stand_under_the_size_and_follow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def cost(asked: Request) -> Cost:
        assert (asked.picture.sha256, asked.spec.name) == (pictures.sample_picture("scene_1").sha256, SMALL["model"])
        return Cost(small_trace().grid, peak_bytes=asked.size * 10**7, seconds=asked.size / 10)

    monkeypatch.setattr(Request, "cost", property(cost))
    at = open_small()
    assert costs(at) == ["6×8 patches of 16 px  \nneeds 960 MB · about 9.6 s"]
    at.selectbox(key=keys.SIZE).set_value(128).run()
    assert costs(at) == ["6×8 patches of 16 px  \nneeds 1.28 GB · about 13 s"]


@pytest.mark.usefixtures("fresh_caches")
def test_a_size_past_the_budget_is_told_beside_it_and_refused_with_one_that_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = ve.estimate(catalogue.models()[SMALL["model"]], (96, 128)).peak_bytes
    monkeypatch.setenv(BUDGET_VARIABLE, str(small))
    at = open_small(size="480")
    assert_works(at)
    (cost,) = costs(at)
    assert ":red[needs" in cost
    assert f"only {format_bytes(small)} may be taken now" in cost
    (error,) = at.main.error
    assert "short side of 96 px is the largest that fits" in error.value
    at.selectbox(key=keys.SIZE).set_value(96).run()
    assert not at.main.error
    assert_drawn(at, small_trace(), layer=5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "0.1 s"), (0.44, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (99.4, "99 s"), (150.0, "2 min")],
)
def test_rough_times(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.usefixtures("fresh_caches")
def test_a_server_that_cannot_be_warm_says_why_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "lots")
    serve._warm_up()
    (message,) = [record.getMessage() for record in caplog.records if record.name == serve.__name__]
    assert message.startswith("Nothing is warm: VIT_ENGINE_MEMORY_BUDGET must be a number of bytes")
