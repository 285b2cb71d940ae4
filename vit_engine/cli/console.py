"""What the command lines share: exit codes, one-line errors, argument types, progress, whole-or-nothing output."""

import argparse
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

import vit_engine as ve
from vit_engine.grid import Query
from vit_engine.progress import Progress
from vit_engine.resources.budget import format_bytes

LONG = 60  # seconds from which on a run says beforehand what it will take
OK, FAILED, INTERRUPTED = 0, 1, 130  # 2 is argparse's, for wrong usage


def guarded(command: Callable[[], None]) -> int:
    """Run a command and return its exit code; what went wrong is one line on stderr, never a traceback."""
    code = OK
    try:
        command()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else OK
    except KeyboardInterrupt:
        note("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader has had enough
        pass
    except ve.VitEngineError as error:
        code = fail(error)
    except MemoryError:
        code = fail("not enough memory; ask for a smaller size.")
    except OSError as error:
        code = fail(f"{error.filename or 'output'}: {error.strerror or error}.")
    finally:
        _settle_stdout()
    return code


def note(text: str) -> None:
    """A line on stderr, above a progress bar."""
    with tqdm.external_write_mode(file=sys.stderr):
        sys.stderr.write(f"vit-engine: {_printable(text)}\n")


@dataclass(frozen=True)
class Cost:
    """What a step of a run is expected to take."""

    seconds: float
    peak_bytes: int  # with all that is kept of the steps before it, beside the model


def note_long(costs: Mapping[str, Cost]) -> None:
    """One line before a run that is expected to take longer than LONG. costs: by the names of the steps, in order."""
    seconds = sum(cost.seconds for cost in costs.values())
    if seconds <= LONG:
        return
    steps = ", ".join(f"{name} {format_duration(cost.seconds)}" for name, cost in costs.items() if cost.seconds)
    memory = format_bytes(max(cost.peak_bytes for cost in costs.values()))
    note(
        f"note: this will take about {format_duration(seconds)} ({steps}) and up to {memory} of memory beside the "
        "model. A smaller --size is faster; Ctrl-C stops."
    )


def format_duration(seconds: float) -> str:
    """For people: "0.26 s", "12 min", "21.6 h"."""
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def fail(error: object) -> int:
    """What went wrong, as one line on stderr; returns the exit code for it."""
    note("error: " + " ".join(str(error).split()))
    return FAILED


def emit(text: str) -> None:
    """A result on stdout, at once: a full disk or a closed pipe must show before the exit code is settled."""
    if sys.stdout is not None:  # None where the shell has closed it
        encoding = sys.stdout.encoding or "utf-8"
        shown = _printable(text).encode(encoding, errors="backslashreplace").decode(encoding)
        sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()


def _printable(text: str) -> str:
    """Names come from strangers' files: what would steer the terminal is written as its number."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)


def emit_json(value: Any) -> None:
    emit(json.dumps(value, indent=2))


def _settle_stdout() -> None:
    """Send what cannot be written any more nowhere, so that the interpreter does not complain at its exit."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A scratch folder: its files, and those in its folders, move to `folder` once all are written, and vanish if
    anything fails.

    `folder` is made where it does not exist, at once, so that an unwritable one fails before the work.
    """
    existed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=".unfinished-"))
    try:
        yield scratch
        written = sorted(path.relative_to(scratch) for path in scratch.rglob("*"))
        for name in written:
            if (scratch / name).is_dir():
                (folder / name).mkdir(exist_ok=True)
        for name in written:
            if not (scratch / name).is_dir():
                os.replace(scratch / name, folder / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not existed:
            with contextlib.suppress(OSError):  # not empty: the files are there
                folder.rmdir()


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A callback progress(fraction, message) that draws a bar on stderr, where that is a terminal."""
    layout = "{desc} {percentage:3.0f} %|{bar}| {elapsed}, about {remaining} left"
    with tqdm(total=1.0, bar_format=layout, leave=False, disable=None, file=sys.stderr) as bar:

        def report(fraction: float, message: str) -> None:
            bar.n = fraction
            bar.set_description_str(message, refresh=False)
            bar.refresh()

        yield report


def join_values(arguments: Sequence[str], options: dict[str, int]) -> list[str]:
    """Arguments with up to `options[name]` numbers after an option joined to it: --size 96 64 becomes --size=96,64.

    argparse would take -3,-1 for an option, and a file name after two numbers for a third one.
    """
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        values: list[str] = []
        while rest and len(values) < options.get(argument, 0) and _is_numbers(rest[0]):
            values.append(rest.pop(0))
        joined.append(f"{argument}={','.join(values)}" if values else argument)
    return joined


def _is_numbers(text: str) -> bool:
    return bool(text) and all(part.strip().lstrip("-").isdecimal() for part in text.split(","))


# Argument types: each takes a text, or says what it expected.


def numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers with commas between them, got {text!r}") from None


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return int(text)


def head(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0, got {text!r}")
    return int(text)


def fraction(text: str) -> float:
    if not re.fullmatch(r"\d{1,9}(\.\d{1,20})?", text) or not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"expected a number in 0..1, got {text!r}")
    return float(text)


def seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"expected an integer in 0..2^63 - 1, got {text!r}")
    return int(text)


def size(text: str) -> int | tuple[int, int]:
    sides = tuple(positive(part) for part in text.split(","))
    if len(sides) > 2:
        raise argparse.ArgumentTypeError(f"expected N, or HEIGHT WIDTH, got {text!r}")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def layers(text: str) -> str | tuple[int, ...]:
    return text if text == "all" else numbers(text)


def query(text: str) -> Query:
    if text == "cls":
        return text
    patches = numbers(text)
    if len(patches) == 2:
        return patches[0], patches[1]
    if len(patches) == 4:
        return patches[0], patches[1], patches[2], patches[3]
    raise argparse.ArgumentTypeError(f"expected cls, ROW,COL or TOP,LEFT,BOTTOM,RIGHT, got {text!r}")


def checkpoint_spec(
    path: str, heads: int | None, *, option: str, progress: Progress
) -> tuple[ve.ModelSpec, ve.LoadReport]:
    """What a checkpoint is, before it is loaded; CheckpointError where nobody says how many heads it has.

    One on the Hugging Face hub is fetched for that.
    """
    found = ve.inspect_checkpoint(path, heads=heads, progress=progress)
    if found.spec is None:
        raise ve.CheckpointError(f"{path} does not say how many heads it has: pass {option}. {found.advice}")
    return found.spec, found.report
