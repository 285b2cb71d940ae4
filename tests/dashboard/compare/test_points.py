"""A click in any pane is a point of the picture for all; a box is a zoom of all."""

import numpy as np
import pytest

from dashboard import keys
from dashboard.keys import of_pane
from dashboard.testing import click_pane, drag_zoom
from tests.dashboard.compare.fixtures_compare import (
    FRAME,
    P8,
    P16,
    assert_maps,
    assert_works,
    figure_of,
    keys_of,
    opened,
    press,
    shown_part,
    whole_view,
)

HEIGHT, WIDTH = FRAME


def test_a_click_in_the_coarse_pane_is_a_point_for_all_and_each_marks_its_own_patch() -> None:
    """The point, not the middle of the patch that was clicked, is what the others mark: row 9, column 12 of 8 px."""
    at = click_pane(opened(P8, P16), y=75, x=100)
    assert_maps(at, P8, P16, queries=((9, 12), (4, 6)))
    assert at.query_params["query"] == f"{75 / HEIGHT:.4f},{100 / WIDTH:.4f}"
    at = click_pane(at, y=4, x=116)  # beyond the last whole patch of 16 px: the nearest
    assert_maps(at, P8, P16, queries=((0, 14), (0, 6)))


@pytest.mark.parametrize("show", ["map", "difference", "mask"])
def test_what_is_drawn_does_not_matter_to_a_click(show: str) -> None:
    at = click_pane(opened(P8, P16, show=show), y=43, x=27)
    y, x = at.session_state[keys.QUERY]
    assert (y * HEIGHT, x * WIDTH) == pytest.approx((43, 27), abs=0.01)
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("map").run()
    assert_maps(at, P8, P16, queries=((5, 3), (2, 1)))


def test_a_second_click_on_a_point_keeps_it_and_the_way_back_is_a_button() -> None:
    at = click_pane(opened(P8, P16), y=40, x=24)
    at = click_pane(at, y=40, x=24)
    assert_maps(at, P8, P16, queries=((5, 3), (2, 1)))
    press(at, keys.RESET_QUERY)
    assert_maps(at, P8, P16)
    assert "query" not in at.query_params
    assert keys.RESET_QUERY not in keys_of(at)
    assert_maps(click_pane(at, y=40, x=24), P8, P16, queries=((5, 3), (2, 1)))


def test_a_click_beyond_the_picture_is_one_on_its_edge() -> None:
    """The common grid of a difference ends beyond the picture where the finest patches do not divide its side."""
    at = click_pane(opened(P8, P16), y=HEIGHT + 1.5, x=-0.5)
    assert_maps(at, P8, P16, queries=((11, 0), (5, 0)))
    assert at.query_params["query"] == "1.0000,0.0000"


def test_panes_with_a_query_of_their_own_stay_where_they_are() -> None:
    panes = (P8, f"{P16}:raw:cls", f"{P8}:raw:0.25,0.75")
    at = click_pane(opened(*panes), y=90, x=4)
    assert_maps(at, P8, P16, P8, queries=((11, 0), "cls", (3, 11)))
    assert list(at.query_params["pane"]) == [P8, f"{P16}:raw:cls", f"{P8}:raw:0.2500,0.7500"]


def test_a_pane_can_be_pinned_at_the_shared_point_asked_of_cls_and_given_back() -> None:
    at = click_pane(opened(P16, P16), y=40, x=24)
    query = at.segmented_control(key=of_pane(keys.PANE_QUERY, 1))
    query.set_value("own").run()
    at = click_pane(at, y=88, x=104)
    assert_maps(at, P16, P16, queries=((5, 6), (2, 1)))
    assert at.segmented_control(key=of_pane(keys.PANE_QUERY, 1)).value == "own"
    at.segmented_control(key=of_pane(keys.PANE_QUERY, 1)).set_value("cls").run()
    assert_maps(at, P16, P16, queries=((5, 6), "cls"))
    at.segmented_control(key=of_pane(keys.PANE_QUERY, 1)).set_value("shared").run()
    assert_maps(at, P16, P16, queries=((5, 6), (5, 6)))
    assert list(at.query_params["pane"]) == [P16, P16]


def test_pinned_without_a_point_a_pane_stays_with_the_cls_token() -> None:
    at = opened(P16, P16)
    at.segmented_control(key=of_pane(keys.PANE_QUERY, 1)).set_value("own").run()
    at = click_pane(at, y=40, x=24)
    assert_maps(at, P16, P16, queries=((2, 1), "cls"))


def test_a_box_in_any_pane_is_the_part_that_all_show_until_the_whole_is_asked_for() -> None:
    """A box of a quarter of the width asks for a quarter of the height around its middle."""
    at = opened(P8, P16)
    assert whole_view(at)
    assert keys.RESET_ZOOM not in keys_of(at)
    at = drag_zoom(at, top=40, left=0.5 * WIDTH, bottom=56, right=0.75 * WIDTH)
    assert_works(at)
    assert shown_part(at) == pytest.approx((36, 0.5 * WIDTH, 60, 0.75 * WIDTH), abs=0.02)
    assert at.query_params["zoom"] == "0.3750,0.5000,0.6250,0.7500"
    assert_maps(at, P8, P16)  # the points in the box are no clicks
    press(at, keys.RESET_ZOOM)
    assert whole_view(at)
    assert "zoom" not in at.query_params


def test_zooming_out_as_far_as_it_goes_is_the_whole_picture_again() -> None:
    at = drag_zoom(opened(P8, P16), top=12, left=10, bottom=36, right=20)
    assert not whole_view(at)
    at = drag_zoom(at, top=-30, left=-50, bottom=200, right=300)
    assert whole_view(at)
    assert "zoom" not in at.query_params


def test_a_zoom_stays_while_everything_else_changes() -> None:
    at = drag_zoom(opened(P8, P16), top=12, left=10, bottom=36, right=20)
    part = shown_part(at)
    assert not whole_view(at)
    at.slider(key=of_pane(keys.PANE_LAYER, 1)).set_value(1).run()
    at = click_pane(at, y=20, x=12)
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("difference").run()
    press(at, keys.ADD_PANE)
    assert shown_part(at) == part
    at.segmented_control(key=keys.COMPARE_SHOW).set_value("map").run()
    assert_maps(at, P8, "demo_vit_p16:1:mean", "demo_vit_p16:1:mean", queries=((2, 1), (1, 0), (1, 0)))
    again = opened(*at.query_params["pane"], zoom=at.query_params["zoom"])
    assert shown_part(again) == part


def test_a_box_that_is_next_to_nothing_changes_nothing() -> None:
    at = opened(P8, P16, zoom="0.1,0.2,0.5,0.6")
    part = shown_part(at)
    assert part == pytest.approx((0.1 * HEIGHT, 0.2 * WIDTH, 0.5 * HEIGHT, 0.6 * WIDTH))
    at = drag_zoom(at, top=40, left=40, bottom=40.5, right=41)
    assert shown_part(at) == part
    assert at.session_state[keys.QUERY] is None


def test_marks_and_colours_are_in_pixels_of_the_whole_picture_also_when_zoomed() -> None:
    at = opened(P8, P16, zoom="0.1,0.2,0.5,0.6", query="0.4,0.55")
    drawn = figure_of(at)
    for name, patch in (("A", 8), ("B", 16)):
        assert (drawn[f"attention {name}"]["x0"], drawn[f"attention {name}"]["dy"]) == (patch / 2, patch)
    assert_maps(at, P8, P16, queries=((4, 8), (2, 4)))
    assert np.unique(drawn["query B"]["x"]).tolist() == [72]
