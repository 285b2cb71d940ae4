"""What the suites of two pictures on the page Tokens share."""

import functools
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.testing import decode_figure
from tests.dashboard.tokens.fixtures_tokens import LAST, engine_features, open_small_tokens

FIRST, OTHER = "motorcycle_left", "motorcycle_right"
ROWS, COLS = 6, 8


def open_pair(**link: str) -> AppTest:
    """The page on both eyes of a stereo pair, but for what the link says."""
    return open_small_tokens(**{"picture": FIRST, "with": OTHER} | link)


@functools.cache
def engine_pair(facet: str = "token") -> tuple[ve.Features, ve.Features]:
    return engine_features(facet, picture=FIRST), engine_features(facet, picture=OTHER)


def engine_matches(*, facet: str = "token", ratio: float = 0.8, layer: int = LAST) -> ve.Correspondences:
    return ve.correspondences(*engine_pair(facet), layer=layer, ratio=ratio)


def pair_figure(at: AppTest) -> dict[str, dict[str, Any]]:
    return decode_figure(at, keys.TOKEN_PAIR)


def pairs(at: AppTest) -> set[tuple[int, ...]]:
    """(row, col, row, col) of every line that is drawn."""
    figure = pair_figure(at)
    if "ends" not in figure:
        return set()
    told = figure["ends"]["customdata"][:, :4]
    return {tuple(map(int, row)) for row in told}


def as_pairs(matches: ve.Correspondences) -> set[tuple[int, ...]]:
    return {tuple(map(int, row)) for row in np.concatenate([matches.first, matches.second], axis=1)}


def rings(at: AppTest) -> dict[str, tuple[str, int, int]]:
    """("first" or "second", row, col) of the query's ring and of the best match's."""
    figure, found = pair_figure(at), {}
    for name in ("query", "best match"):
        if name in figure:
            y, x = ((figure[name][axis].min() + figure[name][axis].max()) / 2 for axis in "yx")
            for picture in ("first", "second"):
                cells = figure[picture]
                row, col = ((at - cells[f"{axis}0"]) / cells[f"d{axis}"] for at, axis in ((y, "y"), (x, "x")))
                if -0.5 < row < cells["customdata"].shape[0] and -0.5 < col < cells["customdata"].shape[1]:
                    found[name] = (picture, round(row), round(col))
    return found
