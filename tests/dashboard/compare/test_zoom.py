"""A box that is dragged in a pane becomes the part of the picture that all panes show."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.compare.state import DEFAULT, Comparing
from dashboard.links.codec import Available, from_link, to_link
from dashboard.links.zoom import SMALLEST_ZOOM, zoom_in_pixels, zoom_on

FRAME = (53, 97)  # px
NOTHING = Available(lambda _: (None, ""), lambda _: None, "demo_vit_p8")


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, list[float]]:
    """What a drag sends: two corners in any order, and not only in the picture."""
    places = st.floats(-0.2, 1.2)
    return {side: [draw(places) * length, draw(places) * length] for side, length in zip("yx", FRAME, strict=True)}


def test_a_zoom_in_pixels_is_of_height_and_width() -> None:
    assert zoom_in_pixels(None, FRAME) is None
    assert zoom_in_pixels((0.1, 0.2, 0.5, 0.7), (100, 1000)) == pytest.approx((10, 200, 50, 700))


@pytest.mark.parametrize(
    ("y", "x", "zoom"),
    [
        ([20, 40], [40, 60], (0.2, 0.15, 0.4, 0.35)),  # as wide as it is high, in shares of the picture
        ([40, 20], [60, 40], (0.2, 0.15, 0.4, 0.35)),
        ([45, 55], [20, 100], (0.3, 0.1, 0.7, 0.5)),
        ([0, 10], [0, 80], (0.0, 0.0, 0.4, 0.4)),
        ([95, 130], [190, 220], (0.65, 0.65, 1.0, 1.0)),  # partly beside the picture
        ([-50, 900], [10, 20], (0.0, 0.0, 1.0, 1.0)),
        ([50, 51], [100, 103], None),
        ([50, 50], [100, 100], None),
    ],
)
def test_a_box_becomes_the_least_part_of_the_pictures_shape_that_holds_it(
    y: list[float], x: list[float], zoom: tuple[float, ...] | None
) -> None:
    found = zoom_on({"y": y, "x": x}, (100, 200))
    assert found == (zoom if zoom is None else pytest.approx(zoom, abs=1e-4))


def comes_back(zoom: tuple[float, ...]) -> bool:
    """Whether a zoom's own link opens it."""
    link = {"zoom": [str(to_link(replace(DEFAULT, zoom=zoom))["zoom"])]}
    return from_link(Comparing, link, NOTHING) == ({"zoom": zoom}, ())


@given(boxes())
def test_a_zoom_has_the_pictures_shape_lies_in_it_and_holds_what_of_the_box_does(box: dict[str, list[float]]) -> None:
    zoom = zoom_on(box, FRAME)
    sides = {name: sorted(part / length for part in box[name]) for name, length in zip("yx", FRAME, strict=True)}
    largest = max(high - low for low, high in sides.values())
    assert (zoom is None) == (largest < SMALLEST_ZOOM)
    if zoom is None:
        return
    assert comes_back(zoom)
    top, left, bottom, right = zoom
    assert min(zoom) >= 0
    assert max(zoom) <= 1
    assert bottom - top == pytest.approx(right - left, abs=2e-4)
    assert bottom - top == pytest.approx(min(largest, 1), abs=2e-4)
    if largest <= 1:
        for low, high, (first, last) in ((top, bottom, sides["y"]), (left, right, sides["x"])):
            assert low - 1e-4 <= max(first, 0) <= high + 1e-4 or first > 1
            assert low - 1e-4 <= min(last, 1) <= high + 1e-4 or last < 0


def test_the_smallest_zoom_comes_back_from_its_link() -> None:
    zoom = zoom_on({"y": [20.00551, 20.00551 + 1.0000001 * SMALLEST_ZOOM * FRAME[0]], "x": [30, 30]}, FRAME)
    assert zoom is not None
    assert comes_back(zoom)


@pytest.mark.parametrize(
    "asked",
    [
        "0.1,0.1,0.5",
        "0.1,0.1,0.5,0.5,0.6",
        "0.1,0.1,0.5,x",
        "0.1,0.1,nan,0.5",
        "0.1,0.1,inf,0.5",
        "0.5,0.1,0.1,0.5",
        "0.1,0.5,0.5,0.1",
        "-0.1,0.1,0.5,0.5",
        "0.1,-0.1,0.5,0.5",
        "0.1,0.1,1.1,0.5",
        "0.1,0.1,0.5,1.1",
        "0.1,0.1,0.11,0.5",
        "0.1,0.1,0.5,0.11",
    ],
)
def test_what_is_no_zoom_is_the_whole_picture_with_a_notice(asked: str) -> None:
    values, (notice,) = from_link(Comparing, {"zoom": [asked]}, NOTHING)
    assert Comparing(**values) == DEFAULT
    assert notice == f"The link asks for zoom {asked!r}, which is not available here; using the whole picture."
