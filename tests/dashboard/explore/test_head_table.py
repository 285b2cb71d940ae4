"""The statistics table is the engine's; its rows open their heads."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import keys
from dashboard.testing import choose_row
from tests.dashboard.support import assert_drawn, open_small, small_trace


def table(at: AppTest) -> pd.DataFrame:
    return at.dataframe(key=keys.HEAD_STATISTICS).value


def assert_from_engine(shown: pd.DataFrame, *, layers: list[int]) -> None:
    frame = small_trace().statistics.to_frame()
    expected = frame[frame["layer"].isin(layers)]
    assert list(zip(shown["layer"], shown["head"], strict=True)) == [(layer, h) for layer in layers for h in range(4)]
    for name in shown:
        np.testing.assert_allclose(shown[name], expected[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_table_is_of_the_layer_on_show() -> None:
    at = open_small(layer="2")
    assert_from_engine(table(at), layers=[2])
    at.slider(key=keys.LAYER).set_value(4).run()
    assert_from_engine(table(at), layers=[4])


def test_the_table_can_show_all_layers() -> None:
    at = open_small()
    at.segmented_control(key=keys.TABLE_LAYERS).set_value("all").run()
    assert_from_engine(table(at), layers=list(range(6)))


def test_entropies_are_over_all_keys_or_over_patches_only() -> None:
    at = open_small()
    over_all = list(table(at))
    assert {"cls_entropy_bits", "mean_entropy_normalised", "distance_px", "same_argmax_share"} <= set(over_all)
    at.segmented_control(key=keys.TABLE_KEYS).set_value("patches").run()
    assert_from_engine(table(at), layers=[5])
    assert list(table(at)) == [
        name.replace("_entropy", "_patch_entropy").replace("cls_eff", "cls_patch_eff") for name in over_all
    ]


@pytest.mark.parametrize("row", [0, 3])
def test_a_chosen_row_opens_its_head(row: int) -> None:
    at = choose_row(open_small(layer="2", query="0.4,0.7"), row=row)
    assert_drawn(at, small_trace(), layer=2, head=row, query=(2, 5))
    assert at.query_params["head"] == str(row)


def test_a_row_of_all_layers_opens_its_layer_and_head() -> None:
    at = open_small()
    at.segmented_control(key=keys.TABLE_LAYERS).set_value("all").run()
    choose_row(at, row=4 * 3 + 1)
    assert_drawn(at, small_trace(), layer=3, head=1)


def test_giving_up_the_choice_of_a_row_keeps_its_head() -> None:
    at = choose_row(choose_row(open_small(), row=2), row=None)
    assert_drawn(at, small_trace(), layer=5, head=2)


def test_a_chosen_row_does_not_hold_on_to_its_head() -> None:
    at = choose_row(open_small(), row=2)
    at.segmented_control(key=keys.HEAD).set_value("0").run()
    assert_drawn(at, small_trace(), layer=5, head=0)
    at.slider(key=keys.LAYER).set_value(1).run()
    assert_drawn(at, small_trace(), layer=1, head=0)
