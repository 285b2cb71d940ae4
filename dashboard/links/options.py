"""The options of a method in a link: "fuse=max,discard=0.9"."""

from collections.abc import Mapping
from typing import Any

from dashboard.links.codec import Instead, Reading
from vit_engine import ModelSpec, SpecError, find_method
from vit_engine.analysis.methods import RAW, Method, Option, Value

Options = tuple[tuple[str, Value], ...]  # (name, value) of those that are not at their default


def read_options(text: str, link: Reading) -> Any:
    """Of a link's text, for codec.parameter(); the method and the model are read before."""
    method = find_method(link.values.get("method", RAW))
    known = {option.name: option for option in method.options}
    values: dict[str, Value] = {}
    problems = []
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            if name not in known:
                raise SpecError(f"{method.title} has no option {link.shorten(name)!r}")
            values[name] = known[name].check(known[name].parse(value), link.model)
        except SpecError as error:
            problems.append(str(error))
    kept = fitting(values, method, link.model)
    return Instead(kept, write_options(kept) or "the defaults", problems[0]) if problems else kept


def write_options(options: Options) -> str:
    return ",".join(f"{name}={_text(value)}" for name, value in options)


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def fitting(values: Mapping[str, Value], method: Method, spec: ModelSpec) -> Options:
    """Of these values, those that this method has in this model and that are not its defaults, in its order."""
    asked = [(option, values[option.name]) for option in method.options if option.name in values]
    return tuple(
        (option.name, value) for option, value in asked if value != option.default and _fits(option, value, spec)
    )


def _fits(option: Option, value: Value, spec: ModelSpec) -> bool:
    try:
        option.check(value, spec)
    except SpecError:
        return False
    return True
