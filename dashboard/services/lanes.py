"""Which job is next: small ones have a lane of their own, sessions take turns, and no job waits for ever.

Pure rules over tickets, without threads or clocks: dashboard.services.jobs runs what is chosen here.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

OVERDUE = 20.0  # seconds of waiting after which a job is no longer overtaken by smaller ones


@dataclass(frozen=True)
class Size:
    """What a job is expected to take: seconds, and bytes of memory while it runs."""

    seconds: float
    nbytes: int


UNKNOWN = Size(float("inf"), 0)


@dataclass(frozen=True)
class Lanes:
    """How many jobs run at once: `at_once` of any size, and beside them `for_small` of up to `small_seconds`."""

    at_once: int
    for_small: int = 0
    small_seconds: float = 0.0

    def is_small(self, size: Size) -> bool:
        """Whether a job of this size may use the lanes for small ones."""
        return self.for_small > 0 and size.seconds <= self.small_seconds


@dataclass(eq=False)
class Ticket:
    """A job as the rules see it. sessions: who wants it. since: when it was asked for. small_lane: where it runs."""

    key: Hashable
    size: Size
    since: float
    sessions: set[str] = field(default_factory=set)
    small_lane: bool = False


AnyTicket = TypeVar("AnyTicket", bound=Ticket)


@dataclass(frozen=True)
class Choice(Generic[AnyTicket]):
    """The next job, or None where all wait, and those that wait for memory alone."""

    ticket: AnyTicket | None
    short_of_memory: Collection[AnyTicket] = ()


class Turns:
    """How many of its jobs each session has had done since it last had none; who comes begins where the least is."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}

    def join(self, session: str) -> None:
        """A session has a job."""
        self.taken.setdefault(session, min(self.taken.values(), default=0))

    def end(self, ended: Ticket, others: Iterable[Ticket]) -> None:
        """A job has ended, these others are waiting or running; sessions without any are forgotten."""
        there = {session for ticket in others for session in ticket.sessions}
        self.taken = {
            session: count + (session in ended.sessions) for session, count in self.taken.items() if session in there
        }


def choose(
    waiting: Collection[AnyTicket],
    running: Collection[AnyTicket],
    lanes: Lanes,
    *,
    now: float,
    budget: Callable[[], int],
    taken: Mapping[str, int] = MappingProxyType({}),
) -> Choice[AnyTicket]:
    """The job that begins now, its lane noted in its ticket.

    taken: turns that the sessions have had, by Turns. budget: bytes that all jobs together may take. A job that runs
    alone is never held back for them. An overdue job that has a lane and only lacks memory lets no other one begin
    before it.
    """
    left = budget() - sum(ticket.size.nbytes for ticket in running) if running and waiting else None
    turns, short = _turns(waiting, running, taken), []
    for wanted, small_lane in _offers(waiting, running, lanes):
        for ticket in sorted(wanted, key=lambda ticket: _rank(ticket, turns[ticket], now)):
            if left is None or ticket.size.nbytes <= left:
                ticket.small_lane = small_lane
                return Choice(ticket)
            short.append(ticket)
            if now - ticket.since > OVERDUE:
                return Choice(None, short)
    return Choice(None, short)


def _offers(
    waiting: Collection[AnyTicket], running: Collection[AnyTicket], lanes: Lanes
) -> Iterable[tuple[list[AnyTicket], bool]]:
    """For each free lane, the jobs that may take it, and whether it is for small jobs; in others large go first."""
    small = [ticket for ticket in waiting if lanes.is_small(ticket.size)]
    large = [ticket for ticket in waiting if not lanes.is_small(ticket.size)]
    in_small = sum(ticket.small_lane for ticket in running)
    any_free = len(running) - in_small < lanes.at_once
    if any_free and large:
        yield large, False
    if in_small < lanes.for_small:
        yield small, True
    if any_free and not large:
        yield small, False


def _rank(ticket: Ticket, turn: int, now: float) -> tuple[float, ...]:
    """Overdue jobs first, as they came; then every session's first job, the smallest first; then their second …"""
    if now - ticket.since > OVERDUE:
        return 0, ticket.since
    return 1, turn, ticket.size.seconds, ticket.since


def _turns(waiting: Collection[Ticket], running: Collection[Ticket], taken: Mapping[str, int]) -> dict[Ticket, int]:
    """How many jobs of its sessions come before each, at best: those done, those that run, smaller ones that wait."""
    used = Counter(taken)
    for ticket in running:
        used.update(ticket.sessions)
    turns = {}
    for ticket in sorted(waiting, key=lambda ticket: (ticket.size.seconds, ticket.since)):
        turns[ticket] = min((used[session] for session in ticket.sessions), default=0)
        used.update(ticket.sessions)
    return turns
