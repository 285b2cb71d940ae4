"""Charts are sent without Plotly's checks, and exactly as they would be with them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest

from dashboard.compare.figures import distribution_figure
from dashboard.explore.figures import entropy_figure, overlay_figure
from dashboard.explore.mosaics import head_grid_figure, mosaic_figure
from dashboard.heads.figures import Profile, profile_figure, similarity_figure, statistic_figure
from dashboard.tokens.figures import Layer, token_figure
from dashboard.tokens.profile import profile_figure as length_figure
from tests.dashboard.tokens.test_figures import norms
from tests.vit_engine.report.test_plain_figures import checked, sent
from vit_engine.report.figure import PlainFigure

VALUES = np.arange(15, dtype=np.float32).reshape(3, 5) / 100
MAPS = np.arange(2 * 5 * 12, dtype=np.float32).reshape(2, 5, 3, 4)
PIXELS = np.zeros((24, 40, 3), dtype=np.uint8)
LETTERS = list("abcde")
FRAMES = {"A <b>": pd.DataFrame({"layer": [0, 0, 3], "head": [0, 1, 0], "x": np.float32([0.1, 0.2, 0.3])})}
VALUED = Layer(hover="%{z:.2f}", values=VALUES, unit="value")
COLOURED = Layer(hover="red", rgb=np.zeros((3, 5, 4), np.uint8), data=np.zeros((3, 5, 3), np.float32))
overlay = partial(overlay_figure, PIXELS, VALUES, limit=0.07, colours="magma", opacity=0.6)
grid = partial(head_grid_figure, MAPS[0], limits=np.ones(5), colours="viridis", labels=LETTERS)
mosaic = partial(mosaic_figure, MAPS, limits=np.ones((2, 5)), colours="turbo", labels=[LETTERS, LETTERS], layers=[3, 4])
statistic = partial(statistic_figure, VALUES, layers=(0, 1, 2), title="Entropy", colours="viridis")
PROFILES = [Profile("A <b>", (0, 1, 2), VALUES), Profile("B", tuple(range(20)), np.ones((20, 3), dtype=np.float32))]
FEW = [(layer, head) for layer in range(3) for head in range(2)]
MANY = [(layer, head) for layer in range(9) for head in range(9)]


def similarity(heads: list[tuple[int, int]], groups: list[list[tuple[int, int]]]) -> PlainFigure:
    divergence = np.arange(len(heads) ** 2, dtype=np.float64).reshape(len(heads), -1)
    return similarity_figure(divergence, heads=heads, groups=groups, colours="cividis")


CHARTS: dict[str, Callable[[], PlainFigure]] = {
    "over, CLS": partial(overlay, query=None),
    "over, a patch": partial(overlay, query=(1, 4)),
    "beside, a patch": partial(overlay, query=(1, 4), beside=True),
    "over, outlines": partial(overlay, query=None, outlined=[(0, 2), (2, 4)]),
    "beside, an outline": partial(overlay, query=(1, 4), outlined=[(0, 2)], beside=True),
    "grid": partial(grid, selected=None),
    "grid, a head": partial(grid, selected=3),
    "mosaic, a layer": partial(mosaic, selected=(1, None)),
    "mosaic, a head": partial(mosaic, selected=(0, 2)),
    "entropy": partial(entropy_figure, np.ones((2, 14)), layers=(0, 1), layer=1, unit="bits", most=5.5),
    "statistic, a head": partial(statistic, unit="bits", selected=(1, 2)),
    "statistic, a layer": partial(statistic, unit="px", selected=(2, None)),
    "statistic, nothing": partial(statistic, unit="0..1", selected=(9, None)),
    "profiles": partial(profile_figure, PROFILES, title="Entropy", unit="bits"),
    "similarity": partial(similarity, FEW, [FEW[:2], FEW[3:5]]),
    "similarity, no groups": partial(similarity, FEW[::-1], []),
    "similarity, large": partial(similarity, MANY, [MANY[:2]]),
    "tokens, values": partial(token_figure, PIXELS, VALUED, query=(1, 4), zoom=(0.5, 0.5, 1.5, 2.5)),
    "tokens, outliers": partial(token_figure, PIXELS, VALUED, query=None, outliers=((1, 4), (0, 0)), stacked=True),
    "tokens, colours": partial(token_figure, PIXELS, COLOURED, query=None),
    "lengths": partial(length_figure, [norms(0), norms(4)], layer=4, title="length"),
    "box": partial(distribution_figure, FRAMES, "x", unit="bits", kind="box"),
    "violin": partial(distribution_figure, FRAMES, "x", unit="bits", kind="violin"),
    "heads by number": partial(distribution_figure, FRAMES, "head", unit="bits", kind="box"),
}


@pytest.mark.parametrize("chart", CHARTS.values(), ids=list(CHARTS))
def test_a_chart_is_sent_as_plotly_checks_it(chart: Callable[[], PlainFigure]) -> None:
    assert sent(chart()) == sent(checked(chart()))
