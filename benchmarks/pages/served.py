"""What a change costs on the server: the app's script run in this process, and what it would send."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Widget

from benchmarks.pages.plan import PATCH, Change, Point, View
from dashboard.testing import open_app, telling


@dataclass(frozen=True)
class Served:
    """seconds: of every repeat. chart_bytes: of the chart's JSON; page_bytes: of all elements; both the most of any."""

    seconds: tuple[float, ...]
    chart_bytes: int
    page_bytes: int


def serve(view: View, *, repeats: int) -> dict[str, Served]:
    """By the change's name. RuntimeError where a change fails, or changes nothing in the chart."""
    at = open_app(**view.parameters()).switch_page(f"views/{view.page}.py").run()
    return {change.name: _serve(at, view, change, repeats) for change in view.changes}


def _serve(at: AppTest, view: View, change: Change, repeats: int) -> Served:
    seconds, charts, pages = [], [], []
    for turn in range(repeats):
        before, run = _chart(at, view), prepared(at, view, change, turn)
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
        check_changed(at, before, _chart(at, view), what=f"{view}: {change.name}, turn {turn}")
        charts.append(len(_chart(at, view).encode()))
        pages.append(page_bytes(at))
    return Served(tuple(seconds), max(charts), max(pages))


def prepared(at: AppTest, view: View, change: Change, turn: int) -> Callable[[], object]:
    """A change that is made by calling this, so that its preparation is not timed."""
    value = change.step(turn).value
    if change.kind != "click":
        widget = at.get_by_key(change.key)
        assert isinstance(widget, Widget)
        widget.set_value(value)
        return at.run
    assert isinstance(value, tuple)
    y, x = view.on_axes(centre(value, view.size))
    return telling(at, change.key, "point", {"y": y, "x": x})


def centre(point: Point, size: int) -> Point:
    """The middle of the patch that holds a point, (y, x) in pixels."""
    y, x = ((int(part * size) // PATCH + 0.5) * PATCH for part in point)
    return y, x


def _chart(at: AppTest, view: View) -> str:
    return at.get_by_key(view.chart).proto.spec


def check_changed(at: AppTest, before: str, after: str, *, what: str) -> None:
    """RuntimeError where a run failed, or drew the same again: its time would say nothing."""
    if at.exception:
        raise RuntimeError(f"{what} failed: {at.exception[0].message}")
    if before == after:
        raise RuntimeError(f"{what} must draw another chart; got the same. Choose another value in the plan.")


def page_bytes(at: AppTest) -> int:
    """Of all elements on the page and in the sidebar, as they are sent."""
    return sum(node.proto.ByteSize() for part in (at.main, at.sidebar) for node in part if node.proto is not None)
