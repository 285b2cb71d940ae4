"""Pairs are compared once for all ratios, kept within a bound, and never mixed up."""

import numpy as np
import pytest

import vit_engine as ve
from dashboard.services import catalogue, token_pairs
from dashboard.services.pictures import sample_picture
from dashboard.services.tokens import TokenAnalysis, TokenRequest
from tests.dashboard.support import ignore

LAYER = 5
pytestmark = pytest.mark.usefixtures("fresh_caches")


def analysed(sample: str, *, size: int = 96, facet: str = "token") -> TokenAnalysis:
    spec = catalogue.models()["demo_vit_p16"]
    return TokenRequest(sample_picture(sample), spec, size, facet).analyse(ignore)


def both() -> tuple[TokenAnalysis, TokenAnalysis]:
    return analysed("motorcycle_left"), analysed("motorcycle_right")


@pytest.mark.parametrize("ratio", [0.0, 0.6, 0.8, 0.95, 1.0])
def test_every_ratio_gives_the_engines_pairs(ratio: float) -> None:
    first, second = both()
    token_pairs.correspondences(first, second, layer=LAYER, head=None, ratio=1)  # what the others are taken from
    kept = token_pairs.correspondences(first, second, layer=LAYER, head=None, ratio=ratio)
    expected = ve.correspondences(first.features, second.features, layer=LAYER, ratio=ratio)
    for name in ("first", "second", "similarity", "ratio", "candidates"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(expected, name))


def test_order_layer_facet_head_and_size_are_different_pairs() -> None:
    first, second = both()
    keys = [analysed(name, facet="key") for name in ("motorcycle_left", "motorcycle_right")]
    asked = [
        (first, second, LAYER, None),
        (second, first, LAYER, None),
        (first, second, 2, None),
        (*keys, LAYER, None),
        (*keys, LAYER, 1),
        (first, analysed("motorcycle_right", size=128), LAYER, None),
    ]
    for _ in range(2):  # computed, and kept
        for one, other, layer, head in asked:
            found = token_pairs.correspondences(one, other, layer=layer, head=head, ratio=0.9)
            expected = ve.correspondences(one.features, other.features, layer=layer, head=head, ratio=0.9)
            np.testing.assert_array_equal(found.first, expected.first)
            np.testing.assert_array_equal(found.second, expected.second)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_pairs, "PAIR_BYTES", 2000)  # a pair takes 40 bytes
    first, second = both()
    for layer in range(6):
        token_pairs.correspondences(first, second, layer=layer, head=None, ratio=1)
    assert 0 < token_pairs._pairs().size <= 2000
