"""What was measured under load, as Markdown: LOAD.md."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.bars import Bar
from benchmarks.load.measure import Alone, Behind, Together
from benchmarks.load.plan import (
    BEHIND_BAR,
    BEHIND_SECONDS_BAR,
    BUSIEST,
    COMPARE_BAR,
    EXPLORE_BAR,
    GROWTH_BAR,
    KINDS,
    MEDIAN_BAR,
    TAIL_BAR,
    THINK,
    Kind,
)
from benchmarks.report import bars_table, table

INTRODUCTION = """\
# Benchmark of the server under load

Written by `make bench-load`. A server as `make run` starts it, in a process of its own, and clients that speak
Streamlit's protocol over websockets on loopback: they keep the widgets' states and the messages that a browser keeps,
send what a browser sends, and draw nothing. Everything is seeded. The model and the picture are those that a new
session opens with; Compare has four panes. Traces are in memory, but for the last table.

- **CPU**: user and system seconds of the server, an interaction, in one session; the median of the rounds.
- **chart**, **end**: seconds from the input until the page's first chart has come, and until the script has ended.
- **sessions**: half on Explore, half on Compare; each thinks {least:.0f} to {most:.0f} s, does something, and waits for
  its end. Server and clients share the machine.
- **memory**: resident, when all pages were open, after a third of the time, and at the end; what it grows an
  interaction is the slope of a line through the last two thirds, by least squares.

Where two checkouts are measured, they take turns in one run."""


@dataclass
class Measured:
    """A checkout, by its title and commit, and what it took: by kind, by number of sessions, behind a heavy one."""

    title: str
    commit: str = ""
    alone: dict[Kind, Alone] = field(default_factory=dict)
    together: dict[int, Together] = field(default_factory=dict)
    behind: Behind | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share (0..1) of all values does not exceed: one of them, never between two."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 1e6) * len(ordered) // 10**6) - 1))]


def full_report(found: Sequence[Measured], machine: Mapping[str, Any]) -> str:
    """The whole of LOAD.md. found: the checkout whose bars come first, and any that it is compared with."""
    least, most = THINK
    return (
        "\n\n".join(
            [
                INTRODUCTION.format(least=least, most=most),
                machine_line(machine),
                commits_line(found),
                "## Bars",
                bars_table(list(bars(found[0]))),
                "## An interaction, one session",
                alone_table(found),
                "## Many sessions",
                together_table(found),
                "## A small analysis while a heavy one runs",
                behind_table(found),
            ]
        )
        + "\n"
    )


def machine_line(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "streamlit", "plotly"))
    return (
        f"{machine['date']}: {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB, "
        f"{machine['system']}; {packages}."
    )


def commits_line(found: Sequence[Measured]) -> str:
    return "Checkouts: " + "; ".join(f"{one.title}, {one.commit}" for one in found) + "."


def bars(one: Measured) -> Iterator[Bar]:
    """Of what was measured: CPU time of each kind, waiting and memory at BUSIEST sessions, a small analysis."""
    for kind, alone in one.alone.items():
        bound = COMPARE_BAR if kind.page else EXPLORE_BAR
        yield Bar("CPU", str(kind), 1e3 * statistics.median(alone.cpu_seconds), 1e3 * bound, "ms")
    busiest = one.together.get(BUSIEST)
    if busiest is not None and busiest.answers:
        seconds = [answer.seconds for answer in busiest.answers]
        where = f"{BUSIEST} sessions"
        yield Bar("end, median", where, 1e3 * percentile(seconds, 0.5), 1e3 * MEDIAN_BAR, "ms")
        yield Bar("end, 95th percentile", where, 1e3 * percentile(seconds, 0.95), 1e3 * TAIL_BAR, "ms")
        if busiest.growth_kb is not None:
            yield Bar("memory, growth an interaction", where, busiest.growth_kb, GROWTH_BAR, "kB")
    if one.behind is not None:
        ratio = one.behind.behind_seconds / one.behind.alone_seconds
        yield Bar("behind a heavy one / alone", "a small analysis", ratio, BEHIND_BAR, "×")
        yield Bar(
            "behind a heavy one", "a small analysis", 1e3 * one.behind.behind_seconds, 1e3 * BEHIND_SECONDS_BAR, "ms"
        )


def alone_table(found: Sequence[Measured]) -> str:
    """A row a kind, columns for each checkout."""
    header = ["", *(f"{one.title}: {what}" for one in found for what in ("CPU s", "chart s", "end s", "kB"))]
    rows = [[str(kind), *(cell for one in found for cell in _alone_cells(one.alone[kind]))] for kind in KINDS]
    return table(header, rows)


def _alone_cells(alone: Alone) -> list[str]:
    charts, ends = ([getattr(answer, name) for answer in alone.answers] for name in ("chart_seconds", "seconds"))
    size = max(answer.received_bytes for answer in alone.answers)
    times = (alone.cpu_seconds, charts, ends)
    return [*(f"{statistics.median(values):.3f}" for values in times), f"{size / 1e3:,.0f}"]


def together_table(found: Sequence[Measured]) -> str:
    """A row a number of sessions and checkout."""
    waited = ("median s", "p95 s", "most s", "chart, p95 s")
    header = ("sessions", "", "done", "errors", *waited, "CPU s each", "MiB", "kB each")
    rows = [
        [str(sessions), one.title, *_together_cells(one.together[sessions])]
        for sessions in found[0].together
        for one in found
    ]
    return table(header, rows)


def _together_cells(together: Together) -> list[str]:
    looks = [together.memory[at][1] for at in (0, len(together.memory) // 3, -1)]
    growth = "–" if together.growth_kb is None else f"{together.growth_kb:,.1f}"
    memory = [", ".join(f"{mib:,.0f}" for mib in looks), growth]
    done, errors = len(together.answers), str(len(together.errors))
    if not done:
        return ["0", errors, *["–"] * 5, *memory]
    ends = [answer.seconds for answer in together.answers]
    charts = [answer.chart_seconds for answer in together.answers]
    times = percentile(ends, 0.5), percentile(ends, 0.95), max(ends), percentile(charts, 0.95)
    return [str(done), errors, *(f"{time:.2f}" for time in times), f"{together.cpu_seconds / done:.3f}", *memory]


def behind_table(found: Sequence[Measured]) -> str:
    """Seconds until the page with it is there."""
    rows = [
        [one.title, f"{one.behind.alone_seconds:.2f}", f"{one.behind.behind_seconds:.2f}"]
        for one in found
        if one.behind is not None
    ]
    return table(("", "alone s", "behind s"), rows)
