"""How spread out a map is: over the patches, whatever goes elsewhere."""

import math

import numpy as np
import pytest

from vit_engine.analysis.maps.agreement import map_entropy
from vit_engine.grid import TokenGrid
from vit_engine.trace.attention_map import AttentionMap


def a_map(*rows: list[float]) -> AttentionMap:
    values = np.float32(rows)
    return AttentionMap(values, TokenGrid(1, *values.shape, 4), "")


@pytest.mark.parametrize(
    ("shown", "bits"),
    [
        (a_map([1, 1, 1], [1, 1, 1]), math.log2(6)),
        (a_map([0.5, 0.25, 0.25], [0, 0, 0]), 1.5),
        (a_map([0.05, 0.025, 0.025], [0, 0, 0]), 1.5),  # a tenth on the patches: the same spread
        (a_map([0, 0, 7], [0, 0, 0]), 0),
    ],
)
def test_entropy_is_of_the_map_normalised_over_its_patches(shown: AttentionMap, bits: float) -> None:
    assert map_entropy(shown) == pytest.approx((bits, bits / math.log2(6)), abs=1e-7)


def test_a_single_patch_is_as_focused_as_can_be() -> None:
    assert map_entropy(a_map([0.3])) == (0, 0)


@pytest.mark.parametrize("values", [[0, 0], [math.nan, 1], [math.inf, 1], [-0.1, 1]])
def test_what_is_no_distribution_has_no_number(values: list[float]) -> None:
    assert all(math.isnan(number) for number in map_entropy(a_map(values)))
