"""The table of what methods are worth: made of what it names, of whatever methods there are."""

import math

import pandas as pd
import pytest

import vit_engine as ve
from benchmarks import sanity


@pytest.fixture(scope="module")
def trial() -> sanity.Trial:
    case = sanity.CASES[-1]
    return sanity.Trial.of(case, ve.load_model(case.model, device="cpu"), next(case.examples()))


def test_a_row_has_all_columns_and_no_nan(trial: sanity.Trial) -> None:
    row = trial.row(ve.find_method("raw"))
    assert list(row) == list(sanity.COLUMNS)
    assert not any(map(math.isnan, row.values()))
    assert row["gain"] == ve.pointing(trial.run.trace.attention_map(), trial.mask).gain
    found = ve.faithfulness(trial.run, trial.run.trace.attention_map(), steps=sanity.STEPS, orders=sanity.ORDERS)
    assert (row["insertion"], row["deletion"]) == pytest.approx((found.insertion_gain, found.deletion_gain), abs=1e-6)


def test_a_map_without_mass_points_nowhere(trial: sanity.Trial) -> None:
    shown = trial.run.trace.attention_map()
    empty = ve.AttentionMap(0 * shown.values, shown.grid, "nothing")
    assert trial.pointing(empty) == {}


def test_outlines_lie_on_their_photographs() -> None:
    examples = {each.name: each for each in sanity.photographs()}
    assert list(examples) == ["astronaut", "coffee", "cat", "rocket"]
    assert all(each.mask.shape == (each.picture.height, each.picture.width) for each in examples.values())
    assert 0.005 < examples["rocket"].mask.mean() < 0.05


def test_methods_that_hardly_change_are_named_and_numbers_are_dashes_where_there_is_none() -> None:
    means = pd.DataFrame(0.25, index=["Raw", "Edges"], columns=list(sanity.COLUMNS))
    means.loc["Edges", ["sanity", "iou"]] = [0.5, float("nan")]
    assert sanity.hardly(means).endswith("or more): Edges.")
    assert sanity.hardly(means.loc[["Raw"]]).startswith("No method's map")
    row = sanity.table(means).splitlines()[-1]
    assert row.startswith("| Edges | 0.50 | 0.25 |")
    assert row.endswith("| 0.25 | – |")
    assert [sanity.number(value, 2) for value in (-0.001, -0.016)] == ["0.00", "−0.02"]
