"""A pane: what one of several maps is of, and how it is written in links and on the command line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vit_engine.analysis import methods
from vit_engine.analysis.methods import RAW
from vit_engine.errors import SpecError
from vit_engine.spec import ModelSpec, TokenGrid
from vit_engine.trace import REDUCTIONS

MAX_PANES = 8
FILE_PREFIX = "file:"  # of models from files, in the names of panes and in links
Point = tuple[float, float]  # (y, x) as fractions of the scaled picture's height and width, before the crop to patches
FIXED_QUERIES = ("shared", "cls")
DECIMALS = 4  # of a point: a tenth of a pixel in a thousand

_LAYER = r":(?P<layer>-?[0-9]{1,9})"
_NUMBER = r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?"
# A pane but for words that nothing is called: only read to say which of them is wrong.
_MISSPELT = rf"(?P<model>.+?){_LAYER}:(?P<head>[0-9]{{1,9}}|[a-zA-Z]\w*)(?::(?P<method>\w+))?(?::(?P<query>.+))?"


@dataclass(frozen=True)
class Pane:
    """What one map of several is of. SpecError for a model, method, head or query that cannot be."""

    model: str  # a model's name, or a checkpoint's
    layer: int = -1  # from 0; negative from the last
    head: int | str = "mean"  # a number from 0, or "mean", "max", "min" over heads
    method: str = RAW  # a name in METHODS or TOKEN_METHODS
    query: str | Point = "shared"  # with all panes; or "cls"; or a point of its own, rounded as it is written

    def __post_init__(self) -> None:
        if not self.model:
            raise SpecError("a pane needs the name of a model; got an empty one.")
        methods.find_method(self.method)
        head = self.head
        known = head in REDUCTIONS if isinstance(head, str) else head >= 0
        if not known:
            raise SpecError(f"a pane's head must be a number from 0 or one of {', '.join(REDUCTIONS)}; got {head!r}.")
        object.__setattr__(self, "query", _checked(self.query))

    def __str__(self) -> str:
        """MODEL:LAYER:HEAD, and :METHOD and :QUERY where they are not the usual ones."""
        query = self.query if isinstance(self.query, str) else ",".join(f"{part:.{DECIMALS}f}" for part in self.query)
        parts = [self.model, str(self.layer), str(self.head)]
        if query != "shared":
            parts += [self.method, query]
        elif self.method != RAW:
            parts.append(self.method)
        return ":".join(parts)

    @classmethod
    def parse(cls, text: str) -> "Pane":
        """A pane as __str__ writes it; ":HEAD", ":METHOD" and ":QUERY" may be left out. SpecError for anything else.

        A model's name may have colons and numbers, as 'C:\\\\vit:3.pth': layer, head and the rest are the last that can
        be. 'a:3:7' is head 7 of layer 3 of 'a'; layer 7 of a model called 'a:3' is 'a:3:7:mean'.
        """
        found = _read(text)
        if found is None:
            raise SpecError(
                f"a pane is MODEL:LAYER, MODEL:LAYER:HEAD, and perhaps :METHOD and :QUERY, as 'dino_vits8:11:mean'; "
                f"got {text!r}."
            )
        head, query = found["head"] or "mean", found["query"] or "shared"
        point = re.fullmatch(rf"({_NUMBER}),({_NUMBER})", query)
        return cls(
            found["model"],
            int(found["layer"]),
            int(head) if head.isdecimal() else head,
            found["method"] or RAW,
            (float(point[1]), float(point[2])) if point else query,
        )


def _read(text: str) -> re.Match[str] | None:
    """The reading with the longest name of a model: with a head if there is one, else without, else misspelt."""
    head = rf":(?P<head>{'|'.join(REDUCTIONS)}|[0-9]{{1,9}})"
    method = "|".join(re.escape(method.name) for method in (*methods.METHODS, *methods.TOKEN_METHODS))
    rest = rf"(?::(?P<method>{method}))?(?::(?P<query>{'|'.join(FIXED_QUERIES)}|{_NUMBER},{_NUMBER}))?"
    layer = rf"(?P<model>.+){_LAYER}"
    patterns = (f"{layer}{head}{rest}", f"{layer}(?:{head})?{rest}", _MISSPELT)
    readings = (re.fullmatch(pattern, text, re.DOTALL) for pattern in patterns)
    return next((found for found in readings if found), None)


def _checked(query: str | Point) -> str | Point:
    """A pane's query, a point rounded as it is written; SpecError for what is none."""
    if isinstance(query, str):
        if query not in FIXED_QUERIES:
            raise SpecError(f"a pane's query must be one of {', '.join(FIXED_QUERIES)} or (y, x); got {query!r}.")
        return query
    if len(query) != 2 or not all(0 <= part <= 1 for part in query):
        raise SpecError(f"a pane's point must be two fractions 0..1 of height and width; got {query}.")
    y, x = (round(float(part), DECIMALS) + 0.0 for part in query)  # + 0.0: there is no point −0
    return y, x


def pca_layers(panes: Iterable[Pane], spec: ModelSpec) -> tuple[int, ...]:
    """The layers that these panes, of one model, show by principal components: all are fitted together, in order.

    SpecError for a layer that the model does not have.
    """
    layers = (pane.layer for pane in panes if methods.find_method(pane.method).pca is not None)
    return tuple(dict.fromkeys(map(spec.layer_number, layers)))


def letter(number: int) -> str:
    """What a pane is called: "A" for 0."""
    return chr(ord("A") + number)


def query_patch(
    query: str | Point, point: Point | None, grid: TokenGrid, frame: tuple[int, int]
) -> str | tuple[int, int]:
    """The query of a pane in its own grid: "cls", or the patch (row, col) that a point falls in or is nearest to.

    point: the shared one, None for the CLS token. frame: the picture (height, width) in pixels, before the crop.
    """
    chosen = point if query == "shared" else query
    if chosen is None or isinstance(chosen, str):
        return "cls"
    # Links round; a point on the border of two patches must not fall into the other one for that.
    return grid.patch_at(round(chosen[0] * frame[0], 1), round(chosen[1] * frame[1], 1))
