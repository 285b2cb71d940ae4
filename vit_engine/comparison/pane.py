"""A pane: what one of several maps is of, and how it is written in links and on the command line."""

import re
from dataclasses import dataclass

from vit_engine.errors import SpecError
from vit_engine.methods import find_method
from vit_engine.spec import Query, TokenGrid
from vit_engine.trace import REDUCTIONS

MAX_PANES = 8
Point = tuple[float, float]  # (y, x) as fractions of the scaled picture's height and width, before the crop to patches
FIXED_QUERIES = ("shared", "cls")

_NUMBER = r"-?\d{1,9}(?:\.\d{1,9})?"
_PANE = re.compile(
    rf"(?P<model>.+?):(?P<layer>-?\d{{1,4}})(?::(?P<head>[a-z]+|\d{{1,4}}))?(?::(?P<method>[a-z_]+))?"
    rf"(?::(?P<query>shared|cls|{_NUMBER},{_NUMBER}))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Pane:
    """What one map of several is of.

    model: a model's name, or a checkpoint's. layer: from 0; negative from the last. head: a number from 0,
    or "mean", "max", "min" over heads. method: a name in vit_engine.methods. query: "shared" (what all panes
    share: the CLS token, or a point of the picture), "cls", or a point of its own. SpecError for a method,
    head or query that cannot be.
    """

    model: str
    layer: int = -1
    head: int | str = "mean"
    method: str = "raw"
    query: str | Point = "shared"

    def __post_init__(self) -> None:
        find_method(self.method)
        if isinstance(self.head, str) and self.head not in REDUCTIONS:
            raise SpecError(f"a pane's head must be a number or one of {', '.join(REDUCTIONS)}; got {self.head!r}.")
        if isinstance(self.query, str) and self.query not in FIXED_QUERIES:
            raise SpecError(f"a pane's query must be one of {', '.join(FIXED_QUERIES)} or (y, x); got {self.query!r}.")
        if not isinstance(self.query, str) and not all(0 <= part <= 1 for part in self.query):
            raise SpecError(f"a pane's point must be two fractions 0..1 of height and width; got {self.query}.")

    def __str__(self) -> str:
        """MODEL:LAYER:HEAD, and :METHOD and :QUERY where they are not the usual ones."""
        query = self.query if isinstance(self.query, str) else f"{self.query[0]:.4f},{self.query[1]:.4f}"
        parts = [self.model, str(self.layer), str(self.head)]
        if query != "shared":
            parts += [self.method, query]
        elif self.method != "raw":
            parts.append(self.method)
        return ":".join(parts)

    @classmethod
    def parse(cls, text: str) -> "Pane":
        """A pane as __str__ writes it; ":HEAD", ":METHOD" and ":QUERY" may be left out. SpecError for anything else."""
        found = _PANE.fullmatch(text)
        if found is None:
            raise SpecError(
                f"a pane is MODEL:LAYER, MODEL:LAYER:HEAD, and perhaps :METHOD and :QUERY, as 'dino_vits8:11:mean'; "
                f"got {text!r}."
            )
        head, query = found["head"] or "mean", found["query"] or "shared"
        point = None if query in FIXED_QUERIES else tuple(float(part) for part in query.split(","))
        return cls(
            found["model"],
            int(found["layer"]),
            int(head) if head.isdecimal() else head,
            found["method"] or "raw",
            query if point is None else (point[0], point[1]),
        )


def letter(number: int) -> str:
    """What a pane is called: "A" for 0."""
    return chr(ord("A") + number)


def query_patch(query: str | Point, point: Point | None, grid: TokenGrid, frame: tuple[int, int]) -> Query:
    """The query of a pane in its own grid: "cls", or the patch (row, col) that a point falls in.

    point: the shared one, None for the CLS token. frame: the scaled picture (height, width) in pixels, before
    the crop; a point in what was cropped away is the nearest patch's.
    """
    chosen = point if query == "shared" else query
    if chosen is None or isinstance(chosen, str):
        return "cls"
    return grid.patch_at(chosen[0] * frame[0], chosen[1] * frame[1])
