"""What a method is asked with beside layer, head and query, as widgets: its options, and its target."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import streamlit as st

from dashboard.links import widgets
from dashboard.links.targets import AUTOMATIC, MOST_CHARACTERS, PICTURE, POINT, TEXT, is_untrained, write_point
from dashboard.shell.controls import segments, selectbox, slider
from dashboard.shell.formatting import format_share
from vit_engine import Method, ModelSpec
from vit_engine.analysis.methods import Option, Value
from vit_engine.trace.record import Prediction
from vit_engine.trace.targets import NORM

NORM_TITLE = "Norm of the image embedding"
_TARGET_HELP = (
    "What the map explains: the scalar whose gradient it follows. Type to search the classes. Another one takes one "
    "run of the model, forward and backward; all methods share it."
)
_PREDICTED = 5  # classes, with their probabilities, before all others
_SIDE_BY_SIDE = 3  # words, at most, that stand side by side


def options(
    method: Method,
    spec: ModelSpec,
    values: Mapping[str, Value],
    *,
    key: Callable[[str], str],
    on_change: Callable[..., None] | None = None,
) -> None:
    """A control an option of the method, each under key(its name) and at its value; those not named at their default.

    on_change: called with the option's name.
    """
    for option in method.options:
        value, place = values.get(option.name, option.default), key(option.name)
        with widgets.holding(place, value, (method.name, option, option.bounds(spec))):
            _control(option, spec, key=place, on_change=on_change, args=(option.name,))


def _control(option: Option, spec: ModelSpec, **widget: Any) -> None:
    if option.choices:
        titles = {choice: choice.capitalize() for choice in option.choices}
        if len(titles) <= _SIDE_BY_SIDE:
            segments(option.title, titles, help=option.help, **widget)
        else:
            selectbox(option.title, list(titles), format_func=titles.__getitem__, help=option.help, **widget)
        return
    kind = int if option.whole else float
    low, high = map(kind, option.bounds(spec))
    ends = {"min_value": low, "max_value": max(high, low + kind(1)), "step": 1 if option.whole else option.step}
    whole = {} if option.whole else {"format": "%.2f"}
    slider(option.title, **ends, **whole, help=option.help, disabled=low == high, **widget)


def target(
    spec: ModelSpec,
    value: str,
    *,
    key: str,
    predictions: Sequence[Prediction] = (),
    pictures: Mapping[str, str] = MappingProxyType({}),
    point: tuple[float, float] | None = None,
    clicked: bool = False,
    no_text: str | None = None,
    on_change: Callable[..., None] | None = None,
) -> None:
    """The choice of a target under `key`, and of its words under text_key(key); chosen_target() says which it is.

    value: the one that is chosen, as dashboard.links.targets writes it. predictions: of the picture, the likeliest
    first. pictures: others to be similar to, by what links call them, and their titles. point: of the patch that is
    offered, None for the middle; clicked: by that name, also beside another patch that is chosen. no_text: why the
    model reads no words, empty where it may; None offers no words.
    """
    titles = target_titles(
        spec, value, predictions=predictions, pictures=pictures, point=point, clicked=clicked, texts=no_text == ""
    )
    known = TEXT if value.startswith(TEXT) else value
    with widgets.holding(key, known, tuple(titles)):
        help = f"{_TARGET_HELP} No text can be the target here: {no_text}." if no_text else _TARGET_HELP
        selectbox("Target", list(titles), key=key, format_func=titles.__getitem__, help=help, on_change=on_change)
    if known == TEXT:
        words = value.removeprefix(TEXT)
        with widgets.holding(text_key(key), words):
            st.text_input(
                "Words of the target",
                key=text_key(key),
                max_chars=MOST_CHARACTERS,
                placeholder="a photo of a cat",
                label_visibility="collapsed",
                on_change=on_change,
                persist_state="session",
            )


def text_key(key: str) -> str:
    """Of the words of the target under this key."""
    return f"{key}_text"


def chosen_target(key: str) -> str:
    """The target that the widgets under `key` say; without words, "text:" is none yet."""
    chosen = widgets.value_of(key) or AUTOMATIC
    return TEXT + (widgets.value_of(text_key(key)) or "").strip() if chosen == TEXT else chosen


def target_titles(
    spec: ModelSpec,
    value: str,
    *,
    predictions: Sequence[Prediction] = (),
    pictures: Mapping[str, str] = MappingProxyType({}),
    point: tuple[float, float] | None = None,
    clicked: bool = False,
    texts: bool = False,
) -> dict[str, str]:
    """What is offered by target(): as links write it, and what it is called."""
    likeliest = _predicted(predictions[0]) if predictions else ""
    classes = {str(each.number): _predicted(each) for each in predictions[:_PREDICTED]}
    classes |= {number: name for number, name in _class_titles(spec).items() if number not in classes}
    titles = {AUTOMATIC: f"Likeliest class{likeliest and f': {likeliest}'}" if spec.class_names else _automatic(spec)}
    titles |= {TEXT: "Similarity to a text"} if texts or value.startswith(TEXT) else {}
    titles |= classes
    titles |= {NORM: NORM_TITLE} if spec.class_names else {}
    of_click = clicked and point is not None
    if value.startswith(POINT):
        titles[value] = "Similarity to a patch"
    if of_click or not value.startswith(POINT):
        offered = write_point(*(point or (0.5, 0.5)))
        titles.setdefault(offered, f"Similarity to {'the clicked' if of_click else 'a'} patch")
    titles |= {PICTURE + name: f"Similarity to the picture {title}" for name, title in pictures.items()}
    if not value.startswith(TEXT):
        titles.setdefault(value, NORM_TITLE if value == NORM else "Similarity to this picture")
    return titles


def _automatic(spec: ModelSpec) -> str:
    """What the target is of a model without a classifier."""
    return "Similarity to the middle patch" if is_untrained(spec) else NORM_TITLE


def _predicted(prediction: Prediction) -> str:
    return f"{prediction.label} · {format_share(prediction.probability)}"


@lru_cache(maxsize=16)
def _class_titles(spec: ModelSpec) -> Mapping[str, str]:
    """By their numbers; with these, where several classes have one name."""
    count = Counter(spec.class_names)
    return {
        str(number): name if count[name] == 1 else f"{name} (class {number})"
        for number, name in enumerate(spec.class_names)
    }
