"""Runs above the memory budget are refused, and the largest picture that fits is named."""

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

import vit_engine as ve
from tests.vit_engine.planning.builders import CPU, GRID, MIB, SPEC, options, shapes
from vit_engine.decoding import MAX_PIXELS
from vit_engine.image import with_short_side
from vit_engine.planning.estimates import check_memory, largest_size
from vit_engine.planning.plan import RunPlan
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes


@given(shapes, st.integers(0, 200 * MIB), options)
def test_the_largest_size_fits_and_the_next_one_does_not(
    shape: tuple[int, int], budget: int, asked: dict[str, Any]
) -> None:
    def fits(short: int) -> bool:
        sides = with_short_side(shape, short)
        return ve.estimate(SPEC, SPEC.cropped_grid(*sides), **CPU, **asked).peak_bytes <= budget

    largest = largest_size(RunPlan.asked(SPEC, **CPU, **asked), shape, budget)
    if largest is not None:
        assert largest % 7 == 0
        assert fits(largest)
    assert not fits((largest or 0) + 7)


@pytest.mark.parametrize("shape", [(1, 1), (300, 400), (1000, 90)])
def test_the_largest_size_can_be_prepared(shape: tuple[int, int]) -> None:
    largest = largest_size(RunPlan.asked(SPEC, **CPU), shape, 1 << 60)
    assert largest is not None
    (height, width), (above, beyond) = (with_short_side(shape, largest + more) for more in (0, 7))
    assert height * width <= MAX_PIXELS < above * beyond


def refusal(grid: ve.TokenGrid, **asked: Any) -> str:
    with pytest.raises(ve.ResourceError) as caught:
        check_memory(RunPlan.asked(SPEC, **CPU, **asked), grid)
    return str(caught.value)


def test_a_refusal_says_how_much_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = SPEC.grid(1400, 1400)
    budget, needed = (ve.estimate(SPEC, side, **CPU).peak_bytes for side in (700, 1400))
    monkeypatch.setenv(BUDGET_VARIABLE, str(budget))
    assert refusal(grid) == (
        f"a run must fit the memory budget of {format_bytes(budget)} on 'cpu'; 'prime' at 1400×1400 px (40,003 tokens) "
        f"needs {format_bytes(needed)}. Use a smaller size: at this aspect a short side of 700 px is the largest that "
        "fits, or set VIT_ENGINE_MEMORY_BUDGET where more is free."
    )


def test_where_nothing_fits_the_refusal_names_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "1 B")
    assert (
        "Not even one patch fits: use a smaller model, or set VIT_ENGINE_MEMORY_BUDGET where more is free."
        in refusal(GRID)
    )


@given(shapes, st.integers(20, 2000), st.integers(1, 300), options)
@example((133, 113), 315, 17, {"statistics": "none"})
@example((104, 192), 140, 13, {"statistics": "none"})
def test_the_size_that_a_refusal_names_is_taken(
    shape: tuple[int, int], short: int, patches: int, asked: dict[str, Any]
) -> None:
    """By any picture that was cropped to the refused grid, though its own shape is not known any more."""
    assume(math.prod(with_short_side(shape, short)) <= MAX_PIXELS)
    tight = 7 * min(patches, short // 7 - 1)  # the smallest picture that just does not fit

    def grid_at(side: int) -> ve.TokenGrid:
        return SPEC.cropped_grid(*with_short_side(shape, side))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BUDGET_VARIABLE, str(ve.estimate(SPEC, grid_at(tight), **CPU, **asked).peak_bytes - 1))
        named = re.search(r"short side of (\d+) px", refusal(grid_at(short), **asked))
        if named is not None:
            assert int(named[1]) < tight
            check_memory(RunPlan.asked(SPEC, **CPU, **asked), grid_at(int(named[1])))


def test_what_fits_to_the_byte_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ve.estimate(SPEC, GRID, **CPU).peak_bytes
    monkeypatch.setenv(BUDGET_VARIABLE, str(needed))
    check_memory(RunPlan.asked(SPEC, **CPU), GRID)
    monkeypatch.setenv(BUDGET_VARIABLE, str(needed - 1))
    refusal(GRID)


def test_the_budget_is_that_of_the_models_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("vit_engine.planning.estimates.memory_budget", lambda device: asked.append(device) or 1 << 50)
    check_memory(RunPlan.asked(SPEC, device="cuda:1"), GRID)
    assert asked == [torch.device("cuda", 1)]
