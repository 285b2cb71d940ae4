"""What maps compare by that are no distributions: signed, intensive and fitted ones."""

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from scipy import stats

from tests.vit_engine.analysis.maps.map_builders import made_map
from vit_engine.analysis.maps.agreement import agreement, difference, map_entropy
from vit_engine.analysis.maps.resampling import centre_of_mass
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap, Quantity


def test_a_map_with_negative_values_correlates_and_is_no_distribution() -> None:
    signed, usual = replace(made_map([[1, -2, 1]], 5), unit="attribution"), made_map([[1, 2, 3]], 5)
    for pair in ((signed, usual), (usual, signed)):
        found = agreement(*pair)
        assert (found.pearson, found.spearman) == pytest.approx((0, 0), abs=1e-12)
        assert all(map(math.isnan, (found.jsd_bits, found.iou, found.shift_px)))
        with pytest.raises(SpecError, match="have no difference: maps of two units are subtracted as"):
            difference(*pair)


def test_a_signed_map_is_no_distribution_whatever_its_values() -> None:
    """One without a value below 0 compares by the same numbers as one that has some."""
    usual = made_map([[1, 2, 5]], 5)
    signed = replace(usual, unit="attribution", signed=True)
    assert usual.is_distribution
    assert not signed.is_distribution
    assert all(map(math.isnan, (*map_entropy(signed), *centre_of_mass(signed))))
    for pair in ((signed, usual), (usual, signed), (signed, signed)):
        found = agreement(*pair)
        assert (found.pearson, found.spearman) == pytest.approx((1, 1))
        assert all(map(math.isnan, (found.jsd_bits, found.iou, found.shift_px)))
    with pytest.raises(SpecError, match="subtracted as distributions, and a signed map is none"):
        difference(signed, usual)
    plain = difference(replace(signed, values=2 * signed.values), signed)
    assert (plain.values.tolist(), plain.unit, plain.signed) == ([[1, 2, 5]], "difference of attribution", True)


def test_signed_sums_of_one_unit_are_subtracted_as_they_are() -> None:
    """A patch of 4 px has as much as its four quarters together."""
    coarse, fine = made_map([[4, -8]], 4), made_map([[1, 2, 3, 4], [5, 6, 7, 8]], 2)
    found = difference(coarse, fine)
    assert found.unit == "difference of attention weight"
    assert found.values.tolist() == [[0, -1, -5, -6], [-4, -5, -9, -10]]
    assert difference(fine, coarse).values.tolist() == (-found.values).tolist()


def intensive(values: object, patch_size: int = 2, unit: str = "cosine similarity") -> AttentionMap:
    return replace(made_map(values, patch_size), unit=unit, quantity=Quantity.INTENSIVE)


def test_intensive_maps_correlate_by_the_mean_over_each_patch_and_have_no_mass() -> None:
    coarse, fine = intensive([[0.5, -1]], 4), intensive([[0.1, 0.7, -0.3, 0.2], [0.9, 0.4, -0.8, 0.6]], 2)
    found, spread = agreement(coarse, fine), np.repeat([0.5, 0.5, -1, -1], 2).reshape(4, 2).T.ravel()
    assert found.pearson == pytest.approx(stats.pearsonr(spread, fine.values.ravel())[0])
    assert found.spearman == pytest.approx(stats.spearmanr(spread, fine.values.ravel())[0])
    assert all(map(math.isnan, (found.jsd_bits, found.iou, found.shift_px)))
    assert all(map(math.isnan, (*map_entropy(abs_of(fine)), *centre_of_mass(abs_of(fine)))))


def abs_of(shown: AttentionMap) -> AttentionMap:
    """Without negative values, which alone would leave no mass."""
    return replace(shown, values=np.abs(shown.values))


def test_an_intensive_value_does_not_grow_with_the_patch_as_a_weight_does() -> None:
    """A picture of 5×2 px: one map's patches are wholly 2 px, the other's 5: its one value lies on both alike."""
    values = intensive([[0.25, 0.75]], 2), intensive([[0.5, 0.1]], 5)
    found = difference(*values)
    assert found.unit == "difference of cosine similarity"
    assert found.quantity is Quantity.INTENSIVE
    expected = [-0.25, 0.25, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-6)
    assert found.grid == TokenGrid(0, 3, 5, 2)


def test_attention_and_similarity_correlate_but_are_not_subtracted() -> None:
    weights, cosines = made_map([[1, 2, 4]]), intensive([[-1, 0, 2]])
    assert agreement(weights, cosines).pearson == pytest.approx(1)
    with pytest.raises(SpecError, match="attention weight and cosine similarity are different quantities"):
        difference(weights, cosines)
    with pytest.raises(SpecError, match="cosine similarity and degrees are different quantities"):
        difference(cosines, intensive([[1, 2, 3]], unit="degrees"))


def test_equal_ranks_of_negative_values_are_shared() -> None:
    assert agreement(intensive([[-5, -5, -9, -1]]), intensive([[1, 2, 3, 4]])).spearman == pytest.approx(
        stats.spearmanr([-5, -5, -9, -1], [1, 2, 3, 4])[0]
    )


def test_a_fitted_map_compares_with_nothing() -> None:
    usual = made_map([[1, 2, 4]])
    fitted = replace(usual, quantity=Quantity.FITTED)
    for pair in ((fitted, usual), (usual, fitted), (fitted, fitted)):
        assert all(map(math.isnan, astuple(agreement(*pair))[:-1]))
        with pytest.raises(SpecError, match="principal components are shown as colours"):
            difference(*pair)
