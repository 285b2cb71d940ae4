"""Statistics by hand, and their table."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.trace.statistics import COLUMNS, STATISTICS, FromCounts, HeadStatistics, gini, top_mass

GRID = TokenGrid(prefix=3, rows=3, cols=4, patch_size=10)
ENTROPIES = ("cls_entropy", "mean_entropy", "cls_patch_entropy", "mean_patch_entropy")


MEASURED = (
    *(f"{name}_nats" for name in ENTROPIES),
    *("mean_effective_tokens", "mean_patch_effective_tokens"),
    *("cls_to_cls", "cls_prefix_mass", "mean_prefix_mass", "cls_maximum", "mean_maximum", "cls_gini", "cls_top10_mass"),
    *("distance_px", "same_argmax_share"),
)


def statistics(grid: TokenGrid = GRID, **changed: np.ndarray) -> HeadStatistics:
    """Of layers 0 and 2, three heads. Every statistic counts up from its own number: the k-th is k, k + 0.01, ..."""
    step = np.arange(6, dtype=np.float32).reshape(2, 3) / 100
    return HeadStatistics((0, 2), grid, {name: number + step for number, name in enumerate(MEASURED, 1)} | changed)


def test_the_table_has_one_row_for_each_layer_and_head() -> None:
    frame = statistics().to_frame()
    assert frame["layer"].tolist() == [0, 0, 0, 2, 2, 2]
    assert frame["head"].tolist() == [0, 1, 2, 0, 1, 2]
    assert frame["cls_to_cls"].tolist() == pytest.approx([7, 7.01, 7.02, 7.03, 7.04, 7.05])


def test_the_tables_columns_are_the_described_ones_in_their_order() -> None:
    assert list(statistics().to_frame()) == [column.name for column in COLUMNS]
    assert len({column.name for column in COLUMNS}) == len(COLUMNS) == 28
    assert all(column.title and column.description.endswith(".") for column in COLUMNS)


def test_without_distances_only_their_columns_are_absent() -> None:
    measured = {name: values for name, values in statistics().measured.items() if name != "distance_px"}
    frame = replace(statistics(), measured=measured).to_frame()
    expected = [column.name for column in COLUMNS if not column.name.startswith("distance")]
    assert list(frame) == expected
    assert len(expected) == len(COLUMNS) - 2


@pytest.mark.parametrize(("name", "keys"), [*zip(ENTROPIES, (15, 15, 12, 12), strict=True)])
def test_entropy_in_all_its_units(name: str, keys: int) -> None:
    nats = math.log(8)
    values = np.full((2, 3), nats, dtype=np.float32)
    row = statistics(**{f"{name}_nats": values}).to_frame().iloc[4]
    assert row[f"{name}_nats"] == pytest.approx(nats)
    assert row[f"{name}_bits"] == pytest.approx(3)
    assert row[f"{name}_normalised"] == pytest.approx(nats / math.log(keys))
    if name.startswith("cls"):
        assert row[name.replace("entropy", "effective_tokens")] == pytest.approx(8)


def test_mean_effective_tokens_are_a_statistic_of_their_own_and_not_e_to_the_mean_entropy() -> None:
    frame = statistics().to_frame()
    assert frame["mean_effective_tokens"].tolist() == pytest.approx([5, 5.01, 5.02, 5.03, 5.04, 5.05])
    assert frame["mean_patch_effective_tokens"].tolist() == pytest.approx([6, 6.01, 6.02, 6.03, 6.04, 6.05])


def test_distance_is_in_pixels_and_in_diagonals_of_the_picture() -> None:
    frame = statistics(distance_px=np.full((2, 3), 25, dtype=np.float32)).to_frame()
    assert frame["distance_px"].unique().tolist() == [25]
    assert frame["distance_fraction"].tolist() == pytest.approx([0.5] * 6)  # of 30×40 px


def test_one_patch_has_no_entropy_to_normalise_and_no_division_by_zero() -> None:
    zeros = np.zeros((2, 3), dtype=np.float32)
    frame = statistics(TokenGrid(1, 1, 1, 10), cls_patch_entropy_nats=zeros).to_frame()
    assert frame["cls_patch_entropy_normalised"].tolist() == [0] * 6
    assert np.isfinite(frame.to_numpy()).all()


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (6,), (3, 2)])
def test_a_statistic_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match=r"cls_gini must be of shape \(2, 3\), \(layers, heads\); got"):
        statistics(cls_gini=np.zeros(shape, dtype=np.float32))


def test_one_axis_is_not_enough() -> None:
    with pytest.raises(SpecError, match=r"cls_entropy_nats must be of shape \(2, 2\), \(layers, heads\); got \(2,\)"):
        HeadStatistics((0, 1), GRID, dict.fromkeys(MEASURED, np.zeros(2, dtype=np.float32)))


@pytest.mark.parametrize("name", ["cls_entropy", "cls_entropy_bits", "layer"])
def test_only_what_is_measured_can_be_given(name: str) -> None:
    with pytest.raises(SpecError, match=f"some that are not converted; got '{name}'"):
        statistics(**{name: np.zeros((2, 3), dtype=np.float32)})


def test_every_statistic_is_an_attribute_and_the_unit_of_a_measured_one_may_be_left_out() -> None:
    made = statistics()
    frame = made.to_frame()
    for name in list(frame)[2:]:
        assert getattr(made, name).ravel().tolist() == frame[name].tolist()
        assert name in dir(made)
    for name in ENTROPIES:
        assert getattr(made, name) is made.measured[f"{name}_nats"]
    assert made.distance is made.measured["distance_px"]


def test_a_statistic_that_was_not_measured_is_none_and_one_that_there_is_not_is_an_error() -> None:
    bare = HeadStatistics((0, 2), GRID, {"cls_gini": np.zeros((2, 3), dtype=np.float32)})
    assert bare.distance is bare.distance_fraction is bare.cls_entropy is None
    assert list(bare.to_frame()) == ["layer", "head", "cls_gini"]
    with pytest.raises(AttributeError, match="no 'cls_entropie'; statistics are cls_entropy_nats, "):
        _ = bare.cls_entropie


def test_what_threads_share_cannot_be_written_to() -> None:
    made = statistics()
    assert len(made.measured) == 15
    for array in made.measured.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.25, 0.25, 0.25, 0.25], 0),
        ([0, 0, 0, 7], 3 / 4),
        ([4, 1, 3, 2], 1 / 4),  # 2 · (1 + 4 + 9 + 16) / (4 · 10) − 5/4
        ([1, 3], 1 / 4),
        ([5], 0),
        ([0, 0, 0], 0),
    ],
)
def test_gini_by_hand(weights: list[float], expected: float) -> None:
    assert gini(np.float32([weights, weights])).tolist() == pytest.approx([expected] * 2, abs=1e-7)
    assert gini(np.float32(weights)).dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "share", "expected"),
    [
        ([1, 4, 2, 3], 0.5, 0.7),
        ([1, 4, 2, 3], 0.51, 0.9),  # a part of an entry counts as one
        ([1, 4, 2, 3], 0.0, 0.4),  # at least one
        ([1, 4, 2, 3], 1.0, 1.0),
        ([0, 0], 0.5, 0.0),
    ],
)
def test_top_mass_by_hand(weights: list[float], share: float, expected: float) -> None:
    assert top_mass(np.float32([weights, weights]), share).tolist() == pytest.approx([expected] * 2)


def test_the_usual_top_mass_is_that_of_a_tenth() -> None:
    assert top_mass(np.float32([*[1] * 18, 40, 42])).item() == pytest.approx(0.82)


def test_the_share_of_the_commonest_key_by_hand() -> None:
    made = STATISTICS["same_argmax_share"].made
    assert isinstance(made, FromCounts)
    counts = torch.tensor([[0, 0, 0, 5, 0], [1, 1, 0, 0, 3], [1, 1, 1, 1, 1]], dtype=torch.int32)  # of five queries
    assert made.reduce(counts).tolist() == pytest.approx([1, 3 / 5, 1 / 5])


def test_a_table_is_its_callers_own() -> None:
    made = statistics()
    first = made.to_frame()
    before = first["cls_gini"].tolist()
    first.loc[0, "cls_gini"] = 7
    first["more"] = 1
    assert made.to_frame()["cls_gini"].tolist() == before
    assert "more" not in made.to_frame()
