"""A Store makes each value once, keeps within its bytes, and survives what goes wrong in between."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.services import Store

PATIENCE = 30  # seconds until a test that hangs fails
THREADS = 8


class Stop(BaseException):
    """As Streamlit ends a script: not an Exception."""


def nothing() -> None:
    pass


def store(*, max_bytes: int = 1000, at_once: int = 1) -> Store:
    return Store(max_bytes, size=len, at_once=at_once)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as executor:
        yield executor


class Gate:
    """A make() that says when it runs, and ends when it is told to."""

    def __init__(self, value: bytes = b"value", error: BaseException | None = None) -> None:
        self.value, self.error = value, error
        self.started, self.opened = threading.Event(), threading.Event()
        self.calls = 0

    def make(self) -> bytes:
        self.calls += 1
        self.started.set()
        assert self.opened.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return self.value


def counted(value: bytes = b"value") -> tuple[Callable[[], bytes], list[bytes]]:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(value)
        return value

    return make, made


def test_a_value_is_made_once_and_then_kept() -> None:
    make, made = counted()
    kept = store()
    assert kept.get("key") is None
    first = kept.get_or_make("key", make, nothing)
    assert kept.get_or_make("key", make, nothing) is first is kept.get("key")
    assert len(made) == 1


def test_the_least_recently_used_value_goes_when_the_bytes_are_full() -> None:
    kept = store(max_bytes=10)
    kept.put("first", b"1234")
    kept.put("second", b"1234")
    kept.get("first")
    kept.put("third", b"1234")
    assert kept.get("second") is None
    assert (kept.get("first"), kept.get("third")) == (b"1234", b"1234")


def test_one_large_value_makes_room_for_itself() -> None:
    kept = store(max_bytes=10)
    for name in "abc":
        kept.put(name, b"123")
    kept.put("large", b"1234567890")
    assert kept.get("large") == b"1234567890"
    assert [kept.get(name) for name in "abc"] == [None, None, None]


def test_a_value_over_the_bound_is_given_but_not_kept_and_drives_nothing_out() -> None:
    make, made = counted(b"12345678901")
    kept = store(max_bytes=10)
    kept.put("small", b"123")
    assert kept.get_or_make("key", make, nothing) == b"12345678901"
    assert kept.get("key") is None
    assert kept.get("small") == b"123"
    kept.get_or_make("key", make, nothing)
    assert len(made) == 2


def test_many_threads_that_want_one_value_make_it_once(pool: ThreadPoolExecutor) -> None:
    kept, gate, waiting = store(at_once=THREADS), Gate(), threading.Semaphore(0)
    first = pool.submit(kept.get_or_make, "key", gate.make, nothing)
    assert gate.started.wait(PATIENCE)
    others = [pool.submit(kept.get_or_make, "key", gate.make, waiting.release) for _ in range(THREADS - 1)]
    for _ in others:
        assert waiting.acquire(timeout=PATIENCE)
    gate.opened.set()
    assert all(future.result(PATIENCE) is first.result(PATIENCE) for future in others)
    assert gate.calls == 1


def test_threads_that_all_come_at_once_make_it_once_too(pool: ThreadPoolExecutor) -> None:
    kept, start = store(at_once=THREADS), threading.Barrier(THREADS, timeout=PATIENCE)
    make, made = counted()

    def ask(key: int) -> object:
        start.wait()
        return kept.get_or_make(key, make, nothing)

    for key in range(50):
        assert list(pool.map(ask, [key] * THREADS, timeout=PATIENCE)) == [b"value"] * THREADS
    assert len(made) == 50


def test_different_values_are_made_side_by_side(pool: ThreadPoolExecutor) -> None:
    kept, together = store(at_once=2), threading.Barrier(2, timeout=PATIENCE)
    futures = [
        pool.submit(kept.get_or_make, key, lambda: b"x" * (1 + together.wait()), nothing) for key in ("one", "two")
    ]
    assert sorted(len(future.result(PATIENCE)) for future in futures) == [1, 2]


def test_no_more_are_made_at_once_than_allowed_and_who_waits_is_told(pool: ThreadPoolExecutor) -> None:
    kept, first, second, told = store(at_once=1), Gate(b"first"), Gate(b"second"), threading.Event()
    second.opened.set()
    one = pool.submit(kept.get_or_make, "one", first.make, nothing)
    assert first.started.wait(PATIENCE)
    two = pool.submit(kept.get_or_make, "two", second.make, told.set)
    assert told.wait(PATIENCE)
    assert not second.started.is_set()
    first.opened.set()
    assert (one.result(PATIENCE), two.result(PATIENCE)) == (b"first", b"second")


def test_nobody_is_told_to_wait_without_a_reason() -> None:
    told = threading.Event()
    kept = store()
    kept.get_or_make("key", lambda: b"", told.set)
    kept.get_or_make("key", lambda: b"", told.set)
    assert not told.is_set()


@pytest.mark.parametrize("error", [ValueError("no"), Stop()])
def test_after_a_failure_the_next_one_makes_it(error: BaseException) -> None:
    def fail() -> bytes:
        raise error

    kept = store(at_once=1)
    for _ in range(3):  # more often than there are slots
        with pytest.raises(type(error)):
            kept.get_or_make("key", fail, nothing)
    assert kept.get("key") is None
    assert kept.get_or_make("other", lambda: b"other", nothing) == b"other"
    assert kept.get_or_make("key", lambda: b"value", nothing) == b"value"


@pytest.mark.parametrize("error", [ValueError("no"), Stop()])
def test_who_waited_for_one_that_failed_makes_it(error: BaseException, pool: ThreadPoolExecutor) -> None:
    kept, failing, waiting = store(at_once=1), Gate(error=error), threading.Semaphore(0)
    make, made = counted()
    first = pool.submit(kept.get_or_make, "key", failing.make, nothing)
    assert failing.started.wait(PATIENCE)
    others = [pool.submit(kept.get_or_make, "key", make, waiting.release) for _ in range(THREADS - 1)]
    for _ in others:
        assert waiting.acquire(timeout=PATIENCE)
    failing.opened.set()
    assert isinstance(first.exception(PATIENCE), type(error))
    assert [future.result(PATIENCE) for future in others] == [b"value"] * (THREADS - 1)
    assert len(made) == 1
