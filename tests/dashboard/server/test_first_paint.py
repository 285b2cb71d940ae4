"""Which messages the script of the first paint takes for one with the large map."""

import re
from pathlib import Path

import pytest

import dashboard
from dashboard import keys
from dashboard.server.first_paint import MAP_ID
from tests.dashboard.support import open_small


@pytest.mark.usefixtures("fresh_caches")
def test_only_the_map_is_taken_for_it_and_no_other_chart() -> None:
    at = open_small()
    assert re.search(MAP_ID, at.get_by_key(keys.OVERLAY).proto.id)
    for key in (keys.events_of(keys.OVERLAY), keys.MOSAIC, keys.HEAD_GRID, keys.ENTROPY_BY_DEPTH):
        assert not re.search(MAP_ID, at.get_by_key(key).proto.id)


def test_a_style_sheet_that_names_the_map_is_not_taken_for_it() -> None:
    """It comes with every page, first of all: pages without the map would wait for it."""
    style = (Path(dashboard.__file__).parent / "assets" / "style.css").read_text()
    assert f"-{keys.OVERLAY}" in style
    assert not re.search(MAP_ID, style)
