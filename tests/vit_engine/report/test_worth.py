"""What measures of a map's worth say, in words."""

from dataclasses import replace

import numpy as np
import pytest

import vit_engine as ve
from vit_engine.report.worth import (
    curve_verdict,
    faithfulness_frame,
    faithfulness_record,
    faithfulness_verdict,
)
from vit_engine.trace.targets import ClassTarget

RANDOM = np.array([0.4, 0.5, 0.6])  # mean 0.5, standard deviation 0.0816


@pytest.mark.parametrize(
    ("area", "rising", "expected"),
    [
        (0.7, True, (1, "Better than chance: 2.4 standard deviations better than the mean of 3 random orders.")),
        (0.3, False, (1, "Better than chance: 2.4 standard deviations better than the mean of 3 random orders.")),
        (0.3, True, (-1, "Worse than chance: 2.4 standard deviations worse than the mean of 3 random orders.")),
        (
            0.62,  # above all of them, and within two standard deviations
            True,
            (0, "Not clearly better than chance: 1.5 standard deviations better than the mean of 3 random orders."),
        ),
        (0.5, True, (0, "Not clearly better than chance: as good as the mean of 3 random orders.")),
    ],
)
def test_an_area_beside_random_orders(area: float, rising: bool, expected: tuple[int, str]) -> None:
    assert curve_verdict(area, RANDOM, rising=rising) == expected


def test_random_orders_that_are_all_equal_have_no_standard_deviation() -> None:
    even = np.full(5, 0.5)
    assert curve_verdict(0.75, even, rising=True) == (
        1,
        "Better than chance: better than the mean of 5 random orders.",
    )
    assert curve_verdict(0.5, even, rising=False)[0] == 0


def measured(insertion: float, deletion: float, random: np.ndarray) -> ve.Faithfulness:
    """Curves that are level, so that an area is their height."""
    level = np.ones(3)
    curves = random[:, None] * level
    heights = insertion * level, deletion * level, curves, curves
    return ve.Faithfulness(np.array([0, 0.5, 1]), *heights, ClassTarget(1, "ring"), "blur", "a map")


SHOWN, OTHER = measured(0.7, 0.45, RANDOM), measured(0.52, 0.7, RANDOM[:0])


def test_the_verdict_is_one_sentence_of_the_map_and_of_randomised_weights() -> None:
    alone = (
        "beside 3 random orders of the patches, insertion is better than chance (2.4 standard deviations better), "
        "deletion is not clearly better than chance (0.6 standard deviations better)"
    )
    assert faithfulness_verdict(SHOWN, None) == f"{alone}."
    assert faithfulness_verdict(SHOWN, OTHER) == (
        f"{alone}; the same method's map on randomised weights: insertion is not clearly better than chance "
        "(0.2 standard deviations better), deletion is worse than chance (2.4 standard deviations worse)."
    )


def test_the_record_and_the_table_have_both() -> None:
    record = faithfulness_record(SHOWN, OTHER)
    assert (record["insertion_area"], record["randomised_insertion_area"]) == pytest.approx((0.7, 0.52))
    assert (record["deletion_area"], record["randomised_deletion_area"]) == pytest.approx((0.45, 0.7))
    assert record["verdict"] == faithfulness_verdict(SHOWN, OTHER)
    assert faithfulness_record(SHOWN, None)["randomised_insertion_area"] is None
    frame = faithfulness_frame(SHOWN, replace(OTHER))
    assert frame["randomised_deletion"].tolist() == [0.7] * 3
    assert "randomised_deletion" not in faithfulness_frame(SHOWN, None)
