"""How long runs tell how far they are."""

from collections.abc import Callable

# Called with the part that is done, 0..1, and what is going on; what it raises stops the run.
Progress = Callable[[float, str], None]


def part_of(progress: Progress, begin: float, end: float) -> Progress:
    """The progress of a step that takes a longer run from one part that is done to another, both 0..1."""
    return lambda fraction, message: progress(begin + (end - begin) * fraction, message)
