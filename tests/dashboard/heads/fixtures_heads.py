"""What the suites of the page Heads share: opening it, clicking in it, and what the engine says."""

import functools

import numpy as np
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard.testing import APP, TIMEOUT, click
from tests.dashboard.support import SMALL, small_trace
from vit_engine.analysis.similarity import HeadSimilarity, head_similarity

HEADS, EXPLORE = "views/heads.py", "views/explore.py"
LAST = 5  # layer of the demo models
CLOSE = {"rtol": 1e-3, "atol": 1e-4}  # statistics, between two runs of a model


def open_heads(**link: str | list[str]) -> AppTest:
    """The page Heads on a small view, but for what the link says, before any other page."""
    at = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
    for name, value in {**SMALL, **link}.items():
        at.query_params[name] = value
    at.switch_page(HEADS)
    return at.run()


def click_cell(at: AppTest, key: str, row: int, col: int) -> AppTest:
    """Click a cell of a chart, and go where that leads."""
    click(at, key, x=col, y=row)
    return at.switch_page(EXPLORE).run()  # the test does not follow a page's own switch by itself


@functools.cache
def similarity_of(trace: ve.AttentionTrace, query: str | tuple[int, int] = "cls") -> HeadSimilarity:
    """What the engine says."""
    return head_similarity(trace, query=query)


def statistic_of(name: str, trace: ve.AttentionTrace | None = None) -> np.ndarray:
    """A statistic as (layers, heads), from the engine's table."""
    trace = trace or small_trace()
    return trace.statistics.to_frame()[name].to_numpy().reshape(len(trace.layers), trace.spec.heads)
