"""What was measured of the pages, as Markdown: PAGES.md."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bars import Bar
from benchmarks.pages.opening import LEAST, OURS
from benchmarks.pages.painted import Painted
from benchmarks.pages.plan import OPENING_BAR, PAINTED_BAR, PAYLOAD_BAR, SERVER_BARS, View
from benchmarks.pages.served import Served
from benchmarks.report import bars_table, table
from benchmarks.results import Spread

INTRODUCTION = """\
# Benchmark of the pages

Written by `make bench-pages`. Four panes of one picture in Compare: the demo model of patch 8 twice, at random, and at
another layer; the page Heads; and similarity to a patch on the page Tokens. Traces and tokens are in memory: what is
measured is what a change costs after the analysis. Each change is made {repeats} times, each time to another value.

- **server**: one run of the app's script by Streamlit's AppTest, in the benchmark's own process, from the changed
  widget until all elements are there. This is somewhat more than a server takes: AppTest reads and compiles the
  scripts again in every run, and parses the elements back.
- **painted**: in a real, headless Chromium without a GPU, beside the server on the same machine: from the key or the
  press of the mouse until two frames after the chart's new colours were in the page. The way to the server and back,
  the browser's work, and the time that Streamlit waits for another key are in it.
- **opening**: a first visit to Explore, in a browser context that has nothing of it yet, on a warm server: from
  navigation until two frames after the large map was in the page. Beside it, in turns, a minimal Streamlit page with
  one Plotly heatmap.
- **chart**, **page**: bytes of the chart's JSON, and of all elements of page and sidebar, the most of any run.
  **sent**: bytes that came over the browser's websocket, the most of any run.

Times are medians in milliseconds, with the worst behind them. 1 kB is 1,000 bytes. The bars are the slowest change's
median, and the worst of all runs of all changes. Those of Compare hold for Heads and Tokens too."""


@dataclass(frozen=True)
class Measured:
    """A view, and for each of its changes, by name, what it cost on the server and until it was painted."""

    view: View
    served: Mapping[str, Served]
    painted: Mapping[str, Painted]


def spread(values: Sequence[float]) -> Spread:
    """Of the repeats of one change."""
    return Spread(statistics.median(values), min(values), max(values), len(values))


def full_report(found: Sequence[Measured], opening: Mapping[str, Sequence[float]], machine: Mapping[str, Any]) -> str:
    """The whole of PAGES.md. opening: what measure_opening() says; machine: what describe_pages_machine() does."""
    repeats = max(len(served.seconds) for one in found for served in one.served.values())
    parts = [INTRODUCTION.format(repeats=repeats), machine_line(machine), "## Bars"]
    parts.append(bars_table([opening_bar(opening), *(bar for one in found for bar in bars(one))]))
    parts += ["## Opening", table(("", "painted ms"), [[name, _milliseconds(opening[name])] for name in opening])]
    for one in found:
        parts += [f"## {one.view}", view_table(one)]
    return "\n\n".join(parts) + "\n"


def machine_line(machine: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{name} {machine[name]}" for name in ("python", "torch", "streamlit", "plotly", "Chromium"))
    memory = machine["memory_bytes"] / 2**30
    return (
        f"{machine['date']}: {machine['cpu']}, {machine['cores']} cores, {memory:.0f} GiB, {machine['system']}; "
        f"{packages}."
    )


def bars(one: Measured) -> Iterator[Bar]:
    """Server and painting, each by the slowest change's median and by the worst run of all; and the page's bytes."""
    sides = (
        ("server", {name: served.seconds for name, served in one.served.items()}, SERVER_BARS[one.view.size]),
        ("painted", {name: painted.seconds for name, painted in one.painted.items()}, PAINTED_BAR),
    )
    where = str(one.view)
    for side, seconds, bound in sides:
        spreads = {name: spread(values) for name, values in seconds.items()}
        slowest = max(spreads, key=lambda name: spreads[name].median)
        worst = max(spreads, key=lambda name: spreads[name].most)
        yield Bar(f"{side}, median ({slowest})", where, spreads[slowest].median * 1e3, bound * 1e3, "ms")
        yield Bar(f"{side}, worst ({worst})", where, spreads[worst].most * 1e3, bound * 1e3, "ms")
    largest = max(one.served, key=lambda name: one.served[name].page_bytes)
    yield Bar(f"page ({largest})", where, one.served[largest].page_bytes / 1e3, PAYLOAD_BAR / 1e3, "kB")


def opening_bar(opening: Mapping[str, Sequence[float]]) -> Bar:
    """By medians."""
    ours, least = (spread(opening[name]).median for name in (OURS, LEAST))
    return Bar("opening, median", "Explore beside a minimal page", ours / least, OPENING_BAR, "×")


def view_table(one: Measured) -> str:
    """A row a change."""
    header = ("", "server ms", "painted ms", "chart kB", "page kB", "sent kB")
    rows = []
    for name, served in one.served.items():
        painted = one.painted[name]
        sizes = (served.chart_bytes, served.page_bytes, max(painted.sent_bytes))
        times = (_milliseconds(served.seconds), _milliseconds(painted.seconds))
        rows.append([name, *times, *(f"{size / 1e3:,.0f}" for size in sizes)])
    return table(header, rows)


def _milliseconds(seconds: Sequence[float]) -> str:
    """The median, and in parentheses the worst."""
    found = spread(seconds)
    return f"{found.median * 1e3:,.0f} ({found.most * 1e3:,.0f})"
