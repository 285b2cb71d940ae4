"""Jobs do each piece of work once, whoever watches."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.services import jobs
from dashboard.services.jobs import StoppedError
from tests.dashboard.support import ignore
from tests.dashboard.working import PATIENCE, WAITING, WATCHERS, Stop, Work, at_once, leave, says, some_jobs

pytestmark = pytest.mark.usefixtures("quick_polls")


def test_many_sessions_that_want_one_thing_have_it_made_once(watchers: ThreadPoolExecutor) -> None:
    some, work = some_jobs(at_once=WATCHERS), Work()
    told = [threading.Event() for _ in range(WATCHERS)]
    futures = [watchers.submit(some.run, "key", work.make, says(event, "half")) for event in told]
    assert all(event.wait(PATIENCE) for event in told)
    work.opened.set()
    assert [future.result(PATIENCE) for future in futures] == ["value"] * WATCHERS
    assert work.calls == 1


def test_a_job_that_is_done_is_not_kept(watchers: ThreadPoolExecutor) -> None:
    some = some_jobs()
    assert watchers.submit(some.run, "key", at_once("first"), ignore).result(PATIENCE) == "first"
    assert watchers.submit(some.run, "key", at_once("second"), ignore).result(PATIENCE) == "second"


def test_different_things_are_made_side_by_side(watchers: ThreadPoolExecutor) -> None:
    some, together = some_jobs(at_once=2), threading.Barrier(2, timeout=PATIENCE)
    futures = [watchers.submit(some.run, key, lambda _: together.wait(), ignore) for key in ("one", "two")]
    assert {future.result(PATIENCE) for future in futures} == {0, 1}


def test_no_more_are_made_at_once_than_allowed_and_who_waits_is_told(watchers: ThreadPoolExecutor) -> None:
    some, first, second, told = some_jobs(at_once=1), Work("first"), Work("second"), threading.Event()
    second.opened.set()
    one = watchers.submit(some.run, "one", first.make, ignore)
    assert first.started.wait(PATIENCE)
    two = watchers.submit(some.run, "two", second.make, says(told, WAITING))
    assert told.wait(PATIENCE)
    assert not second.started.is_set()
    first.opened.set()
    assert (one.result(PATIENCE), two.result(PATIENCE)) == ("first", "second")


@pytest.mark.parametrize("count", [1, WATCHERS])
def test_a_failure_is_told_to_all_who_watch_and_the_next_one_begins_again(
    watchers: ThreadPoolExecutor, count: int
) -> None:
    some, work = some_jobs(at_once=1), Work(error=ValueError("no"))
    told = [threading.Event() for _ in range(count)]
    futures = [watchers.submit(some.run, "key", work.make, says(event, "half")) for event in told]
    assert all(event.wait(PATIENCE) for event in told)
    work.opened.set()
    assert [str(future.exception(PATIENCE)) for future in futures] == ["no"] * count
    for key in ("key", "other"):  # neither the key nor the place is taken
        assert watchers.submit(some.run, key, at_once(), ignore).result(PATIENCE) == "value"


def test_who_leaves_comes_back_to_the_same_job(watchers: ThreadPoolExecutor) -> None:
    some, work = some_jobs(), Work()
    for _ in range(3):
        with pytest.raises(Stop):
            some.run("key", work.make, leave)
    told = threading.Event()
    future = watchers.submit(some.run, "key", work.make, says(told, "half"))
    assert told.wait(PATIENCE)
    work.opened.set()
    assert future.result(PATIENCE) == "value"
    assert work.calls == 1


def test_one_who_leaves_takes_nothing_from_those_who_stay(watchers: ThreadPoolExecutor) -> None:
    some, work, told = some_jobs(), Work(), threading.Event()
    stays = watchers.submit(some.run, "key", work.make, says(told, "half"))
    assert told.wait(PATIENCE)
    with pytest.raises(Stop):
        some.run("key", work.make, leave)
    work.opened.set()
    assert stays.result(PATIENCE) == "value"


def test_what_nobody_watches_is_given_up_and_made_anew_for_the_next(
    watchers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, left, again = some_jobs(), Work("left"), Work("again")
    with pytest.raises(Stop):
        some.run("key", left.make, leave)
    assert left.started.wait(PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "GRACE", -1.0)  # nobody's last look is recent enough
        left.opened.set()
        assert left.ended.wait(PATIENCE)
    assert left.abandoned
    again.opened.set()
    assert watchers.submit(some.run, "key", again.make, ignore).result(PATIENCE) == "again"


def test_what_is_watched_is_never_given_up(watchers: ThreadPoolExecutor) -> None:
    some, work, told = some_jobs(), Work(), threading.Event()
    future = watchers.submit(some.run, "key", work.make, says(told, "half"))
    assert told.wait(PATIENCE)
    work.opened.set()
    assert future.result(PATIENCE) == "value"
    assert not work.abandoned


def test_what_was_started_goes_on_while_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    some, work = some_jobs(), Work()
    monkeypatch.setattr(jobs, "GRACE", -1.0)  # nobody's last look is recent enough
    some.start("key", work.make)
    assert work.started.wait(PATIENCE)
    job = some.find("key")
    assert job is not None
    assert (job.fraction, job.message) == (0.5, "half")
    work.opened.set()
    assert job.future.result(PATIENCE) == "value"
    assert not work.abandoned
    assert some.find("key") is None


def test_what_is_watched_can_be_made_lasting(watchers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    some, work = some_jobs(), Work()
    with pytest.raises(Stop):
        some.run("key", work.make, leave)
    assert work.started.wait(PATIENCE)
    some.start("key", work.make)
    told = threading.Event()
    future = watchers.submit(some.run, "key", work.make, says(told, "half"))
    assert told.wait(PATIENCE)
    monkeypatch.setattr(jobs, "GRACE", -1.0)
    work.opened.set()
    assert future.result(PATIENCE) == "value"
    assert work.calls == 1


def test_a_job_that_is_stopped_ends_for_all_who_watch_at_once_and_for_itself_at_its_next_report(
    watchers: ThreadPoolExecutor,
) -> None:
    some, work = some_jobs(), Work()
    told = [threading.Event() for _ in range(3)]
    futures = [watchers.submit(some.run, "key", work.make, says(event, "half")) for event in told]
    assert all(event.wait(PATIENCE) for event in told)
    some.stop("key")
    assert some.find("key") is None
    assert all(isinstance(future.exception(PATIENCE), StoppedError) for future in futures)
    assert not work.ended.is_set()
    work.opened.set()
    assert work.ended.wait(PATIENCE)
    assert work.stopped


def test_after_a_stop_the_next_one_begins_again_beside_the_one_that_ends(watchers: ThreadPoolExecutor) -> None:
    some, left, again = some_jobs(at_once=2), Work("left"), Work("again")
    some.start("key", left.make)
    assert left.started.wait(PATIENCE)
    some.stop("key")
    told = threading.Event()
    future = watchers.submit(some.run, "key", again.make, says(told, "half"))
    assert told.wait(PATIENCE)
    left.opened.set()
    assert left.ended.wait(PATIENCE)
    assert some.find("key") is not None  # the one that ended did not take the other's place away
    again.opened.set()
    assert future.result(PATIENCE) == "again"


def test_what_waits_can_be_stopped_before_it_begins(watchers: ThreadPoolExecutor) -> None:
    some, first, second = some_jobs(at_once=1), Work(), Work()
    one = watchers.submit(some.run, "one", first.make, ignore)
    assert first.started.wait(PATIENCE)
    some.start("two", second.make)
    waiting = some.find("two")
    assert waiting is not None
    assert waiting.message == WAITING
    some.stop("two")
    first.opened.set()
    assert one.result(PATIENCE) == "value"
    assert isinstance(waiting.future.exception(PATIENCE), StoppedError)
    assert second.calls == 0


def test_stopping_what_is_not_there_is_nothing() -> None:
    some_jobs().stop("key")
