"""What is off is found, and what rounds is let through."""

import math

import numpy as np
import pandas as pd
import pytest

from vit_engine.report.reproduction.closeness import Check, array_check, frame_check, row_check, worst

MADE = np.array([[0.5, 0.25, 0.0], [0.1, 0.1, 0.05]], dtype=np.float32)
FRAME = pd.DataFrame(
    {
        "layer": [0, 0, 1],
        "head": [0, 1, 0],
        "A": [10.0, 20.0, math.nan],
        "B": [1.0, 2.0, 3.0],
        "B − A": [-9, -18, math.nan],
    }
)


def frame(column: str, row: int, value: object) -> pd.DataFrame:
    changed = FRAME.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[row, column] = value
    return changed


@pytest.mark.parametrize(("off", "matches"), [(0.0, True), (4e-5, True), (6e-5, False), (-6e-5, False)])
def test_an_array_may_be_off_by_a_part_of_its_scale(off: float, matches: bool) -> None:
    found = MADE.copy()
    found[1, 2] += np.float32(off)
    check = array_check("A", found, MADE, 1e-4, 0.5)
    assert check.matches == matches
    assert check.deviation == pytest.approx(abs(off) / 0.5, rel=1e-2)


def test_an_array_of_other_holes_or_none_at_all_does_not_match() -> None:
    found = MADE.copy()
    found[0, 0] = np.nan
    assert array_check("A", found, found, 1e-4, 1.0).matches
    assert not array_check("A", found, MADE, 1e-4, 1.0).matches
    assert not array_check("A", None, MADE, 1e-4, 1.0).matches


def test_whole_numbers_are_not_rounded() -> None:
    made = np.array([1, 12, 17, 8])
    assert array_check("grid", made.copy(), made, 1.0, 100.0).matches
    assert not array_check("grid", np.array([1, 12, 17, 9]), made, 1.0, 100.0).matches


@pytest.mark.parametrize(
    ("found", "matches"),
    [
        ({"pane": "A", "sum": 1.0, "bits": 2.0}, True),
        ({"pane": "A", "sum": 1.09, "bits": 2.0}, True),
        ({"pane": "A", "sum": 1.11, "bits": 2.0}, False),
        ({"pane": "A", "sum": 0.89, "bits": 2.0}, False),
        ({"pane": "A", "sum": 1.0, "bits": 2.02}, False),
        ({"pane": "B", "sum": 1.0, "bits": 2.0}, False),
        ({"pane": "A", "sum": None, "bits": 2.0}, False),
        ({"pane": "A", "sum": "1.0", "bits": 2.0}, False),
        ({"pane": "A", "sum": 1.0}, False),
        ({}, False),
    ],
)
def test_each_number_of_a_row_has_its_limit(found: dict, matches: bool) -> None:
    made = {"pane": "A", "sum": 1.0, "bits": 2.0}
    assert row_check("row", found, made, {"sum": 0.1, "bits": 0.01}).matches == matches


def test_a_number_that_there_is_not_must_not_be_recorded_either() -> None:
    assert row_check("row", {"sum": 1.0, "iou": None}, {"sum": 1.0, "iou": None}, {"sum": 0.1, "iou": 0.1}).matches
    assert not row_check("row", {"sum": 1.0, "iou": 0.0}, {"sum": 1.0, "iou": None}, {"sum": 0.1, "iou": 0.1}).matches


@pytest.mark.parametrize(
    ("column", "row", "value", "matches"),
    [
        ("A", 0, 10.0, True),
        ("A", 0, 10.0019, True),
        ("A", 0, 10.0021, False),  # a ten thousandth of 20
        ("B", 0, 1.0002, True),
        ("B", 0, 1.0004, False),  # of 3
        ("B − A", 0, -9.0019, True),
        ("B − A", 0, -9.0021, False),  # a difference: of the table's 20
        ("A", 2, 0.0, False),
        ("A", 1, math.nan, False),
        ("A", 1, "much", False),
        ("head", 0, 1, False),
        ("layer", 2, 0, False),
    ],
)
def test_each_column_of_a_table_may_be_off_by_a_part_of_its_largest(
    column: str, row: int, value: object, matches: bool
) -> None:
    assert frame_check("table", frame(column, row, value), FRAME, 1e-4).matches == matches


@pytest.mark.parametrize(("value", "matches"), [(10.0219, True), (10.0221, False), (9.9779, False)])
def test_what_is_counted_in_whole_queries_may_be_off_by_some_more(value: float, *, matches: bool) -> None:
    assert frame_check("table", frame("A", 0, value), FRAME, 1e-4, counted=["A"]).matches == matches
    assert not frame_check("table", frame("A", 0, value), FRAME, 1e-4, counted=["B"]).matches


def test_tables_of_other_rows_or_columns_do_not_match() -> None:
    assert frame_check("table", FRAME.copy(), FRAME, 1e-4).matches
    for found in (FRAME[:-1], FRAME.drop(columns="B"), FRAME.rename(columns={"B": "C"}), FRAME[::-1], pd.DataFrame()):
        assert not frame_check("table", found, FRAME, 1e-4).matches


def test_a_table_without_numbers_does_not_match() -> None:
    check = frame_check("t", FRAME[["layer", "head"]], FRAME[["layer", "head"]], 1e-4)
    assert (check.matches, check.problem) == (False, "has no numbers")


def test_the_worst_is_the_one_with_a_problem_else_the_one_nearest_its_limit() -> None:
    small, near, wrong = Check("a", 5, 100), Check("b", 0.9, 1.0), Check("c", problem="is not there")
    assert worst([small, near]) is near
    assert worst([small, wrong, near]) is wrong


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (Check("picture"), "picture: matches"),
        (Check("picture", problem="is another"), "picture: DOES NOT MATCH: is another"),
        (Check("A", 0.2, 0.1, "sum"), "A: DOES NOT MATCH, sum 0.2 off, up to 0.1 allowed"),
        (Check("A", 0.1, 0.2, "sum"), "A: matches, sum 0.1 off, up to 0.2 allowed"),
        (Check("A", math.nan, 0.2, "sum"), "A: DOES NOT MATCH, sum nan off, up to 0.2 allowed"),
    ],
)
def test_a_check_is_one_line(check: Check, text: str) -> None:
    assert str(check) == text
