"""What listens to clicks in charts comes before them: what comes behind the map is held until the map is painted."""

from collections.abc import Callable
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element

from dashboard import keys
from tests.dashboard.heads.fixtures_heads import open_heads
from tests.dashboard.support import open_small
from tests.dashboard.tokens.fixtures_tokens import open_small_tokens


def _ids(block: Block) -> list[str]:
    """Of all elements, in the order in which they come to the page."""
    found = []
    for child in block.children.values():
        if isinstance(child, Element):
            found.append(getattr(child.proto, "id", ""))
        else:
            found += _ids(child)
    return found


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize(
    ("opened", "key"),
    [
        (open_small, keys.OVERLAY),
        (open_small, keys.MOSAIC),
        (open_small, keys.HEAD_GRID),
        (open_heads, keys.STATISTIC_MAP),
        (open_small_tokens, keys.TOKEN_MAP),
        (partial(open_small_tokens, tokens="norms"), keys.TOKEN_PROFILE),
    ],
)
def test_a_chart_takes_clicks_as_soon_as_it_is_there(opened: Callable[[], AppTest], key: str) -> None:
    ids = [name.rpartition("-")[2] for name in _ids(opened().main)]
    assert ids.index(keys.events_of(key)) < ids.index(key)
