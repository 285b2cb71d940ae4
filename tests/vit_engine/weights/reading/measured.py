"""Run as a program of its own: what reading each of the files named takes, a line of JSON each.

Its address space is limited, so that what is not refused fails and takes nobody else's memory.
"""

import json
import resource
import sys
import time
from pathlib import Path

from vit_engine.errors import VitEngineError
from vit_engine.weights import inspect_checkpoint, load_model

LIMIT = 10 << 30  # bytes; PyTorch alone maps some gigabytes


def outcome(path: Path) -> str:
    """The class and the message of what both functions raise."""
    messages = set()
    for read in (inspect_checkpoint, load_model):
        try:
            read(path, heads=1)
        except VitEngineError as error:
            messages.add(f"{type(error).__name__}: {error}")
        except BaseException as error:  # noqa: BLE001  # it is what the test is to see
            messages.add(f"not of the engine, {type(error).__name__}: {error}")
        else:
            messages.add("loaded")
    return " | ".join(sorted(messages))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    for path in map(Path, sys.argv[1:]):
        before, begun = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
        said = outcome(path)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss
        sys.stdout.write(f"{json.dumps([said, grown * 1024, time.process_time() - begun])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
