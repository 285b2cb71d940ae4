"""Queries of one token and of several, on a grid."""

import re

import pytest

from vit_engine.errors import SpecError
from vit_engine.grid import Query, TokenGrid, token_name

GRID = TokenGrid(prefix=3, rows=5, cols=7, patch_size=4)


@pytest.mark.parametrize(
    ("query", "tokens"),
    [
        ("cls", [0]),
        ((1, 2), [12]),
        ((1, 2, 1, 2), [12]),
        ((1, 2, 2, 4), [12, 13, 14, 19, 20, 21]),
        ((0, 0, 4, 6), [*range(3, 38)]),
        ((3, 6, 4, 6), [30, 37]),
    ],
)
def test_a_query_is_its_tokens_row_by_row_the_last_ones_included(query: Query, tokens: list[int]) -> None:
    assert GRID.query_tokens(query).tolist() == tokens


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            (0, 0, 5, 1),
            "query region (top, left, bottom, right) must have row in 0..4 and col in 0..6; got (0, 0, 5, 1).",
        ),
        ((0, -1, 2, 1), "must have row in 0..4 and col in 0..6; got (0, -1, 2, 1)."),
        ((2, 1, 1, 3), "query region (top, left, bottom, right) is upside down or mirrored; got (2, 1, 1, 3)."),
        ((1, 3, 2, 2), "query region (top, left, bottom, right) is upside down or mirrored; got (1, 3, 2, 2)."),
        ((5, 0), "query patch must have row in 0..4 and col in 0..6; got (5, 0)."),
        ((1, 2, 3), "query must be 'cls', a patch (row, col) or a region (top, left, bottom, right), in whole numbers"),
        ((0.5, 0.5), "in whole numbers; got (0.5, 0.5)."),
    ],
)
def test_a_query_off_the_grid_or_upside_down_is_refused(query: Query, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        GRID.query_tokens(query)


def test_a_region_of_several_patches_is_no_one_token() -> None:
    assert GRID.token((1, 2, 1, 2)) == 12
    with pytest.raises(SpecError, match=re.escape("one patch (row, col) here; got region of rows 1–2, cols 2–4.")):
        GRID.token((1, 2, 2, 4))


def test_a_patch_and_a_region_have_edges_in_pixels() -> None:
    assert GRID.box((1, 2)) == (4, 8, 8, 12)
    assert GRID.box((1, 2, 2, 6)) == (4, 8, 12, 28)


def test_queries_in_words() -> None:
    assert [token_name(query) for query in ("cls", (3, 5), (2, 3, 5, 7))] == [
        "CLS",
        "patch row 3, col 5",
        "region of rows 2–5, cols 3–7",
    ]
