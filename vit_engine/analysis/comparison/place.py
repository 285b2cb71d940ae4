"""Where a query is in a picture, as fractions of it: a point or a region, and the patches of both."""

import re
from typing import overload

from vit_engine.errors import SpecError
from vit_engine.grid import Query, TokenGrid

Point = tuple[float, float]  # (y, x) as fractions of the scaled picture's height and width, before the crop to patches
Region = tuple[float, float, float, float]  # (top, left, bottom, right), likewise
Place = Point | Region
FIXED_QUERIES = ("shared", "cls")
DECIMALS = 4  # of a fraction: a tenth of a pixel in a thousand

_NUMBER = r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?"
PLACE = rf"{_NUMBER},{_NUMBER}(?:,{_NUMBER},{_NUMBER})?"  # as panes are written with


def written(query: str | Place) -> str:
    """ "cls", "0.2500,0.5000", or "0.2500,0.5000,0.7500,1.0000"."""
    return query if isinstance(query, str) else ",".join(f"{part:.{DECIMALS}f}" for part in query)


def parse(text: str) -> str | tuple[float, ...]:
    """What written() writes, not yet checked: a text that is no place stays one."""
    return tuple(map(float, text.split(","))) if re.fullmatch(PLACE, text) else text


def checked(query: str | tuple[float, ...]) -> str | Place:
    """A pane's query, a place rounded as it is written; SpecError for what is none."""
    if isinstance(query, str):
        if query not in FIXED_QUERIES:
            either = f"one of {', '.join(FIXED_QUERIES)}, (y, x) or (top, left, bottom, right)"
            raise SpecError(f"a pane's query must be {either}; got {query!r}.")
        return query
    if len(query) not in (2, 4) or not all(0 <= part <= 1 for part in query):
        raise SpecError(
            f"a pane's point must be two fractions 0..1 of height and width, a region four; got {tuple(query)}."
        )
    parts = tuple(round(float(part), DECIMALS) + 0.0 for part in query)  # + 0.0: there is no point −0
    if len(parts) == 2:
        return parts[0], parts[1]
    top, left, bottom, right = parts
    if not (top < bottom and left < right):
        raise SpecError(f"a region must be (top, left, bottom, right), top < bottom and left < right; got {parts}.")
    return top, left, bottom, right


@overload
def query_patch(
    query: str | Point, point: Point | None, grid: TokenGrid, frame: tuple[int, int]
) -> str | tuple[int, int]: ...
@overload
def query_patch(query: str | Place, point: Place | None, grid: TokenGrid, frame: tuple[int, int]) -> Query: ...
def query_patch(query: str | Place, point: Place | None, grid: TokenGrid, frame: tuple[int, int]) -> Query:
    """The query of a pane in its own grid: "cls", a patch (row, col), or a box of patches (top, left, bottom, right).

    A point's patch is the one that it falls in or is nearest to; a region's are those whose middles are in it, the last
    ones included, or where there are none that at its own middle. point: the shared query, None for the CLS token.
    frame: the picture (height, width) in pixels, before the crop.
    """
    chosen = point if query == "shared" else query
    if chosen is None or isinstance(chosen, str):
        return "cls"
    y, x = chosen if len(chosen) == 2 else ((chosen[0] + chosen[2]) / 2, (chosen[1] + chosen[3]) / 2)
    if len(chosen) == 4:
        top, left, bottom, right = chosen
        rows = _middles(top * frame[0], bottom * frame[0], grid.rows, grid.patch_size)
        cols = _middles(left * frame[1], right * frame[1], grid.cols, grid.patch_size)
        if rows and cols:
            return rows[0], cols[0], rows[-1], cols[-1]
    # Links round; a point on the border of two patches must not fall into the other one for that.
    return grid.patch_at(round(y * frame[0], 1), round(x * frame[1], 1))


def _middles(begin: float, end: float, count: int, size: int) -> list[int]:
    """Of so many patches in a row, those whose middles lie between two places in pixels."""
    return [number for number in range(count) if round(begin, 1) <= (number + 0.5) * size <= round(end, 1)]
