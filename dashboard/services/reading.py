"""The jobs that read weight files: one at a time, because each has a whole file in memory."""

from dashboard.jobs import Jobs
from dashboard.services.process import once_per_process


@once_per_process
def readers() -> Jobs:
    """Of this server."""
    return Jobs(at_once=1, waiting="waiting for another weight file to be read")
