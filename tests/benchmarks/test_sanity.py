"""The table of what methods are worth: made of what it names, of whatever methods there are."""

import math

import pandas as pd
import pytest

import vit_engine as ve
from benchmarks import sanity


@pytest.fixture(scope="module")
def trial() -> sanity.Trial:
    case = sanity.CASES[-1]
    return sanity.Trial.of(case, sanity.Models.of(case.model), next(case.examples()))


def test_a_row_has_all_columns_as_the_engine_computes_them(trial: sanity.Trial) -> None:
    method = ve.find_method("attention_gradient")
    row = trial.row(method)
    assert set(row) == set(sanity.COLUMNS)
    assert not any(map(math.isnan, row.values()))
    check = ve.sanity(trial.run, method.name, seeds=sanity.SEEDS)
    assert (row["sanity"], row["signed"]) == pytest.approx((check.absolute_mean, check.mean), abs=1e-3)
    assert row["last"] == pytest.approx(ve.sanity(trial.run, method.name, seeds=1, top=1).absolute_mean, abs=1e-3)
    shown = method.attribute(trial.run).map
    assert row["gain"] == ve.pointing(shown, trial.mask).gain
    found = ve.faithfulness(trial.run, shown, steps=sanity.STEPS, orders=sanity.ORDERS)
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
    means.loc["Raw", "last"] = 0.9
    lines = ["- all weights: Edges.", "- the last half of the layers: none.", "- the last layer: Raw."]
    assert sanity.hardly(means).splitlines()[2:] == lines
    row = sanity.table(means).splitlines()[-1]
    assert row.startswith("| Edges | 0.50 | 0.25 |")
    assert row.endswith("| 0.25 | – |")
    assert [sanity.number(value, 2) for value in (-0.001, -0.016)] == ["0.00", "−0.02"]
