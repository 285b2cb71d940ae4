"""Rankings by hand: who is first, the numbers, and the reasons in words."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.vit_engine.trace_builders import made_trace
from vit_engine.analysis import rankings
from vit_engine.analysis.rankings import REDUNDANT_BITS, Ranking, rank_heads
from vit_engine.analysis.run import Run
from vit_engine.analysis.similarity import head_similarity
from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace, attend
from vit_engine.trace.statistics import HeadStatistics
from vit_engine.weights import LoadedModel

GRID = TokenGrid(prefix=1, rows=2, cols=3, patch_size=10)  # 20×30 px: a diagonal of 36.06 px
EVEN, PAIR, ONE, OTHER = [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]
MAPS = {0: [EVEN, PAIR, ONE, ONE], 2: [OTHER, EVEN, EVEN, EVEN]}  # layer -> four heads, over patches
DISTANCE = np.array([[1, 20, 20, 4], [30, 20, 9, 0.5]])  # px
HALF = 1 - 0.75 * math.log2(3) + 0.5  # bits between one of two patches and both


@pytest.fixture(scope="module")
def trace(small: LoadedModel, prepared: PreparedImage) -> AttentionTrace:
    return attend(small, prepared)


def with_cls(maps: list[list[float]]) -> np.ndarray:
    return np.array([[7.0, *each] for each in maps])


def made(distance: np.ndarray | None = DISTANCE, query: int = 0) -> AttentionTrace:
    weights = {layer: with_cls(maps) for layer, maps in MAPS.items()}
    return made_trace(weights, grid=GRID, distance=distance, query=query)


def ranked(trace: AttentionTrace, **options: object) -> dict[str, Ranking]:
    return {ranking.name: ranking for ranking in rank_heads(trace, **options)}


def heads(ranking: Ranking) -> list[tuple[int, int]]:
    return [(entry.layer, entry.head) for entry in ranking.entries]


def test_all_rankings_are_there_and_explain_themselves() -> None:
    found = rank_heads(made())
    assert [ranking.name for ranking in found] == ["focused", "local", "global", "unlike", "redundant"]
    for ranking in found:
        assert ranking.title
        assert ranking.meaning.endswith(".")
        assert len(ranking.entries) <= 5
        assert all(entry.reason.endswith(".") for entry in ranking.entries)
    assert f"but for {REDUNDANT_BITS} bits" in ranked(made())["redundant"].meaning
    assert "but for 0.2 bits" in ranked(made(), redundant_bits=0.2)["redundant"].meaning


def test_the_most_focused_share_their_attention_among_the_fewest_patches() -> None:
    found = ranked(made(), count=6)["focused"]
    assert heads(found) == [(0, 2), (0, 3), (2, 0), (0, 1), (0, 0), (2, 1)]  # equal ones by layer and number
    pair = math.log(2) / math.log(6)
    assert [entry.value for entry in found.entries] == pytest.approx([0, 0, 0, pair, 1, 1], abs=1e-7)
    assert {entry.unit for entry in found.entries} == {"0..1"}
    assert found.entries[3].reason == (
        "Shares its attention among 2.0 of 6 patches in effect, 39 % of the largest entropy; the layer's mean is 35 %."
    )


def test_heads_of_a_method_of_other_values_share_out_no_attention(small: LoadedModel, prepared: PreparedImage) -> None:
    run = Run(attend(small, prepared), small, prepared)
    focused = rank_heads(run, method="value_weighted")[0]
    assert focused.meaning.startswith("The map lies on the fewest patches:")
    assert focused.entries[0].reason.startswith("Lies on ")
    assert rank_heads(run, method="column")[0].entries[0].reason.startswith("Draws its attention from ")


def test_the_most_local_and_the_most_global_are_by_mean_attention_distance() -> None:
    found = ranked(made(), count=3)
    assert heads(found["local"]) == [(2, 3), (0, 0), (0, 3)]
    assert heads(found["global"]) == [(2, 0), (0, 1), (0, 2)]
    assert [entry.value for entry in found["global"].entries] == [30, 20, 20]
    assert {entry.unit for name in ("local", "global") for entry in found[name].entries} == {"px"}
    assert found["global"].entries[1].reason == (
        "Attends 20 px away on average, 55 % of the diagonal; the layer's mean is 11 px."
    )
    assert found["local"].entries[1].reason.startswith("Attends 1 px away on average, 2.8 % of the diagonal;")


def test_distances_are_read_by_the_layers_of_the_statistics_in_any_order() -> None:
    weights = {layer: with_cls(maps) for layer, maps in reversed(MAPS.items())}
    turned = made_trace(weights, grid=GRID, distance=DISTANCE[::-1])
    assert ranked(turned, count=8) == ranked(made(), count=8)


@pytest.mark.parametrize(
    "statistics", [None, replace(made().statistics, measured={"cls_gini": made().statistics.distance})]
)
def test_without_distances_nothing_is_local_or_global(statistics: HeadStatistics | None) -> None:
    found = ranked(replace(made(), head_statistics=statistics))
    assert found["local"].entries == found["global"].entries == ()
    assert len(found["focused"].entries) == 5


def test_the_most_unlike_differ_from_the_other_heads_of_their_layer() -> None:
    found = ranked(made(), count=8)["unlike"]
    even, one = 1 / 6 * math.log2(1 / 6), 7 / 12 * math.log2(7 / 12) + 5 / 12 * math.log2(1 / 12)
    apart = -one + even * 3  # H of the mixture − ½ log2 6: even and one patch
    of_layer_2 = [apart, apart / 3, apart / 3, apart / 3]
    assert heads(found)[0] == (0, 1)  # a pair, at 1 bit from two of three
    values = {(entry.layer, entry.head): entry.value for entry in found.entries}
    assert [values[2, head] for head in range(4)] == pytest.approx(of_layer_2, rel=1e-6)
    assert heads(found)[-3:] == [(2, 1), (2, 2), (2, 3)]
    place = heads(found).index((2, 0))
    assert found.entries[place].unit == "bits"
    assert found.entries[place].reason == (
        f"Its map is {apart:.2f} bits from those of the layer's other heads on average; "
        f"two heads of the layer are {apart / 2:.2f} bits apart."
    )


def test_redundant_groups_are_those_of_the_similarity_with_their_most_typical_head() -> None:
    found = ranked(made())["redundant"]
    assert [entry.group for entry in found.entries] == [((0, 0), (2, 1), (2, 2), (2, 3)), ((0, 2), (0, 3))]
    assert heads(found) == [(0, 0), (0, 2)]
    assert [entry.value for entry in found.entries] == [0, 0]
    assert found.entries[0].reason == (
        "4 heads, 0.000 bits apart on average: layer 0, head 0; layer 2, heads 1, 2 and 3. "
        "The most typical is layer 0, head 0."
    )


def test_a_group_is_as_wide_as_asked_and_its_middle_is_its_most_typical_head() -> None:
    weights = np.array([[1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0]])
    trace = made_trace({0: weights}, grid=GRID)
    assert ranked(trace, redundant_bits=HALF - 1e-5)["redundant"].entries == ()
    (entry,) = ranked(trace, redundant_bits=1)["redundant"].entries
    assert (entry.head, entry.group) == (1, ((0, 0), (0, 1), (0, 2)))
    assert entry.value == pytest.approx((2 * HALF + 1) / 3)
    assert f"{(2 * HALF + 1) / 3:.2f} bits apart on average: layer 0, heads 0, 1 and 2." in entry.reason


def test_of_a_large_group_the_reason_names_some_and_the_entry_all() -> None:
    (entry,) = ranked(made_trace({0: np.ones((3, 7)), 2: np.ones((3, 7)), 5: np.ones((3, 7))}, grid=GRID))[
        "redundant"
    ].entries
    assert len(entry.group) == 9
    assert "layer 2, heads 0, 1 and 2; layer 5, heads 0 and 1; and 1 more. The most" in entry.reason


@pytest.mark.parametrize(("share", "text"), [(0.064, "6.4 %"), (0.42, "42 %"), (0.9954, "99.5 %"), (1, "100.0 %")])
def test_shares_keep_the_digits_that_tell_heads_apart(share: float, text: str) -> None:
    assert rankings._percent(share) == text


@pytest.mark.parametrize("count", [1, 3])
def test_count_bounds_every_ranking(count: int) -> None:
    for name, ranking in ranked(made(), count=count).items():
        assert len(ranking.entries) == min(count, 2 if name == "redundant" else count)


def test_rankings_are_of_the_query() -> None:
    patch = made(query=5)
    by_patch, by_cls = ranked(patch, query=(1, 1)), ranked(patch)
    assert heads(by_patch["focused"])[0] == (0, 2)
    assert heads(by_patch["unlike"]) == heads(ranked(made())["unlike"])
    assert by_cls["focused"].entries[0].value == pytest.approx(1)  # what CLS gives is even here


def test_on_a_models_own_maps_the_values_are_those_of_its_statistics(trace: AttentionTrace) -> None:
    found = ranked(trace, count=6)
    frame = trace.statistics.to_frame()
    for name, column, ascending in (
        ("focused", "cls_patch_entropy_normalised", True),
        ("local", "distance_px", True),
        ("global", "distance_px", False),
    ):
        expected = frame.sort_values(column, ascending=ascending, kind="stable")
        assert heads(found[name]) == list(zip(expected["layer"], expected["head"], strict=True))
        np.testing.assert_allclose([entry.value for entry in found[name].entries], expected[column], rtol=1e-5)
    divergence = head_similarity(trace).divergence
    for entry in found["unlike"].entries:
        others = [3 * entry.layer + head for head in range(3) if head != entry.head]
        assert entry.value == pytest.approx(divergence[3 * entry.layer + entry.head, others].mean())


def test_a_similarity_that_is_known_is_used(trace: AttentionTrace) -> None:
    known = head_similarity(trace, query=(4, 6))
    assert rank_heads(trace, query=(4, 6), similarity=known) == rank_heads(trace, query=(4, 6))
    with pytest.raises(SpecError, match="of all traced heads"):
        rank_heads(trace, similarity=known.of_layer(1))


def test_one_head_in_one_layer_has_no_neighbours_and_is_first_in_the_rest() -> None:
    trace = made_trace({0: with_cls([PAIR])}, grid=GRID, distance=np.array([[12.0]]))
    found = ranked(trace)
    assert {name: heads(ranking) for name, ranking in found.items()} == {
        "focused": [(0, 0)],
        "local": [(0, 0)],
        "global": [(0, 0)],
        "unlike": [],
        "redundant": [],
    }


def test_one_patch_has_no_focus() -> None:
    found = ranked(made_trace({0: np.ones((3, 2))}, grid=TokenGrid(1, 1, 1, 8)))
    assert found["focused"].entries == ()
    assert found["redundant"].entries[0].group == ((0, 0), (0, 1), (0, 2))


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_entry_is_refused(count: int) -> None:
    with pytest.raises(SpecError, match=f"count must be at least 1; got {count}"):
        rank_heads(made(), count=count)
