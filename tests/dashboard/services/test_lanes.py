"""Which job is next, by hand: (seconds, session, asked for at) and who runs."""

from dataclasses import replace

import pytest

from dashboard.services.lanes import OVERDUE, UNKNOWN, Lanes, Size, Ticket, Turns, choose

ONE = Lanes(at_once=1)
WITH_SMALL = Lanes(at_once=1, for_small=1, small_seconds=2.0)
NOW = 100.0


def ticket(
    name: str, seconds: float, session: str = "a", *, since: float = NOW, nbytes: int = 0, small_lane: bool = False
) -> Ticket:
    return Ticket(name, Size(seconds, nbytes), since, {session}, small_lane)


def order(waiting: list[Ticket], lanes: Lanes) -> str:
    """The names of all jobs in the order in which one lane takes them, each ending before the next begins."""
    left, names, turns = list(waiting), "", Turns()
    for session in sorted({session for each in waiting for session in each.sessions}):
        turns.join(session)
    while left:
        chosen = choose(left, [], lanes, now=NOW, budget=lambda: 10**9, taken=turns.taken).ticket
        assert chosen is not None
        left.remove(chosen)
        turns.end(chosen, left)
        names += str(chosen.key)
    return names


def name_of(chosen: Ticket | None) -> str:
    return "" if chosen is None else str(chosen.key)


def test_small_ones_go_first_and_equal_ones_as_they_came() -> None:
    waiting = [ticket("L", 9, "a", since=1 + 90), ticket("S", 1, "b", since=95), ticket("M", 1, "c", since=94)]
    assert order(waiting, ONE) == "MSL"


def test_sessions_take_turns_however_many_jobs_one_has() -> None:
    many = [ticket(name, 1, "a", since=90 + number) for number, name in enumerate("ABCD")]
    assert order([*many, ticket("x", 3, "b", since=99), ticket("y", 4, "b", since=99)], ONE) == "AxByCD"


def test_who_comes_later_begins_where_the_others_are_and_nobody_saves_up_turns() -> None:
    turns = Turns()
    turns.join("a")
    for _ in range(3):
        turns.end(ticket("A", 1, "a"), [ticket("B", 1, "a")])
    turns.join("b")
    assert turns.taken == {"a": 3, "b": 3}
    turns.end(ticket("B", 1, "a"), [ticket("C", 1, "b")])
    assert turns.taken == {"b": 3}  # a has nothing left: what it had is forgotten


def test_a_session_that_has_a_job_running_waits_for_those_that_have_none() -> None:
    running = replace(ticket("R", 1, "a"), small_lane=True)
    waiting = [ticket("A", 1, "a", since=90), ticket("B", 5, "b", since=95)]
    assert name_of(choose(waiting, [running], ONE, now=NOW, budget=lambda: 1).ticket) == "B"


def test_a_job_of_two_sessions_has_the_better_turn_of_both() -> None:
    shared = ticket("Z", 5, "a", since=99)
    shared.sessions.add("b")
    assert order([ticket("A", 1, "a", since=90), ticket("C", 4, "a", since=91), shared], ONE) == "AZC"


def test_what_has_waited_long_is_overtaken_no_more() -> None:
    heavy = ticket("H", 60, "a", since=NOW - OVERDUE - 1)
    assert order([ticket("S", 1, "b"), heavy, ticket("T", 1, "c")], ONE) == "HST"
    heavy.since = NOW - OVERDUE + 1
    assert order([ticket("S", 1, "b"), heavy, ticket("T", 1, "c")], ONE) == "STH"


def test_a_small_one_runs_beside_a_heavy_one_and_a_second_heavy_one_does_not() -> None:
    heavy = ticket("H", 60, "a")
    chosen = choose([ticket("L", 2.1, "b"), ticket("S", 2.0, "c")], [heavy], WITH_SMALL, now=NOW, budget=lambda: 1)
    assert name_of(chosen.ticket) == "S"
    assert chosen.ticket is not None
    assert chosen.ticket.small_lane
    assert choose([ticket("L", 2.1, "b")], [heavy], WITH_SMALL, now=NOW, budget=lambda: 1).ticket is None


def test_small_ones_leave_the_lane_for_all_to_a_large_one_that_waits() -> None:
    small = ticket("R", 1, "a", small_lane=True)
    waiting = [ticket("S", 1, "b", since=90), ticket("L", 60, "c", since=99)]
    assert name_of(choose(waiting, [small], WITH_SMALL, now=NOW, budget=lambda: 1).ticket) == "L"
    assert name_of(choose(waiting[:1], [small], WITH_SMALL, now=NOW, budget=lambda: 1).ticket) == "S"


def test_a_job_of_unknown_size_is_a_large_one() -> None:
    assert not WITH_SMALL.is_small(UNKNOWN)
    assert not ONE.is_small(Size(0.0, 0))


@pytest.mark.parametrize(("left", "chosen"), [(50, "S"), (49, "")])
def test_jobs_side_by_side_keep_within_the_budget(left: int, chosen: str) -> None:
    heavy, small = ticket("H", 60, nbytes=1000), ticket("S", 1, "b", nbytes=50)
    choice = choose([small], [heavy], WITH_SMALL, now=NOW, budget=lambda: 1000 + left)
    assert name_of(choice.ticket) == chosen
    assert [waits.key for waits in choice.short_of_memory] == ([] if chosen else ["S"])


def test_a_job_alone_is_never_held_back_for_memory() -> None:
    assert name_of(choose([ticket("H", 60, nbytes=10**12)], [], ONE, now=NOW, budget=lambda: 0).ticket) == "H"


def test_a_smaller_one_that_fits_goes_before_one_that_does_not_until_that_is_overdue() -> None:
    running = ticket("R", 1, "a", nbytes=10, small_lane=True)
    large, fits = ticket("L", 60, "b", nbytes=95, since=90), ticket("F", 70, "c", nbytes=5)
    assert name_of(choose([large, fits], [running], WITH_SMALL, now=NOW, budget=lambda: 100).ticket) == "F"
    large.since = NOW - OVERDUE - 1
    small = ticket("S", 1, "d", nbytes=5)
    choice = choose([large, fits, small], [running], WITH_SMALL, now=NOW, budget=lambda: 100)
    assert choice.ticket is None  # nothing more begins before it: else it would never have its memory
    assert [waits.key for waits in choice.short_of_memory] == ["L"]


def test_who_lacks_a_lane_holds_nobody_back() -> None:
    running, overdue = ticket("R", 60, "a", nbytes=10), ticket("L", 60, "b", nbytes=95, since=0)
    choice = choose([overdue, ticket("S", 1, "c", nbytes=5)], [running], WITH_SMALL, now=NOW, budget=lambda: 100)
    assert name_of(choice.ticket) == "S"
