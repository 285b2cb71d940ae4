"""Masks of mass by hand, and outlines that enclose just what is kept."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vit_engine.analysis.maps.mask import contours, mass_mask
from vit_engine.errors import SpecError

VALUES = np.float32([[0.1, 0.2, 0.3], [0.4, 0, 0]])
few_values = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 7)), elements=st.sampled_from([0, 0.1, 0.2, 0.3, 1])
)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (0, []),
        (1e-12, [(1, 0)]),
        (0.4, [(1, 0)]),
        (0.41, [(0, 2), (1, 0)]),
        (0.7, [(0, 2), (1, 0)]),  # the boundary is included
        (0.71, [(0, 1), (0, 2), (1, 0)]),
        (0.9, [(0, 1), (0, 2), (1, 0)]),  # 0.4 + 0.3 + 0.2 is less than 0.9 by a rounding
        (0.95, [(0, 0), (0, 1), (0, 2), (1, 0)]),
        (1, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]),
    ],
)
@pytest.mark.parametrize("scale", [1, 1e-30, 50])
def test_the_smallest_set_that_holds_the_share(scale: float, keep: float, kept: list[tuple[int, int]]) -> None:
    values = np.array(VALUES.astype(np.float64).round(1) * scale)
    mask = mass_mask(values, keep)
    assert (mask.dtype, mask.shape) == (np.bool_, (2, 3))
    assert list(zip(*map(np.ndarray.tolist, np.nonzero(mask)), strict=True)) == kept


def test_values_stay_as_they_were() -> None:
    values = VALUES.copy()
    mass_mask(values, 0.5)
    assert values.tolist() == VALUES.tolist()


@given(few_values, st.floats(0, 1), st.randoms(use_true_random=False))
def test_ties_do_not_depend_on_the_order(values: np.ndarray, keep: float, random: object) -> None:
    order = list(range(values.size))
    random.shuffle(order)
    shuffled = mass_mask(values.ravel()[order][None], keep)[0]
    assert shuffled.tolist() == mass_mask(values, keep).ravel()[order].tolist()


@given(few_values.filter(np.any), st.floats(0.01, 0.99))
def test_without_its_smallest_values_the_share_is_not_held(values: np.ndarray, keep: float) -> None:
    mask, total = mass_mask(values, keep), values.sum(dtype=np.float64)
    smallest = values[mask].min()
    assert values[mask].sum(dtype=np.float64) >= keep * total * (1 - 1e-8)
    assert values[values > smallest].sum(dtype=np.float64) < keep * total
    assert mask.tolist() == (values >= smallest).tolist()


def test_what_differs_by_a_rounding_is_equal_and_a_step_of_float32_is_not() -> None:
    assert mass_mask(np.array([[0.1 + 0.2, 0.3, 0.1]]), 0.4).tolist() == [[True, True, False]]
    assert mass_mask(np.float32([[np.nextafter(np.float32(0.3), 1), 0.3, 0.1]]), 0.4).tolist() == [[True, False, False]]


def test_the_share_itself_is_enough_whatever_is_rounded() -> None:
    values = np.array([[0.1, 0.6], [0.4, 0.1]])  # of 1.2 and a rounding, of which 0.6 is less than half
    assert mass_mask(values, 0.5).tolist() == [[False, True], [False, False]]


def test_the_mass_of_many_small_values_counts() -> None:
    values = np.full((53, 61), 2**-25, dtype=np.float32)
    values[7, 11] = 1  # in float32, 1 + 2⁻²⁵ is 1
    assert mass_mask(values, 0.9999).sum() == 1
    assert mass_mask(values, 0.99999).all()


@pytest.mark.parametrize("nothing", [np.zeros((2, 3)), np.array([[1, 2, math.nan], [3, 4, 5]])])
def test_without_mass_or_with_a_nan_nothing_is_kept_below_1(nothing: np.ndarray) -> None:
    assert [mass_mask(nothing, keep).sum() for keep in (0, 0.5, 0.999)] == [0, 0, 0]
    assert mass_mask(nothing, 1).all()


def test_an_even_map_is_kept_whole() -> None:
    assert mass_mask(np.full((1, 7), 1 / 7), 0.01).all()
    assert mass_mask(np.ones((1, 1)), 0.5).all()


@pytest.mark.parametrize("keep", [-0.1, 1.1, math.nan])
def test_a_share_outside_0_to_1_is_refused(keep: float) -> None:
    with pytest.raises(SpecError, match=rf"the mass to keep must be in 0\.\.1; got {keep}"):
        mass_mask(VALUES, keep)


@pytest.mark.parametrize(("value", "got"), [(-0.5, "-0.5 to 3"), (math.inf, "1 to inf"), (-math.inf, "-inf to 3")])
def test_values_that_are_no_masses_are_refused(value: float, got: str) -> None:
    with pytest.raises(SpecError, match=rf"finite and not negative; got {got}\."):
        mass_mask(np.array([[1, value, 3]]), 0.5)


def inside(outlines: tuple[np.ndarray, ...], row: float, col: float) -> bool:
    """Whether a ray to the right crosses the outlines an odd number of times."""
    crossings = 0
    for outline in outlines:
        for (start, left), (end, right) in pairwise(outline.tolist()):
            if (start > row) != (end > row):
                crossings += left + (row - start) / (end - start) * (right - left) > col
    return crossings % 2 == 1


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 7))))
def test_outlines_close_and_enclose_just_the_patches_that_are_kept(mask: np.ndarray) -> None:
    outlines = contours(mask)
    assert all(outline.shape[1:] == (2,) and outline[0].tolist() == outline[-1].tolist() for outline in outlines)
    rows, cols = mask.shape
    for down, right in product((-0.41, 0.1, 0.41), (-0.43, 0, 0.43)):  # on no ray a corner of an outline
        found = [[inside(outlines, row + down, col + right) for col in range(cols)] for row in range(rows)]
        assert found == mask.tolist()


def test_outlines_run_along_the_edges_of_patches_and_of_the_picture() -> None:
    (whole,) = contours(np.ones((2, 3), dtype=bool))
    assert (whole.min(axis=0).tolist(), whole.max(axis=0).tolist()) == ([-0.5, -0.5], [1.5, 2.5])
    (one,) = contours(np.array([[False, False, True, False]]))
    near, far = 0.375, 0.5  # a corner is cut by an eighth of a patch
    corners = [(y, x) for y in (-1, 1) for x in (-1, 1)]
    expected = {(y * far, 2 + x * near) for y, x in corners} | {(y * near, 2 + x * far) for y, x in corners}
    assert {tuple(point) for point in one.tolist()} == expected


def test_patches_that_meet_at_a_corner_have_outlines_of_their_own() -> None:
    assert len(contours(np.array([[True, False, False], [False, True, False]]))) == 2


def test_a_hole_has_an_outline_of_its_own_and_nothing_has_none() -> None:
    ring = np.ones((3, 5), dtype=bool)
    ring[1, 2] = False
    assert len(contours(ring)) == 2
    assert contours(np.zeros((2, 3), dtype=bool)) == ()
