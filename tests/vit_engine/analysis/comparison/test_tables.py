"""Tables between panes: which numbers they have, in which order, and what is left out or empty."""

import math
from dataclasses import astuple, fields, replace

import numpy as np
import pytest

from tests.vit_engine.analysis.comparison.fixtures_analyses import FRAME, Analysed, analysed
from vit_engine.analysis.comparison import (
    AGREEMENT_COLUMNS,
    Comparison,
    PaneResult,
    agreement_table,
    comparable_columns,
    head_table,
)
from vit_engine.analysis.maps.agreement import Agreement, agreement
from vit_engine.errors import SpecError
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.statistics import COLUMNS
from vit_engine.weights import LoadedModel, load_model

COMPARABLE = [
    "cls_entropy_normalised",
    "cls_patch_entropy_normalised",
    "mean_entropy_normalised",
    "mean_patch_entropy_normalised",
    "distance_px",
    "distance_fraction",
]


@pytest.fixture(scope="module")
def comparison(fine: Analysed, coarse: Analysed, other: Analysed) -> Comparison:
    """Three models; B is the reference."""
    shown = fine.shown(0, layer=4, head=1), coarse.shown(1, layer=-1), other.shown(2, layer=1, head="max")
    return Comparison(shown, FRAME, "B", keep=0.45)


def normalised(one: PaneResult, layer: int) -> list[float]:
    """The CLS query's entropy over that of an even query, of each head of a layer."""
    nats = one.trace.statistics.cls_entropy[layer]
    return (nats / np.float32(math.log(one.trace.grid.tokens))).tolist()


def test_every_pair_has_a_row_the_reference_first(comparison: Comparison) -> None:
    table = agreement_table(comparison)
    assert list(zip(table["first"], table["second"], strict=True)) == [("B", "A"), ("B", "C"), ("A", "C")]


def test_the_numbers_are_those_of_the_two_maps_under_their_names(comparison: Comparison) -> None:
    table = agreement_table(comparison)
    maps = {one.name: one.map for one in comparison.results}
    for row in table.to_dict("records"):
        found = agreement(maps[row["first"]], maps[row["second"]], keep=0.45)
        numbers = {name: row[name] for name in row if name not in {"first", "second"}}
        assert numbers == {name: getattr(found, name) for name in numbers}
        assert len(numbers) == 5


def test_every_number_of_an_agreement_has_a_described_column() -> None:
    numbers = [field.name for field in fields(Agreement) if field.name != "keep"]
    assert [column.name for column in AGREEMENT_COLUMNS] == ["first", "second", *numbers]
    assert all(column.title and column.description.endswith(".") for column in AGREEMENT_COLUMNS)


def test_one_pane_agrees_with_nobody(fine: Analysed) -> None:
    table = agreement_table(Comparison((fine.shown(),), FRAME))
    assert (len(table), list(table)) == (0, [column.name for column in AGREEMENT_COLUMNS])


def test_a_pane_without_mass_leaves_the_others_their_numbers(fine: Analysed, coarse: Analysed) -> None:
    first, second, third = fine.shown(0, layer=2), coarse.shown(1), fine.shown(2)
    nothing = AttentionMap(np.zeros(second.map.grid.shape, np.float32), second.map.grid, "nothing")
    table = agreement_table(Comparison((first, replace(second, map=nothing), third), FRAME))
    numbers = table.set_index(["first", "second"])
    assert numbers.loc[[("A", "B"), ("B", "C")]].isna().all(axis=None)
    assert numbers.loc[("A", "C")].tolist() == list(astuple(agreement(first.map, third.map))[:-1])


def test_with_the_same_tokens_all_statistics_compare(fine: Analysed) -> None:
    columns = comparable_columns((fine.shown(0, layer=1), fine.shown(1)))
    assert columns == tuple(column for column in COLUMNS if column.name not in {"layer", "head"})


def test_with_other_tokens_only_those_that_do_not_count_them_compare(fine: Analysed, coarse: Analysed) -> None:
    columns = comparable_columns((fine.shown(), coarse.shown(1)))
    assert [column.name for column in columns] == COMPARABLE


def test_as_many_patches_behind_other_prefix_tokens_are_other_tokens(small: LoadedModel, other: Analysed) -> None:
    spec = replace(small.spec, name="without registers", registers=0)
    bare = analysed(load_model(spec, weights="random", device="cpu")).shown(1)
    assert bare.trace.grid.patches == other.trace.grid.patches
    assert [column.name for column in comparable_columns((other.shown(), bare))] == COMPARABLE


def test_as_many_tokens_with_other_patches_among_them_are_other_tokens(small: LoadedModel) -> None:
    spec = replace(small.spec, name="without registers", registers=0)
    bare = analysed(load_model(spec, weights="random", device="cpu"), size=(8, 8)).shown()
    with_registers = analysed(small, size=(4, 8)).shown()
    assert bare.trace.grid.tokens == with_registers.trace.grid.tokens == 5
    assert [column.name for column in comparable_columns((bare, with_registers))] == COMPARABLE


def test_distances_compare_only_where_all_have_them(small: LoadedModel, other: Analysed, fine: Analysed) -> None:
    without = analysed(small, statistics="entropy").shown(1)
    names = [column.name for column in comparable_columns((other.shown(), without))]
    assert "cls_gini" in names
    assert not [name for name in names if name.startswith("distance")]
    assert [column.name for column in comparable_columns((without, fine.shown()))] == COMPARABLE[:4]
    with pytest.raises(
        SpecError, match=r"a statistic of pane B must be one of cls_entropy_nats, .*; got 'distance_px'"
    ):
        head_table(Comparison((other.shown(), without), FRAME), "distance_px")


def test_heads_stand_side_by_side_with_differences_to_the_reference(comparison: Comparison) -> None:
    table = head_table(comparison, "cls_entropy_normalised")
    assert list(table) == ["head", "A", "A − B", "B", "C", "C − B"]
    assert table["head"].tolist() == [0, 1, 2, 3]
    first, second, third = comparison.results
    assert table["A"].tolist() == normalised(first, 4)
    assert table["B"].tolist() == normalised(second, 5)
    assert table["C"].tolist() == [*normalised(third, 1), pytest.approx(math.nan, nan_ok=True)]  # of three heads
    np.testing.assert_array_equal(table["A − B"], table["A"] - table["B"])
    np.testing.assert_array_equal(table["C − B"], table["C"] - table["B"])
    assert len(set(table["A"])) == 4


def test_heads_of_all_layers_are_empty_where_a_model_has_none(comparison: Comparison) -> None:
    table = head_table(comparison, "distance_px", all_layers=True)
    assert list(table) == ["layer", "head", "A", "A − B", "B", "C", "C − B"]
    places = list(zip(table["layer"], table["head"], strict=True))
    assert places == [(layer, head) for layer in range(6) for head in range(4)]
    there = [layer < 2 and head < 3 for layer, head in places]
    assert table["C"].notna().tolist() == table["C − B"].notna().tolist() == there
    assert table[["A", "A − B", "B"]].notna().all(axis=None)
    for one in comparison.results:
        assert table[one.name].dropna().tolist() == one.trace.statistics.distance.ravel().tolist()


def test_a_reference_of_fewer_heads_leaves_differences_empty(fine: Analysed, other: Analysed) -> None:
    table = head_table(Comparison((other.shown(0), fine.shown(1)), FRAME), "cls_gini")
    assert list(table) == ["head", "A", "B", "B − A"]
    assert table["B"].notna().all()
    assert table["B − A"].notna().tolist() == table["A"].notna().tolist() == [True, True, True, False]


def test_layers_and_heads_are_in_order_whichever_model_is_the_first(fine: Analysed, other: Analysed) -> None:
    for shown in ((other.shown(0), fine.shown(1)), (fine.shown(0), other.shown(1))):
        table = head_table(Comparison(shown, FRAME), "cls_gini", all_layers=True)
        places = list(zip(table["layer"], table["head"], strict=True))
        assert places == [(layer, head) for layer in range(6) for head in range(4)]


@pytest.mark.parametrize("statistic", ["layer", "head", "entropy"])
def test_a_statistic_that_there_is_not_is_refused(comparison: Comparison, statistic: str) -> None:
    with pytest.raises(
        SpecError, match=rf"of pane A must be one of cls_entropy_nats, .*same_argmax_share; got '{statistic}'"
    ):
        head_table(comparison, statistic)
