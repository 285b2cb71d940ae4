"""What is said of two pictures: how many correspond, how many are drawn, and what to change where none is clear."""

import numpy as np
import pytest

from dashboard.tokens import pair_texts
from vit_engine import Correspondences, TokenGrid

GRID = TokenGrid(prefix=1, rows=3, cols=5, patch_size=16)


def matches(clear: int, candidates: int) -> Correspondences:
    numbers = np.zeros(clear, np.float32)
    patches = np.zeros((clear, 2), int)
    return Correspondences(patches, patches, numbers, numbers, (GRID, GRID), candidates, "tokens")


@pytest.mark.parametrize(
    ("clear", "drawn", "ratio", "words"),
    [
        (1528, 30, 0.8, "**1,528** of 1,920 mutual nearest neighbours are clear (ratio ≤ 0.8); the best 30 are drawn"),
        (12, 12, 0.65, "**12** of 1,920 mutual nearest neighbours are clear (ratio ≤ 0.65); all 12 are drawn"),
        (1, 1, 0.8, "**1** of 1,920 mutual nearest neighbours is clear (ratio ≤ 0.8); it is drawn"),
        (12, 0, 0.8, "**12** of 1,920 mutual nearest neighbours are clear (ratio ≤ 0.8); none is drawn"),
        (1920, 5, 1, "**1,920** mutual nearest neighbours; the best 5 are drawn"),
    ],
)
def test_it_is_told_how_many_correspond_and_how_many_are_drawn(
    clear: int, drawn: int, ratio: float, words: str
) -> None:
    assert pair_texts.matches_line(matches(clear, 1920), drawn, ratio) == words


@pytest.mark.parametrize(
    ("candidates", "words"),
    [
        (1920, "None of 1,920 pairs of mutual nearest neighbours is clear (ratio ≤ 0.6). Allow a larger ratio, or"),
        (1, "The one pair of mutual nearest neighbours is not clear (ratio ≤ 0.6). Allow a larger ratio, or"),
    ],
)
def test_where_none_is_clear_it_is_told_what_to_change(candidates: int, words: str) -> None:
    assert pair_texts.no_matches(matches(0, candidates), 0.6, "token").startswith(words)


def test_the_best_match_names_both_patches_and_their_pictures() -> None:
    line = pair_texts.best_match_line((1, (2, 3)), (0, (0, 4)), -0.125)
    ring, dashed = "row 2, col 3 of the second picture (ring)", "patch row 0, col 4 of the first picture (dashed)"
    assert line == f"Patch {ring} is most like {dashed}: cosine similarity **−0.12**"


@pytest.mark.parametrize(
    ("clear", "words"),
    [
        (0, "A table without rows: no match passes the ratio test."),
        (1, "The one match, drawn or not, with rows, columns and pixels of the scaled pictures."),
        (1528, "All 1,528 matches, drawn or not, with rows, columns and pixels of the scaled pictures."),
    ],
)
def test_the_table_says_what_is_in_it(clear: int, words: str) -> None:
    assert pair_texts.table_help(matches(clear, 1920)) == words


def test_where_no_pair_is_clear_the_pictures_may_be_why() -> None:
    text = pair_texts.no_matches(matches(0, 51), 0.8, "token")
    assert text.endswith("pictures of unlike things may have no clear pair.")


@pytest.mark.parametrize(
    ("facet", "words"),
    [
        ("token", "another layer, keys instead of tokens, or a larger size"),
        ("query", "another layer, keys instead of queries, or a larger size"),
        ("key", "another layer, or a larger size"),
    ],
)
def test_keys_are_advised_where_they_are_not_what_was_compared(facet: str, words: str) -> None:
    assert words in pair_texts.no_matches(matches(0, 51), 0.8, facet)
