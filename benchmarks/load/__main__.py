"""What the server takes of its machine and how long its users wait, with many of them at once.

python -m benchmarks.load                   this checkout, then benchmarks/LOAD.md: seven minutes
python -m benchmarks.load --against PATH    another checkout too, the two in turns: thirteen minutes
python -m benchmarks.load --quick           in less time; prints the tables and writes nothing

Everything is on loopback. Nothing else should run meanwhile.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.load.measure import measure_alone, measure_behind, measure_together, warm_up
from benchmarks.load.plan import (
    BUSIEST,
    BUSIEST_SECONDS,
    KINDS,
    QUICK_REPEATS,
    QUICK_SECONDS,
    REPEATS,
    ROUNDS,
    SECONDS,
    SESSIONS,
)
from benchmarks.load.report import Measured, full_report
from benchmarks.load.server import Server, serving
from benchmarks.results import describe_machine

ROOT = Path(__file__).parent.parent.parent
REPORT = ROOT / "benchmarks" / "LOAD.md"
HERE, THERE = "this", "the other"

Pair = tuple[Server, Measured]


def main() -> None:
    options = parse()
    checkouts = {HERE: ROOT} | ({THERE: options.against.resolve()} if options.against else {})
    found = measure(checkouts, quick=options.quick)
    report = full_report(found, describe_load_machine())
    if options.quick:
        print(report)
    else:
        REPORT.write_text(report, encoding="utf-8")
        print(f"Written: {REPORT.relative_to(ROOT)}.")
    errors = [error for one in found for together in one.together.values() for error in together.errors]
    if errors:
        sys.exit("\n".join(["Errors:", *errors]))


def parse() -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description=lines[0],
        epilog="\n".join(lines[2:]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout to measure in the same run")
    parser.add_argument("--quick", action="store_true", help="in less time; prints, and writes no file")
    return parser.parse_args()


def measure(checkouts: dict[str, Path], *, quick: bool) -> list[Measured]:
    """Every checkout, by its title. All their servers are up all the time, and take turns."""
    with ExitStack() as stack:
        pairs = [
            (stack.enter_context(serving(path)), Measured(title, describe_commit(path)))
            for title, path in checkouts.items()
        ]
        asyncio.run(_measure(pairs, quick=quick))
        return [measured for _, measured in pairs]


async def _measure(pairs: Sequence[Pair], *, quick: bool) -> None:
    for server, _ in tqdm(pairs, desc="warming up", unit="server"):
        await warm_up(server)
    await _measure_alone(pairs, rounds=1 if quick else ROUNDS, repeats=QUICK_REPEATS if quick else REPEATS)
    for sessions in tqdm(SESSIONS, desc="many", unit="number of sessions"):
        for server, measured in pairs:
            seconds = QUICK_SECONDS if quick else BUSIEST_SECONDS if sessions == BUSIEST else SECONDS
            measured.together[sessions] = await measure_together(server, sessions, seconds=seconds)
    for server, measured in tqdm(pairs, desc="heavy and small", unit="server"):
        measured.behind = await measure_behind(server)


async def _measure_alone(pairs: Sequence[Pair], *, rounds: int, repeats: int) -> None:
    for _ in tqdm(range(rounds), desc="one session", unit="round"):
        for kind in KINDS:
            for server, measured in pairs:
                found = await measure_alone(server, kind, repeats=repeats)
                kept = measured.alone.setdefault(kind, found)
                if kept is not found:
                    kept.add(found)


def describe_commit(checkout: Path) -> str:
    """The short name of the commit that a checkout is at, and whether files of it were changed since."""
    if not (commit := _git(checkout, "rev-parse", "--short", "HEAD")):
        return "not under version control"
    return f"{commit} with changes" if _git(checkout, "status", "--porcelain") else commit


def _git(checkout: Path, *words: str) -> str:
    """What git says; empty where this is no repository, or there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def describe_load_machine() -> dict[str, Any]:
    """As the other benchmarks describe it, and what pages are made of."""
    return describe_machine() | {name: version(name) for name in ("streamlit", "plotly")}


if __name__ == "__main__":
    main()
