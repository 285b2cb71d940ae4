"""What the large map is worth: closed at first; curves where they are asked for; an object, and heads that find it."""

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.explore.worth.figures import score_ends
from dashboard.explore.worth.texts import verdict
from dashboard.testing import _select, decode_figure, telling
from tests.dashboard.support import assert_works, open_small, small_trace

BOX = "0.1667,0.1194,0.6667,0.5970"  # rows 1 to 3, cols 1 to 4 of 6×8 patches, of a picture 134 px wide
ON_PATCHES = (1 / 6, 1 / 8, 4 / 6, 5 / 8)


def has(at: AppTest, kind: str, key: str) -> bool:
    return any(element.key == key for element in at.get(kind))


def test_the_section_is_closed_at_first_and_leaves_the_drag_to_the_query() -> None:
    at = open_small()
    assert at.segmented_control(key=keys.WORTH).value is None
    assert not has(at, "button", keys.MEASURE)
    assert "object" not in decode_figure(at, keys.OVERLAY)
    at = telling(at, keys.OVERLAY, "region", {"x": [1, 3], "y": [1, 2]})()
    assert at.session_state[keys.OBJECT] is None
    assert len(at.session_state[keys.QUERY]) == 4


@pytest.mark.usefixtures("fresh_caches")
def test_curves_are_measured_where_they_are_asked_for_and_are_still_there_afterwards() -> None:
    at = open_small(worth="faithfulness", layer="3", head="1", baseline="mean")
    button = at.button(key=keys.MEASURE)
    assert button.label.startswith("Measure · about ")
    at = button.click().run()
    assert_works(at)
    drawn = decode_figure(at, keys.DELETION)
    assert {"map", "random orders", "randomised weights", "range"} <= drawn.keys()
    first, last = drawn["map"]["y"][[0, -1]]
    probability = small_trace().predictions[0].probability
    assert first == pytest.approx(probability, abs=1e-3)
    assert decode_figure(at, keys.INSERTION)["map"]["y"][[0, -1]] == pytest.approx([last, first], abs=1e-5)
    texts = " ".join(element.value for element in at.markdown)
    assert texts.count("random orders") == 4  # numbers and words of both
    again = open_small(worth="faithfulness", layer="3", head="1", baseline="mean")
    assert not has(again, "button", keys.MEASURE)
    np.testing.assert_array_equal(decode_figure(again, keys.DELETION)["map"]["y"], drawn["map"]["y"])


def test_a_dragged_box_is_the_object_and_a_row_opens_its_head() -> None:
    at = open_small(worth="pointing")
    assert any("a drag marks the object" in element.value for element in at.markdown)
    at = telling(at, keys.OVERLAY, "region", {"x": [4.5, 0.5], "y": [0.5, 3.5]})()
    assert_works(at)
    assert at.query_params["object"] == BOX
    assert at.session_state[keys.QUERY] is None
    edge = decode_figure(at, keys.OVERLAY)["object"]
    assert (edge["x"].min(), edge["x"].max()) == pytest.approx((0.5, 4.5), abs=0.01)
    assert (edge["y"].min(), edge["y"].max()) == pytest.approx((0.5, 3.5), abs=0.01)
    expected = ve.rank_pointing(small_trace(), ON_PATCHES)
    shown = at.dataframe(key=keys.POINTING_RANKING).value
    assert shown[["layer", "head"]].to_numpy().tolist() == expected[["layer", "head"]].to_numpy().tolist()
    np.testing.assert_allclose(shown["share"], 100 * expected["share"], rtol=2e-3)
    at = _select(at, keys.POINTING_RANKING, [(2, "share")])
    assert (at.session_state[keys.LAYER], at.session_state[keys.HEAD]) == (
        expected["layer"][2],
        str(expected["head"][2]),
    )
    at.segmented_control(key=keys.DRAG_MARKS).set_value("query").run()
    at = telling(at, keys.OVERLAY, "region", {"x": [1, 3], "y": [1, 2]})()
    assert at.query_params["object"] == BOX
    assert len(at.session_state[keys.QUERY]) == 4
    at = at.button(key=keys.REMOVE_OBJECT).click().run()
    assert "object" not in at.query_params


def mask_file(pixels: np.ndarray) -> tuple[str, bytes, str]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "mask.png", buffer.getvalue(), "image/png"


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize(
    ("shape", "message"),
    [((50, 60), "must have the size of its picture, 320×448 px"), ((320, 448), "the mask is empty")],
)
def test_a_mask_that_cannot_be_pointed_at_says_why(shape: tuple[int, int], message: str) -> None:
    at = open_small(worth="pointing")
    at = at.file_uploader(key=keys.MASK_UPLOAD).set_value(mask_file(np.zeros(shape, dtype=np.uint8))).run()
    assert_works(at)
    assert message.lower() in at.error[0].value.lower()


@pytest.mark.parametrize(
    ("area", "rising", "words"),
    [
        (0.7, True, "Better"),
        (0.3, True, "Worse"),
        (0.51, True, "Not clearly better"),
        (0.46, True, "Not clearly better"),
        (0.3, False, "Better"),
        (0.7, False, "Worse"),
    ],
)
def test_only_what_is_beyond_all_random_orders_and_their_spread_is_better_than_chance(
    area: float, rising: bool, words: str
) -> None:
    assert f" {words} than chance" in verdict(area, np.array([0.47, 0.5, 0.53]), rising=rising)


def test_both_charts_have_one_axis_with_0_on_it() -> None:
    assert score_ends(np.array([0.2, 0.4]), np.array([[0.8]])) == pytest.approx((0, 0.84))
    assert score_ends(np.array([-0.5]), np.array([0.5])) == pytest.approx((-0.55, 0.55))
