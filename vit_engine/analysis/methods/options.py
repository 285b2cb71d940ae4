"""What can be chosen of a method beside layer, head, query and target: its options, checked in one place."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from vit_engine.errors import SpecError
from vit_engine.spec import ModelSpec

Value = str | int | float
_BESIDE = ("layer", "head", "query", "target")  # what may be misspelt, too, where options stand beside it


@dataclass(frozen=True)
class Option:
    """One choice. Of words: choices. Of a number: low..high. Of a layer: layer=True, whose range is the model's."""

    name: str  # of compute's keyword, in links and on the command line
    title: str  # beside its control
    default: Value
    help: str  # what it does, in a sentence
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    step: float = 0.05  # of a slider; 1 for whole numbers
    layer: bool = False

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        return self.layer or (not self.choices and self.step == 1)

    def bounds(self, spec: ModelSpec | None) -> tuple[float, float]:
        """The least and the largest number, in this model; None is a model of any depth."""
        if self.layer:
            return 0, math.inf if spec is None else spec.depth - 1
        return self.low, self.high

    def check(self, value: Any, spec: ModelSpec | None) -> Value:
        """The value; SpecError where it cannot be in this model, None in any."""
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise SpecError(f"{self.name} must be one of {', '.join(map(repr, self.choices))}; got {value!r}.")
            return str(value)
        low, high = self.bounds(spec)
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not low <= value <= high or (self.whole and value != int(value)):
            kind, of = (
                ("a whole number" if self.whole else "a number"),
                f" for {spec.name!r}" if self.layer and spec else "",
            )
            within = f"in {low:g}..{high:g}" if high < math.inf else f"from {low:g}"
            raise SpecError(f"{self.name} must be {kind} {within}{of}; got {value!r}.")
        return int(value) if self.whole else float(value)

    def parse(self, text: str) -> Value:
        """The value that a text writes, not yet checked against a model; SpecError where it is no number."""
        if self.choices:
            return text
        try:
            return int(text) if self.whole else float(text)
        except ValueError:
            kind = "a whole number" if self.whole else "a number"
            raise SpecError(f"{self.name} must be {kind}; got {text!r}.") from None


def read_options(options: Sequence[Option], asked: Mapping[str, Any], spec: ModelSpec, method: str) -> dict[str, Value]:
    """All options with their values: the defaults where nothing is asked. SpecError for what is none, or cannot be."""
    if not isinstance(asked, Mapping):
        raise SpecError(f"options must be values by name, as {{'start': 2}}; got {asked!r}.")
    check_names(options, asked, method)
    return {option.name: option.check(asked.get(option.name, option.default), spec) for option in options}


def check_names(options: Sequence[Option], names: Iterable[str], method: str) -> None:
    """SpecError for a name that no option of the method has, with those that it has."""
    known = [option.name for option in options]
    for name in names:
        if name not in known:
            others = [each for each in _BESIDE if each != name]
            nearest = difflib.get_close_matches(str(name), others, n=1, cutoff=0.8)
            nearest = nearest or difflib.get_close_matches(str(name), known, n=1)
            perhaps = f"did you mean {nearest[0]!r}? It" if nearest else "it"
            raise SpecError(
                f"the method {method!r} has no option {name!r}; {perhaps} has {', '.join(known) or 'none'}."
            )


def first_layer(options: Sequence[Option], values: Mapping[str, Value]) -> int:
    """The first layer that counts; 0 of a method without such an option. values: as read_options() gives them."""
    return max((int(values[option.name]) for option in options if option.layer), default=0)


def check_first_layer(options: Sequence[Option], values: Mapping[str, Value], deepest: int) -> None:
    """SpecError where the first layer that counts lies above the deepest one that is asked for.

    values: of all options, as read_options() gives them.
    """
    for option in options:
        first = values[option.name]
        if option.layer and int(first) > deepest:
            raise SpecError(f"{option.name} must be in 0..{deepest}, the deepest layer that is asked for; got {first}.")
