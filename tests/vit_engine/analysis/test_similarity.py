"""Divergences of heads by hand, from the definition, and the groups that they make."""

import math
import tracemalloc
from itertools import combinations

import numpy as np
import pytest

from tests.vit_engine.trace_builders import made_trace
from vit_engine.analysis import similarity
from vit_engine.analysis.similarity import HeadSimilarity, head_similarity, jensen_shannon
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace, attend
from vit_engine.weights import LoadedModel

GRID = TokenGrid(prefix=2, rows=1, cols=3, patch_size=5)
# Three heads by hand: CLS and register first. Of patches alone: (1, 0, 0), (½, ½, 0), (0, 0, 1).
FIRST = np.array([[0.5, 0.3, 0.2, 0, 0], [0.1, 0.1, 0.4, 0.4, 0], [0.9, 0.05, 0, 0, 0.05]])
SECOND = np.array([[0.2, 0.2, 0.6, 0, 0], [0.1, 0.1, 0, 0, 0.8], [0, 0, 0.5, 0.5, 0]])
HALF = 1 - 0.75 * math.log2(3) + 0.5  # JSD of (1, 0) and (½, ½): H(¾, ¼) − ½ · 1 bit


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


def by_definition(p: np.ndarray, q: np.ndarray) -> float:
    """½ KL(p‖m) + ½ KL(q‖m) in bits, for strictly positive p and q."""
    m = (p + q) / 2
    return float((p * np.log2(p / m)).sum() + (q * np.log2(q / m)).sum()) / 2


def made(**options: int) -> AttentionTrace:
    return made_trace({0: FIRST, 1: SECOND}, grid=GRID, **options)


def test_three_heads_by_hand_in_bits_over_patches_renormalised() -> None:
    found = head_similarity(made(), layers=0)
    assert found.heads == ((0, 0), (0, 1), (0, 2))
    np.testing.assert_allclose(HALF, 0.3112781, atol=1e-7)
    np.testing.assert_allclose(found.divergence, [[0, HALF, 1], [HALF, 0, 1], [1, 1, 0]], atol=1e-7)
    assert found.divergence.dtype == np.float32


def test_heads_of_all_layers_stand_by_layer_then_head() -> None:
    found = head_similarity(made())
    assert found.heads == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    expected = [[0, 1, HALF], [HALF, 1, 0], [1, 0, 1]]  # layer 0 down, layer 1 across
    np.testing.assert_allclose(found.divergence[:3, 3:], expected, atol=1e-7)


@pytest.mark.parametrize("query", ["cls", (0, 0), (4, 6)])
def test_every_pair_is_as_defined_on_a_models_own_maps(trace: AttentionTrace, query: str | tuple[int, int]) -> None:
    found = head_similarity(trace, query=query)
    maps = np.concatenate([trace.head_maps(layer, query).reshape(3, -1) for layer in (0, 1)]).astype(np.float64)
    maps /= maps.sum(axis=1, keepdims=True)
    assert found.divergence.max() > 0.1
    for one, other in combinations(range(6), 2):
        expected = by_definition(maps[one], maps[other])
        assert found.divergence[one, other] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_another_query_is_another_matrix(trace: AttentionTrace) -> None:
    cls, patch = (head_similarity(trace, query=query).divergence for query in ("cls", (4, 6)))
    assert not np.allclose(cls, patch, atol=1e-3)


def test_prefix_tokens_that_take_nearly_everything_leave_the_patches_their_shape() -> None:
    weights = np.array([[1, 0, 1e-60, 1e-60, 0], [0, 1, 1e-80, 0, 0]])
    found = head_similarity(made_trace({0: weights}, grid=GRID))
    assert found.divergence[0, 1] == pytest.approx(HALF, abs=1e-5)


@pytest.mark.parametrize("block_bytes", [1, 8 * 35 * 2, 8 * 35 * 4, 1 << 20])
def test_blocks_of_any_size_give_the_same(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(0).dirichlet(np.full(35, 0.2), size=7)
    expected = jensen_shannon(maps)
    monkeypatch.setattr(similarity, "BLOCK_BYTES", block_bytes)
    np.testing.assert_array_equal(jensen_shannon(maps), expected)
    assert expected[2, 5] == pytest.approx(by_definition(maps[2] + 1e-300, maps[5] + 1e-300), abs=1e-7)


def test_memory_beside_the_maps_is_bounded_however_many_pairs_there_are() -> None:
    maps = np.random.default_rng(1).dirichlet(np.ones(3607), size=71)
    tracemalloc.start()
    jensen_shannon(maps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * similarity.BLOCK_BYTES + 16 * 8 * 71 * 71  # all pairs would be 145 MB


def test_equal_maps_are_no_bits_apart_and_rounding_never_leaves_the_range() -> None:
    maps = np.random.default_rng(2).dirichlet(np.full(97, 0.5), size=5)
    without = np.concatenate([maps, np.zeros((5, 97))], axis=1)
    found = jensen_shannon(np.concatenate([without, without, without[:, ::-1]]))
    np.testing.assert_array_equal(np.diagonal(found, 5)[:5], 0)
    assert found.min() == 0
    assert found[:5, 10:].max() == 1
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [("all", [1, 3]), (3, [3]), (-1, [4]), ((3, 1), [1, 3]), ([-4], [1]), ((0, 2), None), (9, None)],
)
def test_layers_are_those_that_were_traced(layers: object, numbers: list[int] | None) -> None:
    made = made_trace({3: FIRST, 1: SECOND}, grid=GRID, depth=5)
    if numbers in (None, [4]):
        with pytest.raises(SpecError, match=r"layer 0, 2 was not traced; this trace has \[1, 3\]|0\.\.4|layer 4 was"):
            head_similarity(made, layers=layers)
    else:
        assert list(dict.fromkeys(layer for layer, _ in head_similarity(made, layers=layers).heads)) == numbers


def test_a_query_that_is_not_here_is_refused() -> None:
    with pytest.raises(SpecError, match=r"row in 0\.\.0 and col in 0\.\.2"):
        head_similarity(made(), query=(1, 0))


def matrix(**pairs: float) -> HeadSimilarity:
    """Five heads of layer 7 that are 0.9 bits apart but for the pairs that are named: ab=0.1."""
    divergence = np.full((5, 5), 0.9, dtype=np.float32)
    np.fill_diagonal(divergence, 0)
    for name, bits in pairs.items():
        one, other = ("abcde".index(letter) for letter in name)
        divergence[one, other] = divergence[other, one] = bits
    return HeadSimilarity(tuple((7, head) for head in range(5)), divergence)


def test_like_heads_stand_side_by_side() -> None:
    order = matrix(ad=0.01, be=0.02).order
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert abs(order.index(0) - order.index(3)) == 1
    assert abs(order.index(1) - order.index(4)) == 1


def test_leaves_are_ordered_by_what_lies_between_branches_too() -> None:
    """a and c are a pair, b and d too; c and d are near: c and d stand in the middle."""
    order = matrix(ac=0.01, bd=0.01, cd=0.1).order
    assert abs(order.index(2) - order.index(3)) == 1


def test_the_tree_is_of_average_linkage_on_roots() -> None:
    """a and b at 0.04 join at its root 0.2; c joins at the mean of the roots 0.5 and 0.7, not at the root of a mean."""
    tree = matrix(ab=0.04, ac=0.25, bc=0.49).tree
    np.testing.assert_allclose(tree[:2, 2], [0.2, 0.6], atol=1e-6)


def test_in_a_group_no_two_heads_are_further_apart_than_the_threshold() -> None:
    """a-b-c is a chain: its ends are 0.3 apart, which a mean would hide."""
    chain = matrix(ab=0.05, bc=0.1, ac=0.3, de=0.2)
    assert chain.groups(0.05) == (((7, 0), (7, 1)),)
    assert chain.groups(0.2) == (((7, 0), (7, 1)), ((7, 3), (7, 4)))
    assert chain.groups(0.3) == (((7, 0), (7, 1), (7, 2)), ((7, 3), (7, 4)))
    assert chain.groups(1) == (tuple((7, head) for head in range(5)),)
    assert chain.groups(0.049) == ()


def test_a_threshold_is_the_divergence_of_its_digits_in_any_precision() -> None:
    assert matrix(ab=0.1).groups(np.float64(0.1)) == matrix(ab=0.1).groups(0.1) == (((7, 0), (7, 1)),)


def test_groups_come_the_biggest_first_then_the_closest() -> None:
    found = matrix(ab=0.05, cd=0.1, de=0.2, ce=0.2).groups(0.25)
    assert found == (((7, 2), (7, 3), (7, 4)), ((7, 0), (7, 1)))
    assert matrix(ab=0.2, cd=0.1).groups(0.25) == (((7, 2), (7, 3)), ((7, 0), (7, 1)))


def test_groups_stand_together_in_the_order(trace: AttentionTrace) -> None:
    found = head_similarity(trace)
    groups = found.groups(0.5)
    assert groups
    for group in groups:
        places = sorted(found.order.index(found.heads.index(head)) for head in group)
        assert places == list(range(places[0], places[0] + len(group)))


def test_heads_that_are_all_the_same_are_one_group() -> None:
    found = head_similarity(made_trace({0: np.ones((7, 5)), 1: np.ones((7, 5))}, grid=GRID))
    assert found.groups(0) == (found.heads,)


@pytest.mark.parametrize("threshold", [-0.01, 1.01, math.nan])
def test_a_threshold_that_is_no_divergence_is_refused(threshold: float) -> None:
    with pytest.raises(SpecError, match=r"in 0\.\.1 bits; got"):
        matrix().groups(threshold)


def test_means_over_pairs_leave_out_a_head_with_itself() -> None:
    some = matrix(ab=0.1, ac=0.2, bc=0.6)
    assert some.mean_among(((7, 0), (7, 1), (7, 2))) == pytest.approx(0.3)
    np.testing.assert_allclose(some.mean_to(((7, 2), (7, 0), (7, 1))), [0.4, 0.15, 0.35], atol=1e-7)
    assert some.mean_among(((7, 3),)) == 0
    assert some.mean_to(((7, 3),)).tolist() == [0]


def test_one_layer_of_all_is_as_if_it_were_alone(trace: AttentionTrace) -> None:
    part, alone = head_similarity(trace).of_layer(1), head_similarity(trace, layers=1)
    assert part.heads == alone.heads == ((1, 0), (1, 1), (1, 2))
    np.testing.assert_array_equal(part.divergence, alone.divergence)
    with pytest.raises(SpecError, match=r"layer must be one of \[0, 1\]; got 2"):
        head_similarity(trace).of_layer(2)


def test_one_head_alone_has_no_tree_and_no_group() -> None:
    one = head_similarity(made_trace({0: np.ones((1, 5))}, grid=GRID))
    assert (one.heads, one.divergence.tolist(), one.order, one.groups(1)) == (((0, 0),), [[0]], (0,), ())
    assert one.tree.shape == (0, 4)


@pytest.mark.parametrize(
    ("divergence", "complaint"),
    [
        (np.zeros((2, 3), np.float32), r"float32 of shape \(2, 2\).*got float32 \(2, 3\)"),
        (np.zeros((2, 2)), "got float64"),
        (np.float32([[0, 0.5], [0.4, 0]]), "symmetric"),
        (np.float32([[0.1, 0.5], [0.5, 0]]), "symmetric"),
        (np.float32([[0, 1.5], [1.5, 0]]), "symmetric"),
        (np.float32([[0, -0.5], [-0.5, 0]]), "symmetric"),
        (np.float32([[0, np.nan], [np.nan, 0]]), "symmetric"),
    ],
)
def test_what_is_no_matrix_of_divergences_is_refused(divergence: np.ndarray, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        HeadSimilarity(((0, 0), (0, 1)), divergence)


def test_no_heads_are_no_similarity() -> None:
    with pytest.raises(SpecError, match="at least one"):
        HeadSimilarity((), np.zeros((0, 0), np.float32))


def test_what_threads_share_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        matrix().divergence[0, 1] = 0
