"""Agreement of two maps by hand, against scipy's own, and where there is nothing to agree with."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tests.vit_engine.analysis.maps.map_builders import in_pixels, made_map, maps
from vit_engine.analysis.maps.agreement import agreement, difference
from vit_engine.analysis.maps.resampling import common_grid, resample
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap

EVEN_COARSE = made_map(np.ones((3, 6)), 13)  # 39×78 px
EVEN_FINE = made_map(np.ones((13, 26)), 3)  # the same pixels
HALF_BITS = (math.log2(4 / 3) + (math.log2(2 / 3) + math.log2(2)) / 2) / 2  # (1, 0) and (½, ½); m = (¾, ¼)


def random_map(seed: int, rows: int, cols: int, patch_size: int) -> AttentionMap:
    return made_map(np.random.default_rng(seed).dirichlet(np.full(rows * cols, 0.3)).reshape(rows, cols), patch_size)


@given(maps(), st.sampled_from([0.1, 0.6, 1]))
def test_a_map_agrees_with_itself(shown: AttentionMap, keep: float) -> None:
    found = agreement(shown, shown, keep=keep)
    even = np.ptp(shown.values) == 0
    expected = math.nan if even else pytest.approx(1)
    for correlation in (found.pearson, found.spearman):
        assert math.isnan(correlation) if even else correlation == expected
    assert (found.jsd_bits, found.iou, found.shift_px, found.keep) == (pytest.approx(0, abs=1e-12), 1, 0, keep)


@given(maps(), maps(), st.sampled_from([0, 0.3, 0.9]))
def test_agreement_is_symmetric_and_in_its_range(first: AttentionMap, second: AttentionMap, keep: float) -> None:
    found, other = agreement(first, second, keep=keep), agreement(second, first, keep=keep)
    np.testing.assert_array_equal(astuple(found), astuple(other))
    assert all(math.isnan(value) or -1 <= value <= 1 for value in (found.pearson, found.spearman))
    assert 0 <= found.jsd_bits <= 1
    assert math.isnan(found.iou) if keep == 0 else 0 <= found.iou <= 1
    assert found.shift_px >= 0


@given(maps(), maps())
def test_what_is_compared_is_shares_not_amounts(first: AttentionMap, second: AttentionMap) -> None:
    brighter = AttentionMap(first.values * 8, first.grid, "")
    np.testing.assert_allclose(astuple(agreement(brighter, second)), astuple(agreement(first, second)), atol=1e-12)


def test_correlations_by_hand() -> None:
    found = agreement(made_map([[1, 2, 3]]), made_map([[1, 3, 2]]))
    assert found.pearson == pytest.approx(1 / 2)  # deviations (−1, 0, 1) and (−1, 1, 0)
    assert found.spearman == pytest.approx(1 / 2)
    skewed = agreement(made_map([[1, 2, 9]]), made_map([[1, 2, 3]]))
    assert skewed.pearson == pytest.approx(8 / math.sqrt(38 * 2))  # (−3, −2, 5) and (−1, 0, 1)
    assert skewed.spearman == pytest.approx(1)


def test_equal_values_share_their_rank() -> None:
    found = agreement(made_map([[5, 5, 9, 1]]), made_map([[1, 2, 3, 4]]))
    # Ranks 2.5, 2.5, 4, 1 and 1, 2, 3, 4: deviations (0, 0, 1.5, −1.5) and (−1.5, −0.5, 0.5, 1.5).
    assert found.spearman == pytest.approx(-1.5 / math.sqrt(4.5 * 5))


def test_ranks_tell_apart_what_is_a_million_million_times_smaller_than_the_largest() -> None:
    first, second = made_map([[1, 1e-14, 1e-16, 1e-18]]), made_map([[1, 1e-18, 1e-16, 1e-14]])
    assert agreement(first, second).spearman == pytest.approx(stats.spearmanr([4, 3, 2, 1], [4, 1, 2, 3])[0])


@pytest.mark.parametrize("seed", range(3))
def test_on_one_grid_the_numbers_are_scipys(seed: int) -> None:
    first, second = random_map(seed, 5, 7, 4), random_map(seed + 10, 5, 7, 4)
    p, q = (shown.values.astype(np.float64).ravel() for shown in (first, second))
    found = agreement(first, second)
    assert found.pearson == pytest.approx(stats.pearsonr(p, q)[0], abs=1e-12)
    assert found.spearman == pytest.approx(stats.spearmanr(p, q)[0], abs=1e-12)
    assert found.jsd_bits == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-12)


@pytest.mark.parametrize(("rows", "cols", "patch"), [(3, 7, 4), (5, 11, 3), (2, 5, 7)])
def test_on_other_grids_they_are_scipys_of_what_is_summed_pixel_by_pixel(rows: int, cols: int, patch: int) -> None:
    first, second = random_map(1, rows, cols, patch), random_map(2, 13, 17, 2)
    common = common_grid(first.grid, second.grid)
    p, q = (
        in_pixels(one.values / one.values.sum(dtype=np.float64), one.grid, common).round(12) for one in (first, second)
    )
    whole = tuple(slice(min(sides) // 2) for sides in ((rows * patch, 26), (cols * patch, 34)))
    found = agreement(first, second)
    assert found.pearson == pytest.approx(stats.pearsonr(p[whole].ravel(), q[whole].ravel())[0], abs=1e-9)
    assert found.spearman == pytest.approx(stats.spearmanr(p[whole].ravel(), q[whole].ravel())[0], abs=1e-9)
    assert found.jsd_bits == pytest.approx(jensenshannon(p.ravel(), q.ravel(), base=2) ** 2, abs=1e-7)


@pytest.mark.parametrize(
    ("first", "second", "bits"),
    [
        ([[1, 0, 0]], [[0, 2, 3]], 1),
        ([[1, 0]], [[1, 1]], HALF_BITS),
        ([[4, 0], [0, 0]], [[1, 1], [0, 0]], HALF_BITS),
        ([[1, 1]], [[1, 1]], 0),
        ([[9]], [[1]], 0),
    ],
)
def test_divergence_in_bits_by_hand(first: list[list[float]], second: list[list[float]], bits: float) -> None:
    assert agreement(made_map(first), made_map(second)).jsd_bits == pytest.approx(bits, abs=1e-12)


@pytest.mark.parametrize(
    ("keep", "iou"),
    [
        (0.9, 8 / 20),  # three patches of 2×2 px, of which two lie in the one of 4×4 px
        (0.3, 4 / 16),
        (1, 1),
        (0, math.nan),
    ],
)
def test_overlap_of_masks_is_by_area(keep: float, iou: float) -> None:
    fine = made_map([[5, 3, 2, 0], [0, 0, 0, 0]], 2)
    assert agreement(made_map([[1, 0]], 4), fine, keep=keep).iou == pytest.approx(iou, nan_ok=True)


def test_masks_are_those_of_the_maps_own_patches_also_where_the_grids_do_not_fit() -> None:
    # 3×3 px, and two patches of 2×2 px beside each other: 6 px of 9 + 8 − 6.
    assert agreement(made_map([[1]], 3), made_map([[1, 1], [0, 0]], 2)).iou == pytest.approx(6 / 11)


def test_the_share_to_keep_is_six_tenths_unless_it_is_said() -> None:
    first, second = made_map([[5, 2, 3]]), made_map([[5, 3, 2]])
    assert (agreement(first, second).keep, agreement(first, second).iou) == (0.6, pytest.approx(1 / 3))


def test_the_shift_is_in_pixels_whatever_the_patch_sizes() -> None:
    corner = made_map([[1, 0, 0], [0, 0, 0]], 8)
    assert agreement(corner, made_map([[0, 0, 0], [0, 0, 1]], 8)).shift_px == pytest.approx(math.hypot(8, 16))
    assert agreement(corner, made_map([[1, 0]], 16)).shift_px == pytest.approx(math.hypot(4, 4))


@pytest.mark.parametrize("nothing", [[[0, 0, 0]], [[0, math.nan, 1]], [[math.inf, 1, 1]]])
@pytest.mark.parametrize("keep", [0.6, 1])
def test_with_a_map_without_mass_or_finite_values_there_are_no_numbers_and_no_error(
    nothing: list[list[float]], keep: float
) -> None:
    empty, usual = made_map(nothing), made_map([[1, 2]], 3)
    for first, second in ((empty, usual), (usual, empty), (empty, empty)):
        found = agreement(first, second, keep=keep)
        assert all(map(math.isnan, astuple(found)[:-1]))
        assert found.keep == keep
        assert np.isnan(difference(first, second).values).all()


@pytest.mark.parametrize("first", ["mass", "nothing"])
def test_a_share_that_cannot_be_is_refused_whatever_the_maps(first: str) -> None:
    shown = made_map([[1, 2] if first == "mass" else [0, 0]])
    with pytest.raises(SpecError, match=r"the mass to keep must be in 0\.\.1; got 1\.5"):
        agreement(shown, shown, keep=1.5)


def test_an_even_map_correlates_with_nothing_however_it_is_resampled() -> None:
    resampled = resample(EVEN_COARSE.values.astype(np.float64) / 18, EVEN_COARSE.grid, EVEN_FINE.grid)
    assert np.ptp(resampled) > 0  # roundings, or this test would show nothing
    peak = np.zeros((13, 26))
    peak[2, 3] = 1
    for other in (EVEN_FINE, made_map(peak, 3), random_map(3, 13, 26, 3)):
        found = agreement(EVEN_COARSE, other)
        assert math.isnan(found.pearson)
        assert math.isnan(found.spearman)
    found = agreement(EVEN_COARSE, EVEN_FINE)
    assert (found.jsd_bits, found.iou, found.shift_px) == pytest.approx((0, 1, 0), abs=1e-9)


def test_ranks_that_differ_by_a_rounding_of_the_resampling_are_shared() -> None:
    peaked = np.ones((3, 6))
    peaked[1, 4] = 2
    coarse, fine = made_map(peaked, 13), random_map(4, 13, 26, 3)
    p = in_pixels(peaked, coarse.grid, fine.grid).round(9).ravel()
    assert len(set(p)) < 20
    assert agreement(coarse, fine).spearman == pytest.approx(stats.spearmanr(p, fine.values.ravel())[0], abs=1e-9)


def test_the_strip_that_only_one_crop_has_is_no_pattern() -> None:
    fourteen, sixteen = made_map(np.ones((34, 43)), 14), made_map(np.ones((30, 38)), 16)  # of 480×612 px
    found = agreement(fourteen, sixteen)
    assert math.isnan(found.pearson)
    assert math.isnan(found.spearman)
    assert 0 < found.jsd_bits < 0.02  # but mass lies in it
    assert found.iou == pytest.approx((476 * 602) / (480 * 608))
    assert found.shift_px == pytest.approx(math.hypot(2, 3))


def test_correlations_are_over_the_patches_in_both_crops() -> None:
    small = made_map([[1, 2], [4, 7]], 2)
    wide, high = made_map([[1, 2, 90], [4, 7, 0]], 2), made_map([[1, 2], [4, 7], [90, 0]], 2)
    for larger in (wide, high):
        found = agreement(small, larger)
        assert (found.pearson, found.spearman) == pytest.approx((1, 1))
    assert agreement(wide, high).pearson == pytest.approx(1)


def test_one_patch_in_common_has_no_correlation() -> None:
    found = agreement(made_map([[1, 5, 2]], 2), made_map([[1]], 3))
    assert (math.isnan(found.pearson), math.isnan(found.spearman)) == (True, True)
    assert 0 < found.jsd_bits < 1


def test_a_map_with_all_its_mass_on_one_patch_has_numbers() -> None:
    peak, other = made_map([[0, 0, 1], [0, 0, 0]], 4), made_map([[0, 0, 0], [1, 0, 0]], 4)
    expected = (-1 / 5, -1 / 5, 1, 0, math.hypot(4, 8), 0.6)  # deviations (5, −1, −1, −1, −1, −1) / 6
    assert astuple(agreement(peak, other)) == pytest.approx(expected)


def test_a_difference_by_hand() -> None:
    found = difference(made_map([[3, 1]], 4), made_map([[1, 1, 1, 1], [0, 0, 0, 4]], 2))
    assert found.values.dtype == np.float32
    # ¾ and ¼ in four parts each, less eighths of the fine map.
    assert (found.values * 16).tolist() == [[1, 1, -1, -1], [3, 3, 1, -7]]
    assert (found.label, found.unit) == ("map of 4 px − map of 2 px", "difference of shares")
    assert found.grid == TokenGrid(0, 2, 4, 2)


@given(maps(), maps())
def test_a_difference_sums_to_0_and_turns_round(first: AttentionMap, second: AttentionMap) -> None:
    found = difference(first, second)
    assert found.values.sum(dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert found.values.tolist() == (-difference(second, first).values).tolist()
    assert not difference(first, first).values.any()
