"""Small jobs do not wait for heavy ones, sessions take turns, and memory is shared out: the rules, with threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import vit_engine as ve
from dashboard.services import jobs, memory
from dashboard.services.jobs import AbandonedError, Jobs
from dashboard.services.lanes import Size
from tests.dashboard.support import ignore
from tests.dashboard.working import PATIENCE, WAITING, Stop, Work, at_once, leave, says, some_jobs
from vit_engine.progress import Progress
from vit_engine.resources.budget import BUDGET_VARIABLE

pytestmark = pytest.mark.usefixtures("quick_polls")


def small(*, seconds: float = 1.0, nbytes: int = 0) -> Size:
    return Size(seconds, nbytes)


def two_lanes(**options: Any) -> Jobs:
    return Jobs(at_once=1, waiting=WAITING, for_small=1, small_seconds=2.0, **options)


def test_a_small_job_does_not_wait_for_a_heavy_one(watchers: ThreadPoolExecutor) -> None:
    some, heavy = two_lanes(), Work("heavy")
    first = watchers.submit(some.run, "heavy", heavy.make, ignore, session="a", size=Size(60.0, 0))
    assert heavy.started.wait(PATIENCE)
    second = watchers.submit(some.run, "small", at_once("small"), ignore, session="b", size=small())
    assert second.result(PATIENCE) == "small"
    assert not heavy.ended.is_set()
    heavy.opened.set()
    assert first.result(PATIENCE) == "heavy"


def test_sessions_take_turns_while_one_has_many_jobs_waiting(watchers: ThreadPoolExecutor) -> None:
    some, gate, ended = some_jobs(at_once=1), Work(), []
    watchers.submit(some.run, "gate", gate.make, ignore, session="a", size=small())
    assert gate.started.wait(PATIENCE)
    futures, told = [], []
    for key, session in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("b2", "b")):
        waits = threading.Event()
        make = partial(_note, ended, key)
        futures.append(watchers.submit(some.run, key, make, says(waits, WAITING), session=session, size=small()))
        assert waits.wait(PATIENCE)  # so that they have come in this order
        told.append(waits)
    gate.opened.set()
    assert [future.result(PATIENCE) for future in futures] == ["a1", "a2", "a3", "b1", "b2"]
    assert ended == ["b1", "a1", "b2", "a2", "a3"]  # a has had one turn already


def _note(ended: list[str], key: str, _: Progress) -> str:
    ended.append(key)
    return key


def test_what_waits_for_memory_alone_says_so_and_begins_when_there_is_some(watchers: ThreadPoolExecutor) -> None:
    some, first, told = two_lanes(budget=lambda: 100, short_of_memory="short"), Work("first"), threading.Event()
    one = watchers.submit(some.run, "one", first.make, ignore, session="a", size=Size(60.0, 80))
    assert first.started.wait(PATIENCE)
    two = watchers.submit(some.run, "two", at_once("two"), says(told, "short"), session="b", size=small(nbytes=21))
    assert told.wait(PATIENCE)
    fits = watchers.submit(some.run, "fits", at_once("fits"), ignore, session="c", size=small(nbytes=20))
    assert fits.result(PATIENCE) == "fits"
    assert not two.done()
    first.opened.set()
    assert (one.result(PATIENCE), two.result(PATIENCE)) == ("first", "two")


def test_what_waits_and_nobody_watches_any_more_takes_nobody_s_turn(
    watchers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, gate, left = some_jobs(at_once=1), Work(), Work("left")
    one = watchers.submit(some.run, "gate", gate.make, ignore)
    assert gate.started.wait(PATIENCE)
    with pytest.raises(Stop):
        some.run("left", left.make, leave)
    waiting = some.find("left")
    assert waiting is not None
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "GRACE", -1.0)  # nobody's last look is recent enough
        some.stop("nothing")
        some.start("lasting", at_once("lasting"))
        assert isinstance(waiting.future.exception(PATIENCE), AbandonedError)
    assert some.find("left") is None
    gate.opened.set()
    assert one.result(PATIENCE) == "value"
    assert left.calls == 0


def test_without_a_budget_nothing_waits_for_memory(watchers: ThreadPoolExecutor) -> None:
    some, together = some_jobs(at_once=2), threading.Barrier(2, timeout=PATIENCE)
    make = lambda _: together.wait()  # noqa: E731
    futures = [watchers.submit(some.run, key, make, ignore, size=Size(1.0, 10**12)) for key in ("one", "two")]
    assert {future.result(PATIENCE) for future in futures} == {0, 1}


@pytest.mark.usefixtures("fresh_caches")
def test_a_small_weight_file_is_read_while_a_large_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    load, started, go_on = ve.load_model, threading.Event(), threading.Event()

    def held(name: str, **options: Any) -> ve.LoadedModel:
        if name == "random_vit_base_p16":
            started.set()
            assert go_on.wait(PATIENCE)
            name = "random_vit_tiny_p16"
        return load(name, **options)

    monkeypatch.setattr(ve, "load_model", held)
    monkeypatch.setenv(BUDGET_VARIABLE, "100GB")
    large = threading.Thread(target=memory.load_model, args=("random_vit_base_p16", ignore))
    large.start()
    try:
        assert started.wait(PATIENCE)
        assert memory.load_model("demo_vit_p16", ignore).spec.name == "demo_vit_p16"
        assert large.is_alive()
    finally:
        go_on.set()
        large.join(PATIENCE)
