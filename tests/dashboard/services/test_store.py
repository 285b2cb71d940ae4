"""A Store keeps within its bytes, the least recently used out first."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.services.jobs import Store

PATIENCE = 30  # seconds until a test that hangs fails
SESSIONS = 8


@pytest.fixture
def store() -> Store[bytes]:
    return Store(10, size=len)


def test_a_store_finds_what_was_put_into_it_and_nothing_else(store: Store[bytes]) -> None:
    store.put("key", b"1234")
    assert store.get("key") == b"1234"
    assert store.get("other") is None


def test_the_least_recently_used_value_goes_when_the_bytes_are_full(store: Store[bytes]) -> None:
    store.put("first", b"1234")
    store.put("second", b"1234")
    store.get("first")
    store.put("third", b"1234")
    assert store.get("second") is None
    assert (store.get("first"), store.get("third")) == (b"1234", b"1234")


def test_one_large_value_makes_room_for_itself(store: Store[bytes]) -> None:
    for name in "abc":
        store.put(name, b"123")
    store.put("large", b"1234567890")
    assert store.get("large") == b"1234567890"
    assert [store.get(name) for name in "abc"] == [None, None, None]


def test_a_value_over_the_bound_is_not_kept_and_drives_nothing_out(store: Store[bytes]) -> None:
    store.put("small", b"123")
    store.put("key", b"12345678901")
    assert store.get("key") is None
    assert store.get("small") == b"123"


def test_a_value_that_is_taken_out_is_gone_and_its_bytes_are_free(store: Store[bytes]) -> None:
    store.put("key", b"12345678")
    assert store.size == 8
    assert store.pop("key") == b"12345678"
    assert store.pop("key") is None
    assert store.size == 0


def test_room_is_made_by_the_least_recently_used_and_by_no_more_than_needed(store: Store[bytes]) -> None:
    for name in "abc":
        store.put(name, b"123")
    store.get("a")
    store.make_room(4)
    assert {key for key, _ in store.entries()} == {"a", "c"}
    store.make_room(4)
    assert {key for key, _ in store.entries()} == {"a", "c"}
    store.make_room(100)
    assert store.entries() == ()


def test_looking_at_all_entries_uses_none_of_them(store: Store[bytes]) -> None:
    for name in "abc":
        store.put(name, b"123")
    store.get("a")
    assert dict(store.entries()) == dict.fromkeys("abc", b"123")
    store.put("d", b"123")
    assert {key for key, _ in store.entries()} == {"a", "c", "d"}


def test_a_store_stays_within_its_bytes_under_many_threads(store: Store[bytes]) -> None:
    start = threading.Barrier(SESSIONS, timeout=PATIENCE)

    def fill(thread: int) -> None:
        start.wait()
        for number in range(500):
            store.put((thread, number % 7), b"123")
            store.get((thread, number % 5))

    with ThreadPoolExecutor(SESSIONS) as sessions:
        list(sessions.map(fill, range(SESSIONS), timeout=PATIENCE))
    kept = [store.get((thread, number)) for thread in range(SESSIONS) for number in range(7)]
    assert sum(len(value) for value in kept if value is not None) <= 10
