"""What is measured: CPU seconds of each kind of interaction, and waiting and memory with many sessions at once."""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from benchmarks.load.client import Answer, LoadError, Session, opened
from benchmarks.load.plan import (
    FIRST_LINK,
    GROWTH_INTERACTIONS,
    HEAD_START,
    HEAVY_LINK,
    KINDS,
    SMALL_LINKS,
    Kind,
    inputs,
    page_of,
    thinks,
    turns,
)
from benchmarks.load.server import MIB, Server

SETTLE = 0.2  # seconds: what follows an answer, such as the collection of garbage, is part of its cost
LOOKS = 90  # at the server's memory, in the time of many sessions


@dataclass
class Alone:
    """One kind of interaction in one session, again and again: server CPU seconds an interaction, and its answers."""

    kind: Kind
    cpu_seconds: list[float] = field(default_factory=list)  # of every round
    answers: list[Answer] = field(default_factory=list)

    def add(self, other: "Alone") -> None:
        """Another round of the same kind."""
        self.cpu_seconds += other.cpu_seconds
        self.answers += other.answers


@dataclass
class Together:
    """Many sessions at once, for some seconds.

    cpu_seconds: of the server, in all. memory: again and again, from when all pages were open until the end, how many
    interactions there had been and what was resident, in MiB.
    """

    sessions: int
    answers: list[Answer] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0
    memory: list[tuple[int, float]] = field(default_factory=list)

    @property
    def growth_kb(self) -> float | None:
        """kB an interaction, by least squares over the last two thirds, once everything has been seen.

        None where there were too few interactions to tell it from what comes and goes.
        """
        done, resident = zip(*self.memory[len(self.memory) // 3 :], strict=True)
        if done[-1] - done[0] < GROWTH_INTERACTIONS:
            return None
        return statistics.linear_regression(done, resident).slope * MIB / 1e3


@dataclass(frozen=True)
class Behind:
    """Seconds until a page with a small analysis has been drawn: by itself, and while a heavy one runs."""

    alone_seconds: float
    behind_seconds: float


async def warm_up(server: Server) -> None:
    """Open each page once and do each thing once, so that models are there and modules are imported."""
    for kind in KINDS:
        await measure_alone(server, kind, repeats=1)


async def measure_alone(server: Server, kind: Kind, *, repeats: int) -> Alone:
    """One kind of interaction, again and again, in a session of its own."""
    async with opened(server.url, kind.page) as session:
        steps, found = turns(kind, random.Random(repeats)), Alone(kind)
        await session.act(next(steps))
        before = server.cpu_seconds()
        found.answers = [await session.act(next(steps)) for _ in range(repeats)]
        await asyncio.sleep(SETTLE)
        found.cpu_seconds.append((server.cpu_seconds() - before) / repeats)
        return found


async def measure_together(server: Server, sessions: int, *, seconds: float) -> Together:
    """So many sessions, each at its own pace."""
    found = Together(sessions)
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(opened(server.url, page_of(number))) for number in range(sessions)]
        before, until = server.cpu_seconds(), time.monotonic() + seconds
        await asyncio.gather(_watch_memory(server, found, seconds), *_people(pages, found, until))
        found.cpu_seconds = server.cpu_seconds() - before
    return found


async def measure_behind(server: Server) -> Behind:
    """How long a small analysis takes by itself, and how long while a heavy one of another session runs."""
    await _first_page(server, FIRST_LINK)
    alone = await _first_page(server, SMALL_LINKS[0])
    heavy = asyncio.create_task(_first_page(server, HEAVY_LINK))
    await asyncio.sleep(HEAD_START)
    if heavy.done():
        raise LoadError("the heavy analysis must still run when the small one is asked for: make it larger.")
    behind = await _first_page(server, SMALL_LINKS[1])
    heavy.cancel()
    await asyncio.gather(heavy, return_exceptions=True)
    return Behind(alone, behind)


async def _first_page(server: Server, link: str) -> float:
    began = time.perf_counter()
    async with opened(server.url, "", link):
        return time.perf_counter() - began


async def _watch_memory(server: Server, found: Together, seconds: float) -> None:
    for _ in range(LOOKS):
        found.memory.append((len(found.answers), server.rss_mib()))
        await asyncio.sleep(seconds / LOOKS)
    found.memory.append((len(found.answers), server.rss_mib()))


def _people(sessions: Sequence[Session], found: Together, until: float) -> list:
    return [_person(session, number, found, until) for number, session in enumerate(sessions)]


async def _person(session: Session, number: int, found: Together, until: float) -> None:
    """Thinks, does something, waits for the answer, until the time is over; an error ends it."""
    for step, pause in zip(inputs(number), thinks(number), strict=False):
        await asyncio.sleep(pause)
        if time.monotonic() > until:
            return
        try:
            found.answers.append(await session.act(step))
        except (LoadError, ConnectionClosed) as error:
            found.errors.append(f"session {number}, {step.kind}: {error}")
            return
