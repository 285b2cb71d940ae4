"""A pane: what one of several maps is of, and how it is written in links and on the command line."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vit_engine.analysis import methods
from vit_engine.analysis.comparison import choices, place
from vit_engine.analysis.comparison.choices import Options
from vit_engine.analysis.comparison.place import FIXED_QUERIES, PLACE, Place
from vit_engine.analysis.methods import RAW, Value
from vit_engine.errors import SpecError
from vit_engine.spec import ModelSpec
from vit_engine.trace import REDUCTIONS

MAX_PANES = 8
FILE_PREFIX = "file:"  # of models from files, in the names of panes and in links

_LAYER = r":(?P<layer>-?[0-9]{1,9})"
_CHOICES = r"(?:\[(?P<choices>[^][]*)\])?"
# A pane but for words that nothing is called: only read to say which of them is wrong.
_MISSPELT = (
    rf"(?P<model>.+?){_LAYER}:(?P<head>[0-9]{{1,9}}|[a-zA-Z]\w*)(?::(?P<method>[\w -]+){_CHOICES})?(?::(?P<query>.+))?"
)


@dataclass(frozen=True)
class Pane:
    """What one map of several is of. SpecError for a model, method, head, query, option or target that cannot be."""

    model: str  # a model's name, or a checkpoint's
    layer: int = -1  # from 0; negative from the last
    head: int | str = "mean"  # a number from 0, or "mean", "max", "min" over heads
    method: str = RAW  # a name in METHODS or TOKEN_METHODS
    query: str | Place = "shared"  # with all panes; or "cls"; or a point or a region of its own, rounded as written
    options: Options = ()  # (name, value) of the method's options that are not as by default, in the method's order
    target: str = ""  # as in links: "281", "norm", …; empty for the likeliest class, or the norm where there are none

    def __post_init__(self) -> None:
        if not self.model:
            raise SpecError("a pane needs the name of a model; got an empty one.")
        head = self.head
        known = head in REDUCTIONS if isinstance(head, str) else head >= 0
        if not known:
            raise SpecError(f"a pane's head must be a number from 0 or one of {', '.join(REDUCTIONS)}; got {head!r}.")
        method = methods.find_method(self.method)
        object.__setattr__(self, "method", method.name)
        object.__setattr__(self, "query", place.checked(self.query))
        object.__setattr__(self, "options", choices.checked_options(method, self.options))
        object.__setattr__(self, "target", choices.checked_target(method, self.target))

    @property
    def chosen(self) -> dict[str, Value]:
        """The options by name, as Method.attribute() takes them."""
        return dict(self.options)

    def __str__(self) -> str:
        """MODEL:LAYER:HEAD, and :METHOD[OPTION=VALUE;…] and :QUERY where they are not the usual ones."""
        method, chosen = self.method, choices.written(self.options, self.target)
        parts = [self.model, str(self.layer), str(self.head)]
        if self.query != "shared":
            parts += [method + chosen, place.written(self.query)]
        elif method != RAW or chosen:
            parts.append(method + chosen)
        return ":".join(parts)

    @classmethod
    def parse(cls, text: str) -> "Pane":
        """A pane as __str__ writes it; ":HEAD", ":METHOD[…]" and ":QUERY" may be left out. SpecError for anything else.

        A model's name may have colons and numbers, as 'C:\\\\vit:3.pth': layer, head and the rest are the last that can
        be. 'a:3:7' is head 7 of layer 3 of 'a'; layer 7 of a model called 'a:3' is 'a:3:7:mean'.
        """
        found = _read(text)
        if found is None:
            raise SpecError(
                f"a pane is MODEL:LAYER, MODEL:LAYER:HEAD, and perhaps :METHOD and :QUERY, as 'dino_vits8:11:mean'; "
                f"got {text!r}."
            )
        if open_bracket := re.search(r":(\w+)\[[^\]:]*$", text):
            raise SpecError(f"the bracket after {open_bracket[1]!r} is not closed: end it with ']'; got {text!r}.")
        head, method = found["head"] or "mean", found["method"] or RAW
        options, target = choices.parse(found["choices"] or "", methods.find_method(method))
        return cls(
            found["model"],
            int(found["layer"]),
            int(head) if head.isdecimal() else head,
            method,
            place.checked(place.parse(found["query"] or "shared")),
            options,
            target,
        )


def _read(text: str) -> re.Match[str] | None:
    """The reading with the longest name of a model: with a head if there is one, else without, else misspelt."""
    head = rf":(?P<head>{'|'.join(REDUCTIONS)}|[0-9]{{1,9}})"
    method = "|".join(re.escape(method.name) for method in (*methods.METHODS, *methods.TOKEN_METHODS))
    rest = rf"(?::(?P<method>{method}){_CHOICES})?(?::(?P<query>{'|'.join(FIXED_QUERIES)}|{PLACE}))?"
    layer = rf"(?P<model>.+){_LAYER}"
    patterns = (f"{layer}{head}{rest}", f"{layer}(?:{head})?{rest}", _MISSPELT)
    readings = (re.fullmatch(pattern, text, re.DOTALL) for pattern in patterns)
    return next((found for found in readings if found), None)


def pca_layers(panes: Iterable[Pane], spec: ModelSpec) -> tuple[int, ...]:
    """The layers that these panes, of one model, show by principal components: all are fitted together, in order.

    SpecError for a layer that the model does not have.
    """
    layers = (pane.layer for pane in panes if methods.find_method(pane.method).pca is not None)
    return tuple(dict.fromkeys(map(spec.layer_number, layers)))


def letter(number: int) -> str:
    """What a pane is called: "A" for 0."""
    return chr(ord("A") + number)
