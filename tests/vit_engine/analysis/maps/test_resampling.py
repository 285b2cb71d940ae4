"""Maps on other grids keep their mass, patch by patch as pixel by pixel; centres of mass by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vit_engine.analysis.maps.map_builders import grids, in_pixels, made_map, maps
from vit_engine.analysis.maps.resampling import centre_of_mass, common_grid, resample
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap


@given(maps(), grids)
def test_the_mass_stays_where_it_was_on_a_grid_that_covers_both(shown: AttentionMap, other: TokenGrid) -> None:
    onto = common_grid(shown.grid, other)
    moved = resample(shown.values, shown.grid, onto)
    assert (moved.dtype, moved.shape) == (np.float64, onto.shape)
    assert moved.sum() == pytest.approx(shown.values.sum(dtype=np.float64), rel=1e-12)
    np.testing.assert_allclose(moved, in_pixels(shown.values, shown.grid, onto), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(("rows", "cols", "patch", "other"), [(29, 37, 16, 7), (34, 43, 14, 16), (59, 61, 8, 13)])
def test_the_sum_is_the_same_at_the_sizes_that_people_use(rows: int, cols: int, patch: int, other: int) -> None:
    grid = TokenGrid(1, rows, cols, patch)
    values = np.random.default_rng(0).dirichlet(np.full(grid.patches, 0.1)).reshape(grid.shape)
    for onto_patch in (other, 2 * patch):
        onto = TokenGrid(0, -(-grid.height // onto_patch), -(-grid.width // onto_patch), onto_patch)
        assert resample(values, grid, onto).sum() == pytest.approx(1, abs=1e-12)


@given(maps())
def test_on_its_own_grid_a_map_is_as_it_was(shown: AttentionMap) -> None:
    assert resample(shown.values, shown.grid, shown.grid).tolist() == shown.values.tolist()


def test_a_patch_is_shared_out_by_area() -> None:
    # One row of 3 px on rows of 2 px: ⅔ and ⅓. Columns 0..3 and 3..6 on 0..2, 2..4, 4..6: ⅔, ⅓ and ⅓, ⅔.
    moved = resample(np.array([[6.0, 12.0]]), TokenGrid(1, 1, 2, 3), TokenGrid(0, 2, 3, 2))
    assert moved.tolist() == [pytest.approx([8 / 3, 4, 16 / 3]), pytest.approx([4 / 3, 2, 8 / 3])]


def test_onto_larger_patches_masses_add_up() -> None:
    values = np.arange(15).reshape(3, 5)
    moved = resample(values, TokenGrid(2, 3, 5, 2), TokenGrid(0, 2, 3, 4))
    assert moved.tolist() == [[0 + 1 + 5 + 6, 2 + 3 + 7 + 8, 4 + 9], [10 + 11, 12 + 13, 14]]


@pytest.mark.parametrize("onto", [TokenGrid(0, 2, 6, 3), TokenGrid(0, 4, 3, 3)])
def test_a_grid_that_would_lose_mass_is_refused(onto: TokenGrid) -> None:
    with pytest.raises(SpecError, match=rf"8×10 px would lose mass on a grid of {onto.height}×{onto.width} px; use"):
        resample(np.ones((4, 5)), TokenGrid(1, 4, 5, 2), onto)


def test_values_of_another_grid_are_refused() -> None:
    with pytest.raises(SpecError, match=r"of the grid's shape \(4, 5\); got \(5, 4\)"):
        resample(np.ones((5, 4)), TokenGrid(1, 4, 5, 2), TokenGrid(1, 4, 5, 2))


@given(st.lists(grids, min_size=1, max_size=4))
def test_a_common_grid_covers_all_in_the_finest_patches_and_no_more_than_it_must(chosen: list[TokenGrid]) -> None:
    common = common_grid(*chosen)
    height, width = max(grid.height for grid in chosen), max(grid.width for grid in chosen)
    assert (common.prefix, common.patch_size) == (0, min(grid.patch_size for grid in chosen))
    assert height <= common.height < height + common.patch_size
    assert width <= common.width < width + common.patch_size


def test_a_common_grid_of_other_crops_reaches_over_the_smaller_one() -> None:
    fourteen, sixteen = TokenGrid(1, 34, 43, 14), TokenGrid(5, 30, 38, 16)  # of a picture of 480×612 px
    assert common_grid(fourteen, sixteen) == common_grid(sixteen, fourteen) == TokenGrid(0, 35, 44, 14)


def test_a_common_grid_of_none_is_refused() -> None:
    with pytest.raises(SpecError, match="at least one grid; got none"):
        common_grid()


@pytest.mark.parametrize(
    ("values", "centre"),
    [
        ([[0, 0, 0], [0, 0, 5]], (15, 25)),  # the middle of the patch
        ([[1, 1, 1], [1, 1, 1]], (10, 15)),  # the middle of the picture
        ([[3, 0, 0], [0, 0, 1]], (5 + 10 / 4, 5 + 20 / 4)),
        ([[7]], (5, 5)),
        ([[0, 1, 0, 1, 0]], (5, 25)),
    ],
)
def test_the_centre_of_mass_by_hand(values: list[list[float]], centre: tuple[float, float]) -> None:
    assert centre_of_mass(made_map(values, 10)) == pytest.approx(centre)


@given(maps())
def test_the_centre_of_mass_stays_where_patches_are_parted(shown: AttentionMap) -> None:
    parts = np.kron(shown.values, np.ones((3, 3), np.float32))
    grid = TokenGrid(0, 3 * shown.grid.rows, 3 * shown.grid.cols, shown.grid.patch_size)
    y, x = centre_of_mass(shown)
    assert centre_of_mass(AttentionMap(parts, grid, "")) == pytest.approx((3 * y, 3 * x), rel=1e-9)


@pytest.mark.parametrize("value", [0, math.nan, math.inf])
def test_without_mass_there_is_no_centre(value: float) -> None:
    assert all(map(math.isnan, centre_of_mass(made_map([[0, 0, 0], [0, value, 0]]))))
