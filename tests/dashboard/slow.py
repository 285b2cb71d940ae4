"""A picture that takes long to decode without being large, and processes that are watched."""

import struct
import subprocess
from typing import Any


def slow_bmp(steps: int) -> bytes:
    """40×40 pixels, run-length coded: so many runs for a row that is full already, a third of a microsecond each."""
    palette = bytes(1024)
    header = struct.pack("<IiiHHIIiiII", 40, 40, 40, 1, 8, 1, 0, 0, 0, 256, 256)
    offset = 14 + len(header) + len(palette)
    row = bytes((40, 7))
    runs = row + bytes((1, 0)) * steps + (bytes((0, 0)) + row) * 39 + bytes((0, 1))
    return b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset) + header + palette + runs


HOURS = slow_bmp(30_000_000)  # not quite, but longer than any test waits for


class Processes:
    """subprocess.Popen, and what it started."""

    def __init__(self) -> None:
        self.popen, self.started, self.environments = subprocess.Popen, [], []

    def __call__(self, *args: Any, **options: Any) -> subprocess.Popen:
        process = self.popen(*args, **options)
        self.environments.append(options["env"])
        self.started.append(process)
        return process
