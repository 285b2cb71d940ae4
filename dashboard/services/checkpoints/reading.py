"""The jobs that read weight files: a large one at a time, each in memory as a whole, and beside it a small one."""

from dashboard.services.jobs import Jobs, budget
from dashboard.services.process import once_per_process

READ_BYTES = 2e8  # a second, about: from a disk, checked and converted
SMALL_SECONDS = 1.0  # that a file is expected to take, at most, to be read beside another one


@once_per_process
def readers() -> Jobs:
    """Of this server."""
    return Jobs(
        at_once=1,
        waiting="waiting for another weight file to be read",
        for_small=1,
        small_seconds=SMALL_SECONDS,
        budget=budget,
        short_of_memory="waiting until other weight files leave enough memory",
    )
