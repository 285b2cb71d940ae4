"""Jobs for tests: work that goes on when it is told to, and those who watch it."""

import threading
from collections.abc import Callable

from dashboard.services.jobs import AbandonedError, Jobs, StoppedError
from vit_engine.progress import Progress

PATIENCE = 30  # seconds until a test that hangs fails
WATCHERS = 8
WAITING = "waiting for others"


class Stop(BaseException):
    """As Streamlit ends a script: not an Exception."""


class Work:
    """A make() that says when it runs, goes on when it is told to, and reports before it ends."""

    def __init__(self, value: str = "value", error: Exception | None = None) -> None:
        self.value, self.error = value, error
        self.started, self.opened, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.calls = 0
        self.abandoned = self.stopped = False

    def make(self, report: Progress) -> str:
        self.calls += 1
        report(0.5, "half")
        self.started.set()
        try:
            assert self.opened.wait(PATIENCE)
            report(1.0, "whole")
        except AbandonedError:
            self.abandoned = True
            raise
        except StoppedError:
            self.stopped = True
            raise
        finally:
            self.ended.set()
        if self.error is not None:
            raise self.error
        return self.value


def some_jobs(*, at_once: int = 1) -> Jobs:
    return Jobs(at_once=at_once, waiting=WAITING)


def says(event: threading.Event, text: str) -> Progress:
    """A watcher's progress that sets an event once it is told this text."""

    def progress(_: float, message: str) -> None:
        if message == text:
            event.set()

    return progress


def leave(*_: object) -> None:
    raise Stop


def at_once(value: str = "value") -> Callable[[Progress], str]:
    return lambda report: value
