"""What charts share: colours, and which cell a point is in."""

import re

import numpy as np
import pytest
from plotly.colors import get_colorscale, hex_to_rgb

from dashboard.charts import AUTO, cell_at
from vit_engine.report.colours import COLOUR_SCALES, colour_stops, upper_limit


@pytest.mark.parametrize(
    ("x", "y", "cell"),
    [(0, 0, (0, 0)), (3.49, 1.51, (2, 3)), (0.5, 0.5, (1, 1)), (-0.6, -9, (0, 0)), (4.6, 7, (2, 4)), (4, -0.4, (0, 4))],
)
def test_a_point_is_in_the_cell_around_it_or_the_nearest(x: float, y: float, cell: tuple[int, int]) -> None:
    assert cell_at(x, y, rows=3, cols=5) == cell


@pytest.mark.parametrize("name", COLOUR_SCALES)
def test_colour_stops_are_the_scale_and_never_hex(name: str) -> None:
    """Streamlit's theme takes colours such as #000004, where inferno begins, for placeholders of its own."""
    stops = colour_stops(name)
    assert [place for place, _ in stops] == [place for place, _ in get_colorscale(name)]
    assert (stops[0][0], stops[-1][0]) == (0, 1)
    for (_, colour), (_, original) in zip(stops, get_colorscale(name), strict=True):
        assert re.fullmatch(r"rgb\(\d+, ?\d+, ?\d+\)", colour)
        if original.startswith("#"):
            assert tuple(map(int, re.findall(r"\d+", colour))) == tuple(hex_to_rgb(original))


def test_the_automatic_colours_exist_for_both_themes() -> None:
    assert AUTO.keys() == {"dark", "light"}
    assert set(AUTO.values()) <= set(COLOUR_SCALES)


def test_the_upper_limit_is_the_percentile() -> None:
    values = np.arange(101, dtype=np.float32)
    assert upper_limit(values, 90) == pytest.approx(90)
    assert upper_limit(values.reshape(1, 101), 100) == pytest.approx(100)


def test_the_upper_limit_is_above_zero_whatever_the_values() -> None:
    hot = np.zeros(1000, dtype=np.float32)
    hot[7] = 0.25
    assert upper_limit(hot, 90) == 0.25  # the percentile is 0: the maximum instead
    for nothing in (np.zeros(9), np.full(9, np.nan), np.array([])):
        assert 0 < upper_limit(nothing, 99) < 1e-6


def test_the_upper_limit_leaves_out_what_is_not_finite() -> None:
    values = np.array([np.nan, 1.0, 3.0, np.inf], dtype=np.float32)
    assert upper_limit(values, 100) == 3
    assert upper_limit(values, 50) == 2
