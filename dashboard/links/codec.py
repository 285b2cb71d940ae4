"""Links, to and fro. A page's state is a frozen dataclass; what is in its link is a field made by parameter():

    opacity: int = parameter(65, key=keys.OPACITY, read=between(0, 100))

Pure functions, without widgets: a link is checked here and brought to what there is, with a notice of each
change. A parameter that no field has is left alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from vit_engine.spec import ModelSpec

Notices = tuple[str, ...]
LONGEST = 40  # characters of a value that a notice quotes, where a page's LONGEST says no other number


@dataclass(frozen=True)
class Parameter:
    """A field of a page's state and its part of the link."""

    default: Any
    key: str  # of the session state; empty where no single key has it
    read: Callable[[Any, "Reading"], Any]  # from the last value of the link, or from all: the field's, or an Instead
    write: Callable[[Any], str | list[str]]
    name: str  # in the link
    several: bool  # whether `read` takes all values of the link
    always: bool  # whether a link names it at its default too
    title: str  # what a notice calls it


@dataclass(frozen=True)
class Instead:
    """What takes the place of what a link asks for: the default for None. words: what a notice calls it."""

    value: Any = None
    words: object = None
    why: str = ""


@dataclass(frozen=True)
class Available:
    """What there is for a link to ask for. model: the name of the one in use, where the link names none."""

    find_model: Callable[[str], tuple[ModelSpec | None, str]]  # and why a model cannot be had, if there is more to say
    find_upload: Callable[[str], object]  # by its sha256: the picture, or None where it can no longer be shown
    model: str


@dataclass
class Reading:
    """A link that is being read."""

    link: Mapping[str, Sequence[str]]
    available: Available
    longest: int
    values: dict[str, Any] = field(default_factory=dict)  # of the fields before
    default: Any = None  # of the field that is read
    models: dict[str, tuple[ModelSpec | None, str]] = field(default_factory=dict)  # that were looked for
    notices: list[str] = field(default_factory=list)

    @property
    def model(self) -> ModelSpec:
        """The model in use."""
        spec = self.find_model(self.values.get("model", self.available.model))
        assert spec is not None, self.available
        return spec

    def find_model(self, name: str) -> ModelSpec | None:
        if name not in self.models:
            self.models[name] = self.available.find_model(name)
        return self.models[name][0]

    def tell(self, name: str, asked: str, used: object, why: str = "") -> None:
        """Tell that something takes the place of what the link says."""
        asked, reason = self.shorten(asked), f" ({why.strip('. ')})" if why else ""
        self.notices.append(f"The link asks for {name} {asked!r}, which is not available here{reason}; using {used}.")

    def tell_problems(self) -> None:
        """Tell why models that were looked for cannot be had."""
        self.notices.extend(problem for _, problem in self.models.values() if problem)

    def shorten(self, text: str) -> str:
        return text if len(text) <= self.longest else f"{text[: self.longest]}…"


def parameter(
    default: Any,
    *,
    key: str = "",
    read: Callable[[Any, Reading], Any],
    write: Callable[[Any], str | list[str]] = str,
    name: str = "",
    several: bool = False,
    always: bool = False,
    title: str = "",
) -> Any:
    """A field of a page's state, with its part of the link. name: in the link, where it is not the field's.

    title: what a notice calls it, where the name in the link is no word for it.
    """
    row = Parameter(default, key, read, write, name, several, always, title)
    return field(default=default, metadata={"parameter": row})


def parameters(kind: type) -> dict[str, Parameter]:
    """The parameters of a page's state by the names of their fields, in the order in which a link is read."""
    rows = {each.name: each.metadata["parameter"] for each in fields(kind)}
    return {name: replace(row, name=row.name or name) for name, row in rows.items()}


def names(kind: type) -> tuple[str, ...]:
    """The names of a page's parameters in a link."""
    return tuple(row.name for row in parameters(kind).values())


def to_link(state: Any) -> dict[str, str | list[str]]:
    """The parameters of a page's state: what differs from the default."""
    values = [(row, getattr(state, name)) for name, row in parameters(type(state)).items()]
    return {row.name: row.write(value) for row, value in values if row.always or value not in (None, row.default)}


def from_link(kind: type, link: Mapping[str, Sequence[str]], available: Available) -> tuple[dict[str, Any], Notices]:
    """The fields that a link names, brought to what there is, but those whose value means nothing; and the changes."""
    reading = Reading(link, available, getattr(kind, "LONGEST", LONGEST))
    for name, row in parameters(kind).items():
        if texts := link.get(row.name):
            reading.default = row.default
            value = row.read(texts if row.several else texts[-1], reading)
            if isinstance(value, Instead):
                words = row.default if value.words is None and value.value is None else value.words
                reading.tell(row.title or row.name, texts[-1], value.value if words is None else words, value.why)
                value = value.value
            if value is not None:
                reading.values[name] = value
    return reading.values, tuple(reading.notices)


def option(options: Collection[str]) -> Callable[[str, Reading], Any]:
    return lambda text, link: text if text in options else Instead(link.default)


def nearest(options: Sequence[float]) -> Callable[[str, Reading], Any]:
    return _number(lambda number: min(options, key=lambda option: abs(option - number)))


def between(low: int, high: int) -> Callable[[str, Reading], Any]:
    """A whole number."""
    return _number(lambda number: int(min(max(number, low), high)))


def _number(allowed: Callable[[float], float]) -> Callable[[str, Reading], Any]:
    """A number, brought to one that is allowed."""

    def read(text: str, _: Reading) -> Any:
        number = finite(text)
        if number is None:
            return Instead()
        found = allowed(number)
        return found if found == number else Instead(found)

    return read


def layer_number(*, last: bool) -> Callable[[str, Reading], Any]:
    """A layer of the model in use, which may be counted from the last. last: whether the last one keeps its number."""

    def read(text: str, link: Reading) -> Any:
        number, depth = finite(text), link.model.depth
        if number is None:
            return Instead(words="the last one")
        clamped = int(min(max(number, -depth), depth - 1))
        found = clamped % depth
        value = found if last or found < depth - 1 else None
        return value if clamped == number else Instead(value, found)

    return read


def fractions(values: Sequence[float]) -> str:
    """A point or a box as text."""
    return ",".join(f"{value:.4f}" for value in values)


def finite(text: str) -> float | None:
    """The number that a text says, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
