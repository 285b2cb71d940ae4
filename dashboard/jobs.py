"""Long work for many sessions at once: done in the background, once for each key, watched from sessions.

A session that watches a job draws its progress and stays free to leave: a rerun of its script comes
back to the same job. A job that nobody has watched for a while is given up at its next report, unless
it was started to go on by itself; any job can be stopped.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from cachetools import Cache, LRUCache

Progress = Callable[[float, str], None]
Value = TypeVar("Value")

POLL = 0.1  # seconds between two looks at a job
GRACE = 5.0  # seconds without a watcher after which a job is given up: long enough for a rerun


class AbandonedError(Exception):
    """Nobody watches this job any more."""


class StoppedError(Exception):
    """Somebody stopped this job."""


class Job(Generic[Value]):
    """Work under way, how far it is (0..1), and what is being done.

    lasting: whether it goes on while nobody watches. stopped: whether it ends at its next report.
    """

    future: Future[Value]

    def __init__(self, message: str) -> None:
        self.fraction, self.message = 0.0, message
        self.lasting = self.stopped = False
        self._watched = time.monotonic()

    def report(self, fraction: float, message: str) -> None:
        """Called by the work; raises StoppedError if it was stopped, AbandonedError if it is for nobody."""
        if self.stopped:
            raise StoppedError(message)
        if not self.lasting and time.monotonic() - self._watched > GRACE:
            raise AbandonedError(message)
        self.fraction, self.message = fraction, message

    def watch(self, progress: Progress) -> Value:
        """Wait for the result, telling `progress` again and again; what that raises ends the watching, not the job."""
        while not wait([self.future], timeout=POLL).done:
            if self.stopped:
                raise StoppedError(self.message)
            self._watched = time.monotonic()
            progress(self.fraction, self.message)
        return self.future.result()


class Jobs:
    """Runs jobs in the background: one of each key at a time, at most `at_once` in all; the others wait."""

    def __init__(self, *, at_once: int, waiting: str) -> None:
        self._pool = ThreadPoolExecutor(at_once)
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, Job] = {}
        self._waiting = waiting

    def run(self, key: Hashable, make: Callable[[Progress], Value], progress: Progress) -> Value:
        """What `make` returns or raises, from the job of this key if there is one. make gets a way to report.

        Raises StoppedError, at once, where somebody stops the job.
        """
        while True:
            try:
                return self._job(key, make).watch(progress)
            except AbandonedError:  # just before this watcher came: begin again
                continue

    def start(self, key: Hashable, make: Callable[[Progress], Value]) -> None:
        """Have it done whether or not anybody watches; a job of this key that there is goes on likewise."""
        self._job(key, make, lasting=True)

    def find(self, key: Hashable) -> Job | None:
        """The job of this key that is under way or waiting, or None."""
        with self._lock:
            return self._jobs.get(key)

    def has(self, key: Hashable) -> bool:
        """Whether a job of this key is under way or waiting."""
        return self.find(key) is not None

    def stop(self, key: Hashable) -> None:
        """End the job of this key, if there is one: for its watchers at once, for itself at its next report."""
        with self._lock:
            job = self._jobs.pop(key, None)
        if job is not None:
            job.stopped = True

    def _job(self, key: Hashable, make: Callable[[Progress], Value], *, lasting: bool = False) -> Job[Value]:
        with self._lock:
            job = self._jobs.get(key)
            if job is not None:
                job.lasting = job.lasting or lasting
            else:
                job = self._jobs[key] = Job(self._waiting)
                job.lasting = lasting
                job.future = self._pool.submit(self._work, key, job, make)
            return job

    def _work(self, key: Hashable, job: Job[Value], make: Callable[[Progress], Value]) -> Value:
        try:
            job.report(0.0, job.message)
            return make(job.report)
        finally:
            with self._lock:
                if self._jobs.get(key) is job:  # after a stop, the key may be another job's
                    del self._jobs[key]


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
