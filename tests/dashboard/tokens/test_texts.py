"""What the page Tokens says in words is what its maps show."""

import numpy as np
import pytest

from dashboard.tokens import texts
from dashboard.tokens.figures import Layer
from dashboard.tokens.maps import Query
from vit_engine import AttentionMap, PcaMap, TokenGrid, TokenNorms

GRID = TokenGrid(prefix=1, rows=3, cols=5, patch_size=16)


def similar(values: np.ndarray) -> AttentionMap:
    return AttentionMap(values.astype(np.float32), GRID, "similarity", "cosine similarity")


def norms(outliers: tuple[tuple[int, int], ...]) -> TokenNorms:
    values = np.full((3, 5), 10.0, dtype=np.float32)
    for patch in outliers:
        values[patch] = 55.5
    return TokenNorms(values, np.float32([5]), 10.0, 30.0, 3.0, outliers, GRID, 0, "norm")


def test_the_most_similar_patch_is_not_the_query_or_beside_it() -> None:
    values = np.zeros((3, 5))
    values[0, 0], values[1, 1], values[2, 4] = 1.0, 0.9, -0.5
    values[0, 3] = 0.25
    line = texts.similarity_line(similar(values), Query((0, 0)), hint="click")
    assert line == "Query: **patch row 0, col 0** · most similar elsewhere: patch row 0, col 3 (0.25)"
    line = texts.similarity_line(similar(values), Query(None), hint="click")
    assert line == "Query: **CLS token** · most similar: patch row 0, col 0 (1.000) · :small[click]"


@pytest.mark.parametrize(("value", "words"), [(0.994, "(0.99)"), (0.9961, "(0.996)"), (-0.5, "(−0.50)")])
def test_a_similarity_that_would_round_to_one_has_a_third_decimal(value: float, words: str) -> None:
    values = np.full((3, 5), -1.0)
    values[2, 4] = value
    assert texts.similarity_line(similar(values), Query((0, 0)), hint="").endswith(words)


def test_a_query_of_the_second_picture_says_so_and_its_own_place_is_no_exception() -> None:
    values = np.zeros((3, 5))
    values[0, 0] = 1.0
    line = texts.similarity_line(similar(values), Query((0, 0), 1), hint="click")
    assert line == "Query: **patch row 0, col 0 of the second picture** · most similar: patch row 0, col 0 (1.000)"


def test_where_all_patches_are_beside_the_query_none_is_elsewhere() -> None:
    grid = TokenGrid(prefix=1, rows=2, cols=2, patch_size=16)
    alike = AttentionMap(np.ones((2, 2), np.float32), grid, "similarity", "cosine similarity")
    assert texts.similarity_line(alike, Query((0, 0)), hint="") == "Query: **patch row 0, col 0**"


def test_a_scale_tells_its_ends_with_its_unit() -> None:
    layer = Layer(hover="", values=np.zeros((3, 5)), low=-0.36, high=1.0, unit="cosine similarity")
    legend = texts.similarity_legend(layer)
    assert "≤ −0.36" in legend
    assert "1.00 cosine similarity" in legend


@pytest.mark.parametrize(("low", "told"), [(0.9, False), (0.96, True)])
def test_a_tiny_range_is_told(low: float, told: bool) -> None:
    assert bool(texts.similarity_range(Layer(hover="", low=low, high=1.0))) == told


def test_components_tell_what_they_explain_and_of_what() -> None:
    components = np.zeros((3, 3, 5), np.float32)
    whole = PcaMap(components, components.transpose(1, 2, 0), (0.69, 0.1, 0.03), None, GRID, "PCA")
    assert texts.pca_line([whole]).startswith(
        "First three components explain **82%** of the variance (69% · 10% · 3%) · :small[click a patch"
    )
    part = np.arange(15).reshape(3, 5) < 6
    half = PcaMap(components, components.transpose(1, 2, 0), (0.5, 0.1, 0.1), part, GRID, "PCA")
    assert "within the foreground, 40% of the patches" in texts.pca_line([half])


def test_components_of_two_pictures_tell_that_they_are_of_both() -> None:
    components, grid = np.zeros((3, 3, 5), np.float32), TokenGrid(prefix=1, rows=3, cols=15, patch_size=16)
    rgb, shares = components.transpose(1, 2, 0), (0.5, 0.1, 0.1)
    small = PcaMap(components, rgb, shares, np.ones((3, 5), bool), GRID, "PCA")
    large = PcaMap(components.repeat(3, axis=2), rgb.repeat(3, axis=1), shares, np.zeros((3, 15), bool), grid, "PCA")
    line = texts.pca_line([small, large])
    assert (
        "**70%** of the variance in both pictures (50% · 10% · 10%) within the foreground, 25% of the patches" in line
    )


@pytest.mark.parametrize(
    ("outliers", "words"),
    [
        ((), "no patch is longer than 3 × the median"),
        (((1, 2),), "**1** patch is longer than 3 × the median: patch row 1, col 2"),
        (((1, 2), (0, 4)), "**2** patches are longer than 3 × the median: patch row 1, col 2; patch row 0, col 4"),
        (
            tuple((2, col) for col in range(5)),
            "**5** patches are longer than 3 × the median: patch row 2, col 0; patch row 2, col 1; patch "
            "row 2, col 2 and 2 more",
        ),
    ],
)
def test_outliers_are_counted_by_their_rule_and_the_first_are_named(
    outliers: tuple[tuple[int, int], ...], words: str
) -> None:
    assert texts.norm_line([norms(outliers)], Query(None)).endswith(words)


@pytest.mark.parametrize("asked", [0, 1])
def test_of_two_pictures_each_has_its_lengths_and_the_one_of_the_query_has_its_length(asked: int) -> None:
    first, second = texts.norm_line([norms(()), norms(((1, 2),))], Query((1, 2), asked)).split("  \n")
    assert first.startswith("First picture: median length **10.0** · largest **10.0** · no patch is longer")
    assert second.startswith("Second picture: median length **10.0** · largest **55.5** · **1** patch is longer")
    assert [line.endswith(" × the median)") for line in (first, second)] == [asked == 0, asked == 1]
    assert "row 1, col 2: 55.5 (5.55 × the median)" in second or asked == 0


def test_a_scale_that_outliers_are_beyond_says_so() -> None:
    layer = Layer(hover="", values=np.zeros((3, 5)), low=10.0, high=30.0, unit="length of the token")
    assert "≥ 30.0 length of the token, before the final norm" in texts.norm_legend(layer, [norms(((1, 2),))], "token")
    assert "≥ 30.0" in texts.norm_legend(layer, [norms(()), norms(((1, 2),))], "token"), "in the second picture"
    assert "≥" not in texts.norm_legend(layer, [norms(())], "token")
    assert "final norm" not in texts.norm_legend(layer, [norms(())], "key")


@pytest.mark.parametrize(
    ("counts", "words"),
    [((0, 0), "no outliers in any layer"), ((1, 0), "1 outlier in all layers"), ((2, 1), "3 outliers in all layers")],
)
def test_outliers_of_all_layers_are_counted(counts: tuple[int, int], words: str) -> None:
    several = [norms(tuple((0, col) for col in range(count))) for count in counts]
    assert texts.profile_caption(several) == words
