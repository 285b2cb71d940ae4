"""What stands in brackets behind a pane's method: its options and its target, "[start=2;target=281]"."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from vit_engine.analysis.methods import Method, Value
from vit_engine.analysis.methods.options import check_names
from vit_engine.errors import SpecError

TARGET = "target"
Options = tuple[tuple[str, Value], ...]
# What a pane is put together with; percent-encoded in UTF-8 within its brackets.
_RESERVED = re.compile(r"[%;=:\[\]]")
# A comma where a semicolon was meant. Within a value it is followed by no "name=", whose "=" would be encoded.
_COMMA = re.compile(r",(?=\s*[A-Za-z_]\w*\s*=)")


def written(options: Options, target: str) -> str:
    """With the brackets; empty where nothing is chosen."""
    parts = [f"{name}={_encoded(str(value))}" for name, value in options]
    parts += [f"{TARGET}={_encoded(target)}"] if target else []
    return f"[{';'.join(parts)}]" if parts else ""


def parse(text: str, method: Method) -> tuple[Options, str]:
    """What stands between the brackets; SpecError for what is no option of the method, and for one named twice."""
    texts: dict[str, str] = {}
    if _COMMA.search(text):
        raise SpecError(
            f"options of a pane are separated by ';', not by ',': write {_COMMA.sub(';', text)!r}; got {text!r}. "
            "Where '=' belongs to a value, write it as %3D."
        )
    for part in filter(None, text.split(";")):
        name, equals, value = part.partition("=")
        if not equals:
            raise SpecError(f"options of a pane are NAME=VALUE;NAME=VALUE, as 'start=2;target=281'; got {part!r}.")
        if name in texts:
            raise SpecError(f"{name!r} of a pane's options must be named once; got {text!r}.")
        texts[name] = unquote(value)
    target = texts.pop(TARGET, "")
    check_names(method.options, texts, method.name)
    known = {option.name: option for option in method.options}
    return tuple((name, known[name].parse(value)) for name, value in texts.items()), target


def checked_options(method: Method, options: Iterable[tuple[str, Value]]) -> Options:
    """In the method's order, without those that are as by default; SpecError for what cannot be in any model."""
    asked = dict(options)
    check_names(method.options, asked, method.name)
    values = [
        (option.name, option.check(asked[option.name], None)) for option in method.options if option.name in asked
    ]
    usual = {option.name: option.default for option in method.options}
    return tuple((name, value) for name, value in values if value != usual[name])


def checked_target(method: Method, target: str) -> str:
    """A target as in links; SpecError where the method is of none."""
    if target.strip() and TARGET not in method.depends_on:
        raise SpecError(f"the method {method.name!r} depends on no target; got {target.strip()!r}.")
    return target.strip()


def _encoded(text: str) -> str:
    return _RESERVED.sub(lambda match: f"%{ord(match[0]):02X}", text)
