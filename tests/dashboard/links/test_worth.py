"""The object of a link: a box, a scene's own, an uploaded mask; anything else is told and left out."""

import pytest

from dashboard.links.codec import Instead, Reading
from dashboard.links.worth import read_object, write_object

NOTHING = Reading({}, None, 40)  # type: ignore[arg-type]  # of which nothing is asked
MASK = "sha256:" + "0f" * 32


@pytest.mark.parametrize("text", ["0.1000,0.2000,0.5000,1.0000", "scene", MASK])
def test_an_object_comes_back_from_its_link(text: str) -> None:
    assert write_object(read_object(text, NOTHING)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.1,0.2,0.5",
        "0.1,0.2,0.5,0.6,0.7",
        "0.5,0.2,0.1,0.6",
        "0,0,0,1",
        "0,0,1.1,1",
        "-0.1,0,1,1",
        "0,nan,1,1",
        "sha256:abc",
        MASK.upper(),
        "scene_1",
    ],
)
def test_what_is_no_object_is_told(text: str) -> None:
    read = read_object(text, NOTHING)
    assert isinstance(read, Instead)
    assert read.value is None
