"""Long work for many sessions at once: done in the background, once for each key, watched from sessions.

A session that watches a job draws its progress and stays free to leave: a rerun of its script comes back to the same
job. One that nobody has watched for a while is given up at its next report, unless it was started to go on by itself.
"""

import sys
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache

import vit_engine as ve
from dashboard.services.lanes import UNKNOWN, Lanes, Size, Ticket, Turns, choose
from vit_engine.progress import Progress

Value = TypeVar("Value")
Make = Callable[[Progress], Value]  # work that gets a way to report

POLL = 0.1  # seconds between two looks at a job
GRACE = 5.0  # seconds without a watcher after which a job is given up: long enough for a rerun


class AbandonedError(Exception):
    """Nobody watches this job any more."""


class StoppedError(Exception):
    """Somebody stopped this job."""


@dataclass(eq=False, repr=False, kw_only=True)
class Job(Ticket, Generic[Value]):
    """Work under way."""

    make: Make[Value]
    message: str  # what is being done
    fraction: float = 0.0  # how far it is, 0..1
    lasting: bool = False  # whether it goes on while nobody watches
    stopped: bool = False  # whether it ends at its next report
    watched: float = field(default_factory=time.monotonic)  # when somebody last did
    future: Future[Value] = field(default_factory=Future)

    def report(self, fraction: float, message: str) -> None:
        """Called by the work; raises StoppedError if it was stopped, AbandonedError if it is for nobody."""
        if self.stopped:
            raise StoppedError(message)
        if self.abandoned:
            raise AbandonedError(message)
        self.fraction, self.message = min(max(fraction, 0.0), 1.0), message

    @property
    def abandoned(self) -> bool:
        """Whether nobody has watched for a while what should not go on by itself."""
        return not self.lasting and time.monotonic() - self.watched > GRACE

    def watch(self, progress: Progress) -> Value:
        """Wait for the result, telling `progress` again and again; what that raises ends the watching, not the job."""
        while not wait([self.future], timeout=POLL).done:
            if self.stopped:
                raise StoppedError(self.message)
            self.watched = time.monotonic()
            progress(self.fraction, self.message)
        return self.future.result()


class Jobs:
    """Runs jobs in the background, one of each key at a time, as dashboard.services.lanes chooses; the others wait."""

    def __init__(
        self,
        *,
        at_once: int,
        waiting: str,
        for_small: int = 0,
        small_seconds: float = 0.0,
        budget: Callable[[], int] = lambda: sys.maxsize,
        short_of_memory: str = "waiting for memory",
    ) -> None:
        """waiting, short_of_memory: messages to those who wait. budget: bytes that all jobs together may take."""
        self._lanes = Lanes(at_once, for_small, small_seconds)
        self._pool = ThreadPoolExecutor(at_once + for_small)
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Job] = {}
        self._queue: list[Job] = []
        self._running: list[Job] = []
        self._turns = Turns()
        self._budget = budget
        self._waiting, self._short_of_memory = waiting, short_of_memory

    def run(
        self,
        key: Hashable,
        make: Make[Value],
        progress: Progress,
        *,
        store: "Store[Value] | None" = None,
        session: str = "",
        size: Size = UNKNOWN,
    ) -> Value:
        """What `make` returns or raises, from the job of this key if there is one; StoppedError where it is stopped.

        store: where it may be already, and is put, watched to its end or not. session: who asks, so that all get their
        turns. size: what it is expected to take.
        """
        if store is not None and (kept := store.get(key)) is not None:
            return kept
        work = make if store is None else lambda report: store.get_or_make(key, lambda: make(report))
        while True:
            try:
                return self._job(key, work, session=session, size=size).watch(progress)
            except AbandonedError:  # just before this watcher came: begin again
                continue

    def start(self, key: Hashable, make: Make[Value]) -> None:
        """Have it done whether or not anybody watches; a job of this key that there is goes on likewise."""
        self._job(key, make, lasting=True)

    def find(self, key: Hashable) -> Job | None:
        """The job of this key that is under way or waiting, or None."""
        with self._lock:
            return self._jobs.get(key)

    def stop(self, key: Hashable) -> None:
        """End the job of this key, if there is one: for its watchers at once, for itself at its next report."""
        with self._lock:
            job = self._jobs.pop(key, None)
            if job is not None:
                job.stopped = True
                self._admit()

    def _job(
        self, key: Hashable, make: Make[Value], *, lasting: bool = False, session: str = "", size: Size = UNKNOWN
    ) -> Job[Value]:
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                job = self._jobs[key] = Job(key, size, time.monotonic(), make=make, message=self._waiting)
                self._queue.append(job)
            job.lasting = job.lasting or lasting
            job.sessions.add(session)
            self._turns.join(session)
            self._admit()
            return job

    def _admit(self) -> None:
        """Begin whatever may begin now, and have the others say what they wait for; call with the lock held."""
        self._drop_what_nobody_wants()
        while True:
            now, taken = time.monotonic(), self._turns.taken
            choice = choose(self._queue, self._running, self._lanes, now=now, budget=self._budget, taken=taken)
            for job in self._queue:
                job.message = self._short_of_memory if job in choice.short_of_memory else self._waiting
            if choice.ticket is None:
                return
            self._queue.remove(choice.ticket)
            self._running.append(choice.ticket)
            self._pool.submit(self._work, choice.ticket)

    def _drop_what_nobody_wants(self) -> None:
        for job in [job for job in self._queue if job.stopped or job.abandoned]:
            self._queue.remove(job)
            self._forget(job)
            job.future.set_exception(StoppedError(job.message) if job.stopped else AbandonedError(job.message))

    def _work(self, job: Job) -> None:
        try:
            job.report(0.0, job.message)
            value = job.make(job.report)
        except BaseException as error:  # noqa: BLE001  (raised for all who watch, as by any executor)
            self._end(job)
            job.future.set_exception(error)
        else:
            self._end(job)
            job.future.set_result(value)

    def _end(self, job: Job) -> None:
        with self._lock:
            self._running.remove(job)
            self._forget(job)
            self._admit()

    def _forget(self, job: Job) -> None:
        if self._jobs.get(job.key) is job:  # after a stop, the key may be another job's
            del self._jobs[job.key]
        self._turns.end(job, [*self._queue, *self._running])


def budget() -> int:
    """Bytes that all jobs together may take; none where the budget that was set is no number: each job tells that."""
    try:
        return ve.memory_budget("auto")
    except ve.VitEngineError:
        return 0


class Store(Generic[Value]):
    """Values shared by all sessions, bounded in bytes, the least recently used out first."""

    def __init__(self, max_bytes: int, *, size: Callable[[Value], int]) -> None:
        self._values: LRUCache[Hashable, Value] = LRUCache(max_bytes, getsizeof=size)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """The value of a key, or None."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, unless it alone is over the bound."""
        with self._lock:
            if self._values.getsizeof(value) <= self._values.maxsize:
                self._values[key] = value

    def get_or_make(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made and kept where there is none."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value

    def pop(self, key: Hashable) -> Value | None:
        """Take a value out and return it; None where there is none."""
        with self._lock:
            return self._values.pop(key, None)

    def make_room(self, size: int) -> None:
        """Take values out, the least recently used first, until so many more bytes are within the bound."""
        with self._lock:
            while self._values and self._values.currsize + size > self._values.maxsize:
                self._values.popitem()

    def entries(self) -> tuple[tuple[Hashable, Value], ...]:
        """All keys and values, none of them counted as used."""
        with self._lock:
            return tuple((key, Cache.__getitem__(self._values, key)) for key in self._values)  # LRUCache's own counts

    @property
    def size(self) -> int:
        """Bytes of all values."""
        with self._lock:
            return int(self._values.currsize)
