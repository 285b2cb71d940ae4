"""What is chosen on the page Tokens, and its part of the link.

?tokens=similarity&facet=key&token_head=3&token_layer=9
"""

from dataclasses import dataclass
from typing import Any

from dashboard import keys
from dashboard.links.codec import Instead, Reading, finite, fractions, layer_number, nearest, option, parameter
from dashboard.links.pictures import picture_or
from dashboard.links.selection import SIZES, point
from dashboard.links.zoom import Zoom, read_zoom
from vit_engine.analysis.tokens.pca import FOREGROUNDS
from vit_engine.planning.plan import FACETS, TOKEN

MATCHES = tuple(range(0, 201, 5))  # how many are drawn, at most
RATIOS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1)  # of Lowe's test; 1 keeps all
NO_PICTURE, AS_FIRST = "", 0
VIEWS = ("pca", "similarity", "norms")
ALL_HEADS = "all"  # of queries, keys or values, side by side
ALL_PATCHES = ""  # foreground and background


def _head(text: str, link: Reading) -> Any:
    if text == ALL_HEADS:
        return text
    if link.values.get("facet", TOKEN) == TOKEN:
        return Instead(ALL_HEADS, why="tokens belong to no head")
    number = finite(text)
    if number is None:
        return Instead(ALL_HEADS)
    clamped = int(min(max(number, 0), link.model.heads - 1))
    return str(clamped) if clamped == number else Instead(str(clamped))


def _foreground(text: str, _: Reading) -> Any:
    return text if text in FOREGROUNDS else Instead(ALL_PATCHES, words="all patches")


def _second_size(text: str, link: Reading) -> Any:
    return Instead(words="that of the first picture") if finite(text) is None else nearest(SIZES)(text, link)


@dataclass(frozen=True)
class TokensView:
    """Everything that decides what Tokens draws, beside the sidebar and the query."""

    view: str = parameter("pca", key=keys.TOKENS_VIEW, read=option(VIEWS), name="tokens", title="the view")
    facet: str = parameter(TOKEN, key=keys.FACET, read=option(FACETS))
    # "all", or a number as text.
    head: str = parameter(ALL_HEADS, key=keys.TOKEN_HEAD, read=_head, name="token_head", title="head")
    # None: the last one.
    layer: int | None = parameter(
        None, key=keys.TOKEN_LAYER, read=layer_number(last=False), name="token_layer", title="layer"
    )
    # The side of the first component that is fitted and coloured; "" for all patches.
    foreground: str = parameter(ALL_PATCHES, key=keys.FOREGROUND, read=_foreground)
    # The part that is shown; None for all.
    zoom: Zoom | None = parameter(
        None, key=keys.TOKEN_ZOOM, read=read_zoom, write=fractions, name="token_zoom", title="zoom"
    )
    # The second picture's name, as Selection.picture; NO_PICTURE for none.
    second: str = parameter(
        NO_PICTURE,
        read=picture_or("There is no second picture.", used="no second picture"),
        name="with",
        title="the second picture",
    )
    # Its short side in pixels; AS_FIRST for that of the first.
    second_size: int = parameter(
        AS_FIRST, key=keys.SECOND_SIZE, read=_second_size, name="with_size", title="the second picture's short side"
    )
    matches: int = parameter(30, key=keys.MATCHES, read=nearest(MATCHES), title="the number of matches")
    ratio: float = parameter(0.8, key=keys.RATIO, read=nearest(RATIOS), title="the ratio")
    # The point (y, x) of the second picture that is the query, as fractions of it; None where Selection.query is.
    asks: tuple[float, float] | None = parameter(
        None, key=keys.ASKS, read=point, write=fractions, title="the query in the second picture"
    )

    @property
    def one_head(self) -> int | None:
        """The number of the head; None for all of them, and of the facet that belongs to none."""
        return int(self.head) if self.facet != TOKEN and self.head.isdigit() else None


DEFAULT = TokensView()
