"""The arithmetic between tokens and pixels, and what a specification refuses."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.spec import ModelSpec, Preprocessing, Weights

GRID = TokenGrid(prefix=3, rows=5, cols=7, patch_size=4)


def spec(**options: Any) -> ModelSpec:
    required = {"name": "m", "title": "M", "family": "test", "patch_size": 4, "dim": 12, "depth": 2, "heads": 3}
    return ModelSpec(**{**required, "native_size": (12, 20), **options})


def test_a_grid_counts_tokens_and_pixels() -> None:
    assert (GRID.shape, GRID.patches, GRID.tokens) == ((5, 7), 35, 38)
    assert (GRID.height, GRID.width) == (20, 28)
    assert TokenGrid(1, 3, 4, 10).diagonal == 50


@pytest.mark.parametrize(("query", "token"), [("cls", 0), ((0, 0), 3), ((0, 6), 9), ((1, 0), 10), ((4, 6), 37)])
def test_queries_are_tokens_after_the_prefix_row_by_row(query: str | tuple[int, int], token: int) -> None:
    assert GRID.token(query) == token


@pytest.mark.parametrize("query", [(5, 0), (0, 7), (-1, 0), (0, -1), "CLS", "register"])
def test_a_query_that_is_not_there_is_refused(query: str | tuple[int, int]) -> None:
    with pytest.raises(SpecError, match=r"query .* got"):
        GRID.token(query)


def test_without_a_prefix_there_is_no_cls_query() -> None:
    with pytest.raises(SpecError, match="with a CLS token present"):
        TokenGrid(0, 2, 3, 4).token("cls")
    assert TokenGrid(0, 2, 3, 4).token((1, 2)) == 5


@pytest.mark.parametrize(
    ("y", "x", "patch"),
    [(0, 0, (0, 0)), (3.9, 4, (0, 1)), (4, 3.9, (1, 0)), (19, 27, (4, 6)), (99, 99, (4, 6)), (-5, -0.1, (0, 0))],
)
def test_a_point_lies_in_a_patch_and_is_clamped_to_the_picture(y: float, x: float, patch: tuple[int, int]) -> None:
    assert GRID.patch_at(y, x) == patch


def test_the_centre_of_every_patch_lies_in_it() -> None:
    assert GRID.centre(1, 2) == (6.0, 10.0)
    patches = [(row, col) for row in range(5) for col in range(7)]
    assert [GRID.patch_at(*GRID.centre(*patch)) for patch in patches] == patches


def test_offsets_by_hand() -> None:
    offsets = TokenGrid(1, 2, 3, 10).offsets()
    root2, root5 = math.sqrt(2), math.sqrt(5)
    expected = [[10 * root5, 10 * root2, 10, 10 * root2, 10 * root5], [20, 10, 0, 10, 20]]
    assert offsets.dtype == np.float32
    np.testing.assert_allclose(offsets, [*expected, expected[0]], rtol=1e-6)


@pytest.mark.parametrize("grid", [(-1, 2, 3, 4), (0, 0, 3, 4), (0, 2, 0, 4), (0, 2, 3, 0)])
def test_a_grid_without_tokens_is_refused(grid: tuple[int, int, int, int]) -> None:
    with pytest.raises(SpecError, match=r"needs prefix ≥ 0 and rows, cols, patch_size ≥ 1; got"):
        TokenGrid(*grid)


def test_a_specification_makes_grids_with_its_prefix() -> None:
    assert spec(registers=4).prefix == 5
    assert spec(registers=4).grid(20, 28) == TokenGrid(5, 5, 7, 4)
    assert spec().grid(4, 8) == TokenGrid(1, 1, 2, 4)


@pytest.mark.parametrize("size", [(18, 28), (20, 30), (0, 4), (-4, 4)])
def test_sides_that_are_not_whole_patches_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SpecError, match=rf"positive multiples of the patch size, 4 px; got {size[0]}×{size[1]}"):
        spec().grid(*size)


def test_a_picture_is_cropped_to_whole_patches() -> None:
    assert spec(registers=4).cropped_grid(23, 28) == TokenGrid(5, 5, 7, 4)
    with pytest.raises(SpecError, match="multiples of the patch size"):
        spec().cropped_grid(3, 28)


@pytest.mark.parametrize(
    ("layers", "numbers"), [("all", {0, 1, 2, 3, 4}), (-1, {4}), (0, {0}), ([3, -2, 1], {1, 3}), (range(2), {0, 1})]
)
def test_layers_are_counted_from_the_first_and_from_the_last(layers: Any, numbers: set[int]) -> None:
    assert spec(depth=5).layer_numbers(layers) == numbers


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (5, r"layer must be in 0..4 for 'm'; got 5\."),
        ([0, -6], r"layer must be in 0..4 for 'm'; got -6\."),
        ([], "at least one layer; got none"),
        ("last", "must be 'all', a number or several numbers; got 'last'"),
    ],
)
def test_layers_that_are_not_there_are_refused(layers: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec(depth=5).layer_numbers(layers)


def test_the_number_of_heads_can_be_changed_and_is_checked() -> None:
    assert spec().with_heads(4) == spec(heads=4)
    with pytest.raises(SpecError, match="dim 12, 5 heads"):
        spec().with_heads(5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"native_size": (12, 22)}, r"whole patches of 4 px for 'm'; got \(12, 22\)"),
        ({"native_size": (0, 20)}, "at least 1"),
        ({"heads": 0}, "at least 1"),
        ({"heads": -3}, "at least 1"),
        ({"depth": 0}, "at least 1"),
        ({"patch_size": 0}, "at least 1"),
    ],
)
def test_a_model_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolation": "cubic"}, "interpolation must be one of 'bicubic', .*; got 'cubic'"),
        ({"mean": (0.5,)}, r"three channels.*mean \(0\.5,\)"),
        ({"mean": (0.5, math.nan, 0.5)}, r"finite.*mean \(0\.5, nan, 0\.5\)"),
        ({"std": (0.5, 0.5, math.inf)}, r"finite.*std \(0\.5, 0\.5, inf\)"),
        ({"std": (1.0, 0.0, 1.0)}, r"above 0.*std \(1\.0, 0\.0, 1\.0\)"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Preprocessing(**options)


def test_what_flows_is_frozen() -> None:
    for thing, name in ((GRID, "rows"), (spec(), "heads"), (spec().preprocessing, "mean"), (Weights(), "url")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, 1)


def test_weights_are_kept_under_the_last_part_of_where_they_are() -> None:
    assert Weights(url="https://example.org/a/b.pth").filename == "b.pth"
    assert Weights(packaged="c.safetensors").filename == "c.safetensors"
