"""Correspondences are the mutual nearest neighbours of the whole matrix, which only the tests have."""

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.analysis.tokens.builders import features_of, noise
from vit_engine.analysis.tokens import matches
from vit_engine.errors import SpecError
from vit_engine.trace import Features

SHAPE, OTHER = (6, 7), (5, 9)


def pair(seed: int = 0, dim: int = 6) -> tuple[Features, Features]:
    first, second = noise(seed, SHAPE, dim), noise(seed + 1, OTHER, dim)
    second[:20] = first[10:30] + 0.1 * noise(seed + 2, (4, 5), dim)
    return features_of({0: first}, shape=SHAPE), features_of({0: second}, shape=OTHER)


def reference(first: Features, second: Features) -> dict[tuple[int, int], tuple[float, float]]:
    """Mutual neighbours, with their similarity and ratio."""
    a, b = (each.patches() / np.linalg.norm(each.patches(), axis=1, keepdims=True) for each in (first, second))
    whole = a @ b.T
    pairs = {}
    for here in range(len(a)):
        there = int(whole[here].argmax())
        if whole[:, there].argmax() == here:
            rest = [
                1 - whole[here][apart(second.grid, there)].max(),
                1 - whole[:, there][apart(first.grid, here)].max(),
            ]
            pairs[here, there] = whole[here, there], max((1 - whole[here, there]) / each for each in rest)
    return pairs


def apart(grid: ve.TokenGrid, place: int) -> np.ndarray:
    """Which patches are neither a patch nor beside it."""
    row, col = np.divmod(np.arange(grid.patches), grid.cols)
    return np.maximum(abs(row - place // grid.cols), abs(col - place % grid.cols)) > 1


def places(found: ve.Correspondences) -> list[tuple[int, int]]:
    (a, b), (first, second) = found.grids, (found.first, found.second)
    return list(zip((first @ [a.cols, 1]).tolist(), (second @ [b.cols, 1]).tolist(), strict=True))


@pytest.mark.parametrize("block", [8 << 20, 400], ids=["one block", "blocks of two rows"])
def test_matches_are_those_of_the_whole_matrix(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matches, "BLOCK_BYTES", block)
    first, second = pair()
    found, expected = ve.correspondences(first, second, ratio=1), reference(first, second)
    assert sorted(places(found)) == sorted(expected)
    assert found.candidates == len(found) == len(expected)
    for place, similarity, ratio in zip(places(found), found.similarity, found.ratio, strict=True):
        assert (similarity, ratio) == pytest.approx(tuple(min(each, 1) for each in expected[place]), abs=1e-5)
    assert (np.diff(found.ratio) >= 0).all(), "the clearest come first"


def test_thresholds_keep_the_clearest_and_the_most_similar() -> None:
    first, second = pair()
    everything = ve.correspondences(first, second, ratio=1)
    clear = ve.correspondences(first, second)
    assert 0 < len(clear) < len(everything)
    assert places(clear) == places(everything)[: len(clear)]
    assert clear.ratio.max() <= 0.8 < everything.ratio[len(clear) :].min()
    assert clear.candidates == everything.candidates
    alike = ve.correspondences(first, second, ratio=1, similarity=0.9)
    expected = [place for place, value in zip(places(everything), everything.similarity, strict=True) if value >= 0.9]
    assert 0 < len(expected) < len(everything)
    assert places(alike) == expected
    assert places(ve.correspondences(first, second, best=3)) == places(clear)[:3]
    assert len(clear.best(3)) == 3


def test_on_a_finer_grid_more_patches_lie_beside_a_match() -> None:
    """Tokens change smoothly with the place in the picture: twice as fine, the next but one is still alike."""
    waves = np.random.default_rng(4).standard_normal((2, 40))

    def tokens(rows: int, cols: int) -> np.ndarray:
        y, x = np.mgrid[:rows, :cols]
        places = np.stack([(y.ravel() + 0.5) / rows * 6, (x.ravel() + 0.5) / cols * 7], axis=1)
        return np.hstack([np.cos(places @ waves), np.sin(places @ waves)])

    coarse = features_of({0: tokens(*SHAPE)}, shape=SHAPE)
    fine = features_of({0: tokens(12, 14)}, shape=(12, 14))
    for first, second in ((coarse, fine), (fine, coarse)):
        found = ve.correspondences(first, second, ratio=0.09)
        ends = (found.first, found.second) if first is coarse else (found.second, found.first)
        np.testing.assert_array_equal(ends[1] // 2, ends[0])
        assert len(found) == 42


def test_a_picture_matches_itself_patch_by_patch() -> None:
    features, _ = pair()
    found = ve.correspondences(features, features)
    np.testing.assert_array_equal(found.first, found.second)
    assert len(found) == features.grid.patches
    np.testing.assert_allclose(found.ratio, 0, atol=1e-5)


def test_patches_that_are_all_alike_have_no_clear_match() -> None:
    same = features_of({0: np.ones((42, 6))}, shape=SHAPE)
    assert len(ve.correspondences(same, same)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2)])
def test_where_every_patch_is_beside_the_match_nothing_says_that_it_is_clear(shape: tuple[int, int]) -> None:
    tiny = features_of({0: noise(0, shape, 6)}, shape=shape)
    found = ve.correspondences(tiny, tiny, ratio=1)
    assert len(found) == tiny.grid.patches
    np.testing.assert_array_equal(found.ratio, 1)
    assert len(ve.correspondences(tiny, tiny)) == 0


def test_tokens_of_zeros_correspond_to_nothing() -> None:
    first, second = (np.array(each.patches(), dtype=np.float32) for each in pair())
    first[[0, 12]] = second[[0, 30]] = 0
    a, b = features_of({0: first}, shape=SHAPE), features_of({0: second}, shape=OTHER)
    pairs = places(ve.correspondences(a, b, ratio=1))
    assert pairs
    assert not {0, 12} & {here for here, _ in pairs}
    assert not {0, 30} & {there for _, there in pairs}
    nothing = ve.correspondences(a, features_of({0: np.zeros((45, 6))}, shape=OTHER), ratio=1)
    assert (len(nothing), nothing.candidates) == (0, 0)


def test_similarities_of_long_tokens_stay_in_their_range() -> None:
    features = features_of({0: noise(0, (9, 9), 301)}, shape=(9, 9))
    found = ve.correspondences(features, features)
    assert len(found) == 81
    assert found.similarity.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.2}, r"ratio must be in 0\.\.1; got 1.2"),
        ({"similarity": 2}, r"similarity must be in −1\.\.1; got 2"),
        ({"best": 0}, "best must be an integer of at least 1"),
        ({"best": 2.5}, "best must be an integer of at least 1"),
        ({"layer": 3}, "layer"),
        ({"head": 5}, "head"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ve.correspondences(*pair(), **options)  # type: ignore[arg-type]
