"""The growth of time and memory with the tokens, as an SVG that is the same for the same results."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmarks.bars import MIB
from benchmarks.plan import GROWTH, GROWTH_SIZES, S8, Job, label, tokens
from benchmarks.results import Results

TITLES = {"limit": "plain forward", "ours": "attend()", "explicit": "all matrices kept"}
COLOURS = {"limit": "#57606a", "ours": "#0969da", "explicit": "#cf222e"}  # each 4.5:1 or more on white
PLACES = {
    "limit": ((8, -4), "left"),
    "ours": ((8, 4), "left"),
    "explicit": ((-8, 3), "right"),
}  # offset in points, side
PANELS = (("cpu_seconds", 1, "CPU seconds, one thread"), ("bytes", MIB, "MiB above the model, at the peak"))
Line = tuple[list[int], list[float]]


def write_plot(results: Results, path: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "vit-engine", "font.size": 10, "font.family": "DejaVu Sans"}):
        figure = draw(results)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def draw(results: Results) -> Figure:
    """Two panels on a white ground, readable on pages of any colour."""
    figure = Figure(figsize=(9, 3.9), facecolor="white", layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (unit, scale, title) in zip(figure.subplots(1, 2), PANELS, strict=True):
        _frame(axes, title)
        lines = {name: line(results, name, unit, scale) for name in GROWTH}
        for name, (xs, ys) in lines.items():
            axes.plot(xs, ys, marker="o", markersize=4, linewidth=1.8, color=COLOURS[name])
        _name_lines(axes, lines)
    return figure


def line(results: Results, contender: str, unit: str, scale: float) -> Line:
    """Tokens and medians of one contender, where it was measured."""
    found = [(tokens(S8, size), results.median(unit, Job(contender, S8, size))) for size in GROWTH_SIZES]
    kept = [(count, value / scale) for count, value in found if value is not None]
    return [count for count, _ in kept], [value for _, value in kept]


def _frame(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=10.5)
    axes.set_xlabel(f"tokens ({label(S8)})")
    axes.xaxis.set_major_locator(mpl.ticker.FixedLocator([200, 500, 1000, 2000, 5000, 10000]))
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.tick_params(labelsize=9)
    axes.grid(which="major", color="#d0d7de", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _name_lines(axes: Axes, lines: dict[str, Line]) -> None:
    """Each name stands at the end of its line, where no other line runs."""
    for name, (xs, ys) in lines.items():
        if xs:
            offset, side = PLACES[name]
            text = axes.annotate(TITLES[name], (xs[-1], ys[-1]), xytext=offset, textcoords="offset points")
            text.set(color=COLOURS[name], ha=side, va="center")
