"""The methods that make maps: what each shows, what it needs and depends on, and its options."""

import argparse
from typing import Any

import vit_engine as ve
from vit_engine.analysis.methods import Method, Needs, Option
from vit_engine.cli import console

_CHOICES = ("layer", "head", "query", "target")  # in the order in which they are chosen
_NEEDS = {
    Needs.TRACE: "a forward pass",
    Needs.TOKENS: "a forward pass",
    Needs.READOUTS: "a forward pass",
    Needs.GRADIENTS: "a forward and a backward pass",
    Needs.MODEL: "many forward and backward passes",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> None:
    """Print a paragraph a method."""
    if arguments.json:
        console.emit_json([_record(method) for method in ve.METHODS])
        return
    console.emit("\n\n".join("\n".join(_lines(method)) for method in ve.METHODS))


def _record(method: Method) -> dict[str, Any]:
    texts = ("name", "title", "description", "value", "unit", "source", "formula", "cost", "misleads")
    return {
        **{name: getattr(method, name) for name in texts},
        "needs": method.needs.value,
        "depends_on": _depends_on(method),
        "signed": method.signed,
        "options": [_option_record(option) for option in method.options],
    }


def _option_record(option: Option) -> dict[str, Any]:
    """low and high are null but for numbers; of a layer they are the model's."""
    number = not (option.choices or option.layer)
    low, high = (option.low, option.high) if number else (None, None)
    texts = {name: getattr(option, name) for name in ("name", "default", "help", "choices", "layer")}
    return {**texts, "low": low, "high": high}


def _depends_on(method: Method) -> list[str]:
    return [choice for choice in _CHOICES if choice in method.depends_on]


def _lines(method: Method) -> list[str]:
    rows = [("needs", _NEEDS[method.needs]), ("depends on", ", ".join(_depends_on(method)))]
    rows += [("option", _option_line(option)) for option in method.options]
    rows += [("costs", method.cost), ("misleads", method.misleads), ("source", method.source)]
    return [
        f"{method.name}: {method.title}",
        f"  {method.description}",
        *(f"  {name:<11} {text}" for name, text in rows),
    ]


def _option_line(option: Option) -> str:
    """ "fuse=mean|max|min: how heads become one; default: mean"."""
    values = "|".join(option.choices)
    if not values:
        values = "LAYER" if option.layer else f"{option.low:g}..{option.high:g}"
    return f"{option.name}={values}: {option.help} Default: {option.default}."
