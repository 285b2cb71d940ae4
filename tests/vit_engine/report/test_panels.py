"""What is drawn of a comparison: scales, masks, differences and marks, reckoned by hand."""

from dataclasses import replace

import numpy as np
import pytest

from tests.vit_engine.report.fixtures_bundles import COARSE, FINE, coarse, comparison, fine, shown
from vit_engine.analysis.comparison import Comparison
from vit_engine.report.colours import colour_stops, diverging_stops
from vit_engine.report.panels import Panel, panels
from vit_engine.report.style import Style

ALL = Style(clip=100)
A = fine((1, 2, 20), (4, 10, 5))
B = coarse((0, 1, 40), (2, 4, 10))


def drawn(shown_maps: Comparison, **look: object) -> tuple[Panel, ...]:
    return panels(shown_maps, replace(ALL, **look))


def test_a_map_is_drawn_as_it_is_on_its_own_grid() -> None:
    first, second = drawn(comparison(A, B), colours="magma")
    for panel, values, grid in ((first, A, FINE), (second, B, COARSE)):
        assert panel.values.tolist() == panel.coloured.tolist() == values.tolist()
        assert panel.coloured.dtype == np.float32
        assert (panel.grid, panel.patches, panel.low, panel.high) == (grid, grid, 0, panel.limit)
        assert panel.stops == colour_stops("magma")
        assert (panel.unit, panel.difference, panel.log, panel.message) == ("attention weight", False, False, "")
        assert panel.pixels.tolist() == np.full((grid.height, grid.width, 3), (200, 100, 50)).tolist()
    assert (first.name, second.name) == ("A", "B")


def test_a_shared_scale_ends_at_one_multiple_of_even_attention_in_all_patch_sizes() -> None:
    """A's largest weight is 0.2 of 66 patches, 13.2 × even; B's 0.4 of 15, 6 × even."""
    first, second = drawn(comparison(A, B))
    assert first.limit == pytest.approx(0.2)
    assert second.limit == pytest.approx(13.2 / 15)
    fewer = drawn(comparison(coarse((0, 0, 90)), A))
    assert [panel.limit for panel in fewer] == pytest.approx([0.9, 13.5 / 66])


def test_a_shared_scale_ends_at_the_percentile_over_all_panes() -> None:
    dense = np.arange(66, dtype=np.float32).reshape(6, 11) / 66  # × even: 0 … 65
    sparse = np.arange(66, 81, dtype=np.float32).reshape(3, 5) / 15  # × even: 66 … 80
    first, second = drawn(comparison(dense, sparse), clip=90)
    assert first.limit * 66 == pytest.approx(72)
    assert second.limit * 15 == pytest.approx(72)
    assert first.high == first.limit


def test_on_its_own_scale_each_pane_ends_at_its_own_percentile() -> None:
    assert [panel.limit for panel in drawn(comparison(A, B), scale="own")] == pytest.approx([0.2, 0.4])
    steps = np.arange(66, dtype=np.float32).reshape(6, 11)
    assert drawn(comparison(steps, B), scale="own", clip=90)[0].limit == pytest.approx(58.5)


def test_a_logarithmic_scale_has_three_decades_below_its_end_and_nothing_below_them() -> None:
    values = fine((0, 0, 50), (0, 1, 5), (0, 2, 0.05), (0, 3, 0.001))
    first, second = drawn(comparison(values, B), scale="log")
    assert first.log
    assert first.limit == pytest.approx(0.5)
    assert (first.low, first.high) == pytest.approx((np.log10(0.0005), np.log10(0.5)))
    expected = np.log10([0.5, 0.05, 0.0005, 0.0005, 0.0005])
    np.testing.assert_allclose(first.coloured[0, :5], expected, rtol=1e-5)
    assert first.coloured.dtype == np.float32
    assert first.values.tolist() == values.tolist()  # what is told by the pointer stays a weight
    assert second.high == pytest.approx(np.log10(0.5 * 66 / 15))


@pytest.mark.parametrize("scale", ["shared", "own", "log"])
def test_a_mask_draws_the_fewest_patches_that_hold_the_share_and_nothing_else(scale: str) -> None:
    values = coarse((1, 3, 50), (0, 0, 20), (2, 2, 20), (2, 0, 10))
    whole = drawn(comparison(values, A), scale=scale)[0]
    for keep, kept in ((0.45, {(1, 3)}), (0.6, {(1, 3), (0, 0), (2, 2)}), (0.95, {(1, 3), (0, 0), (2, 2), (2, 0)})):
        panel = drawn(comparison(values, A, keep=keep), show="mask", scale=scale)[0]
        assert set(zip(*np.nonzero(np.isfinite(panel.coloured)), strict=True)) == kept
        for place in kept:
            assert panel.coloured[place] == whole.coloured[place]
        assert panel.values.tolist() == values.tolist()
        assert (panel.low, panel.high) == (whole.low, whole.high)
        assert len(panel.outlines) == len(kept)  # no two of them touch


def test_the_outline_of_a_mask_is_in_pixels_around_its_patches() -> None:
    (outline,) = drawn(comparison(coarse((1, 3, 50), (1, 4, 30), (0, 0, 1)), A, keep=0.9), show="mask")[0].outlines
    assert outline.dtype == np.float32
    assert outline.min(axis=0) == pytest.approx((4, 12), abs=0.6)  # (y, x)
    assert outline.max(axis=0) == pytest.approx((8, 20), abs=0.6)
    assert drawn(comparison(B, A))[0].outlines == ()


def test_a_difference_is_of_shares_on_the_common_grid_and_centred_on_zero() -> None:
    """Of A's mass of 0.25, 0.8 and 0.2; of B's of 0.5, the same, but each on 2×2 patches of A's size."""
    reference, panel = drawn(comparison(A, B), show="difference")
    expected = np.zeros((6, 11))
    expected[0:2, 2:4] += 0.8 / 4
    expected[4:6, 8:10] += 0.2 / 4
    expected[1, 2] -= 0.8
    expected[4, 10] -= 0.2
    np.testing.assert_allclose(panel.values, expected, atol=1e-6)
    assert panel.coloured.tolist() == panel.values.tolist()
    assert abs(panel.values.sum()) < 1e-6
    assert panel.difference
    assert panel.grid == replace(FINE, prefix=0)
    assert panel.patches == COARSE
    assert (panel.low, panel.high, panel.limit) == pytest.approx((-0.6, 0.6, 0.6))
    assert panel.stops == diverging_stops()
    assert panel.unit == "difference of shares"
    assert not reference.difference
    assert reference.values.tolist() == A.tolist()
    assert (reference.low, reference.high) == pytest.approx((0, 0.2))


def test_differences_have_one_end_per_area_or_each_its_own() -> None:
    """To the coarse B: C, as coarse, moves 0.2 of the mass; A, on patches a quarter as large, at most 0.6."""
    of_c = coarse((0, 1, 30), (2, 4, 20))
    shared = drawn(comparison(A, B, of_c, reference="B"), show="difference")
    assert [panel.difference for panel in shared] == [True, False, True]
    assert shared[0].limit == pytest.approx(0.6)
    assert shared[2].limit == pytest.approx(0.6 * 66 / 15)
    assert abs(shared[2].values).max() == pytest.approx(0.2)
    own = drawn(comparison(A, B, of_c, reference="B"), show="difference", scale="own")
    assert [own[0].limit, own[2].limit] == pytest.approx([0.6, 0.2])
    assert [own[2].low, own[2].high] == pytest.approx([-0.2, 0.2])


def test_a_difference_ends_at_the_percentile_of_its_size() -> None:
    steps = (np.arange(66, dtype=np.float32) / 2145).reshape(6, 11)  # 2145 = 0 + 1 + … + 65
    panel = drawn(comparison(np.full((6, 11), 1 / 66, np.float32), steps), show="difference", clip=50)[1]
    assert panel.limit == pytest.approx(np.median(abs(steps - 1 / 66)), rel=1e-4)


def test_under_a_difference_the_picture_is_grey() -> None:
    reference, panel = drawn(comparison(A, B), show="difference")
    assert panel.pixels.shape == (12, 20, 3)
    assert panel.pixels.dtype == np.uint8
    assert set(panel.pixels.ravel().tolist()) == {124}  # 0.299 · 200 + 0.587 · 100 + 0.114 · 50 = 124.2
    assert reference.pixels[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("show", ["map", "difference", "mask"])
@pytest.mark.parametrize("scale", ["shared", "own", "log"])
def test_a_map_without_mass_is_drawn_too(show: str, scale: str) -> None:
    """All attention on the CLS token: nothing is drawn of it, and the scale still has an end."""
    for maps in ((A, coarse()), (coarse(), A), (fine(), coarse())):
        for panel in drawn(comparison(*maps), show=show, scale=scale):
            assert np.isfinite(panel.limit)
            assert panel.low < panel.high
            assert panel.limit > 0


def test_the_query_is_marked_in_the_panes_own_grid() -> None:
    maps = shown(0, A, query=(4, 10)), shown(1, B, query=(2, 4)), shown(2, B)
    for show in ("map", "difference", "mask"):
        assert [panel.patch for panel in drawn(comparison(*maps), show=show)] == [(4, 10), (2, 4), None]
    assert [panel.title for panel in drawn(comparison(*maps))] == [
        "Made · layer 0 · mean of heads · patch row 4, col 10",
        "Made · layer 0 · mean of heads · patch row 2, col 4",
        "Made · layer 0 · mean of heads · CLS",
    ]
    assert drawn(comparison(shown(0, A, head=0)))[0].title == "Made · layer 0 · head 0 · CLS"


def test_random_weights_are_said() -> None:
    one = shown(1, B)
    random = replace(one, trace=replace(one.trace, random=True))
    for show in ("map", "difference", "mask"):
        assert [panel.random for panel in drawn(comparison(A, random), show=show)] == [False, True]


def test_panes_that_are_not_shown_leave_no_gap_and_the_first_that_is_is_the_reference() -> None:
    panes = drawn(comparison(shown(1, A), shown(3, B), reference="A"), show="difference")
    assert [(panel.name, panel.difference) for panel in panes] == [("B", False), ("D", True)]
