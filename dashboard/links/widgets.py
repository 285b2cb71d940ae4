"""Values that the server gives to widgets which the browser may be changing at the same time.

Each run gets all widgets' values as the browser has them. What the server gives to a widget takes a while to get
there, and sets the widget to it whatever a person did meanwhile. So

- a widget is given a value only where it has another, or where it is about to be made,
- a value that the browser cannot have seen yet is given again when the browser comes with the one from before,
- a person's own change since then stands, and is sent to the browser, because the given value is still on its way.

What the browser has seen comes back in a number that stands behind the page's controls and is not shown.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException

from dashboard import keys
from dashboard.links import browser

_PAGE = "_page"  # session state: the page that was drawn last
_MADE = "_made"  # session state: a widget's key -> what it was made for, of the page that is on the screen
_STARTED = "_started"  # session state: whether this session's browser has got a page's controls from it
_BROUGHT = "_brought"  # session state: keys of widgets whose values the browser had before this session knew them
_ASIDE = "_aside"  # session state: key -> what was to be given to those
_NUMBER = "_given"  # session state: how often a widget was given a value
_WAITING = "_waiting"  # session state: key -> (number, value, the value before), until the browser has seen it
_REMEMBERED = "_remembered"  # session state: what all widgets said last
_AGAIN = "_again"  # session state: set where a run asks for the next one

_NO_WIDGETS = {
    keys.QUERY,
    keys.OPTIONS,
    keys.TARGET,
    keys.OBJECT,
    keys.SINKS,
    keys.UPLOADED,
    keys.SHOWN_MODEL,
    keys.PANES,
    keys.REFERENCE,
    keys.ZOOM,
    keys.TOKEN_ZOOM,
    keys.SECOND_UPLOADED,
    keys.ASKS,
}
_NOT_MADE = object()
T = TypeVar("T")


def begin(page: str) -> None:
    """Begin a run: before any widget, and before any is given a value."""
    state = st.session_state
    if state.get(_PAGE) != page:
        state[_MADE] = {}
        state[_PAGE] = page
    if _STARTED not in state:
        state[_BROUGHT] = browser.brought()
    elif not browser.is_set_since(_AGAIN):
        _give_again()


def page() -> str | None:
    return st.session_state.get(_PAGE)


def _give_again() -> None:
    state = st.session_state
    seen, left = state.get(keys.SEEN) or 0, {}
    for key, (number, value, before) in state.get(_WAITING, {}).items():
        now = state.get(key)
        if seen >= number:
            continue
        if browser.is_set_since(key):  # by a callback of this run: that is no word of the browser's
            left[key] = number, value, before
        elif now == value:
            left[key] = number, value, value  # whatever comes now, a person chose
        else:
            left[key] = _give(key, value if now == before else now, now)
    state[_WAITING] = left


def _give(key: str, value: Any, before: Any) -> tuple[int, Any, Any]:
    state = st.session_state
    number = state[_NUMBER] = state.get(_NUMBER, 0) + 1
    state[key] = value
    return number, value, before


def give(key: str, value: Any) -> None:
    """Set a value, of a widget that may be on the screen or of none."""
    state = st.session_state
    if key in _NO_WIDGETS or key.startswith("_"):
        state[key] = value
    elif _STARTED not in state:
        _begin_with(key, value)
    elif key not in state or (now := state[key]) != value:
        waiting = _unseen()
        before = waiting[key][2] if key in waiting else None if key not in state else now  # what the browser has
        state[_WAITING] = {**waiting, key: (state.get(_NUMBER, 0) + 1, value, before)}
        _give(key, value, before)


def _unseen() -> Mapping[str, tuple[int, Any, Any]]:
    """What was given and the browser had not seen when it sent its last message."""
    waiting = st.session_state.get(_WAITING, {})
    if browser.is_set_since(keys.SEEN):  # by mark(), and no word of the browser's
        return waiting
    seen = st.session_state.get(keys.SEEN) or 0
    return {key: row for key, row in waiting.items() if row[0] > seen}


def _begin_with(key: str, value: Any) -> None:
    """In a session's first run the browser's own values come first: they may hold a person's click."""
    state = st.session_state
    if _STARTED not in state and key in state.get(_BROUGHT, ()):
        state[_ASIDE] = {**state.get(_ASIDE, {}), key: value}
    else:
        state[_WAITING] = {name: row for name, row in state.get(_WAITING, {}).items() if name != key}
        state[key] = value


def default(key: str, value: Any) -> None:
    """Give a widget a value to begin with."""
    if key not in st.session_state:
        _begin_with(key, value)


def value_of(key: str) -> Any:
    """What a widget says, or will say as far as is known before it is made."""
    return st.session_state[key] if key in st.session_state else st.session_state.get(_ASIDE, {}).get(key)


def differed() -> bool:
    """Whether widgets of this run may say otherwise than value_of() did: the browser brought them to a new session."""
    return st.session_state.pop(_ASIDE, None) is not None


def remember() -> None:
    """Know what widgets say, to see whether an input comes with the next run: no files, and no buttons pressed."""
    state = st.session_state
    said = {str(key): state[key] for key in state if not str(key).startswith("_")}
    plain = str | int | float | tuple | list | None
    state[_REMEMBERED] = {key: value for key, value in said.items() if isinstance(value, plain) and value is not True}


def changed() -> bool:
    """Whether widgets say otherwise than they did last."""
    state = st.session_state
    return any(state.get(key) != value for key, value in state.get(_REMEMBERED, {}).items())


def hold(key: str, value: Any, made_for: Hashable = None) -> None:
    """Have a widget that is made next say this. made_for: what makes it another widget, such as a slider's range.

    A widget that is made for the first time is always given its value: it does not know the one of another.
    """
    made: dict[str, Hashable] = st.session_state[_MADE]
    if made.get(key, _NOT_MADE) == made_for:
        give(key, value)
    else:
        _begin_with(key, value)


def made(key: str, made_for: Hashable = None) -> None:
    """Note that a widget of hold() was made. Not before it was: a run may end between the two."""
    st.session_state[_MADE][key] = made_for


def gone(*keys_: str) -> None:
    """Note that widgets of hold() are not on the screen: each is made for the first time when it comes back."""
    for key in keys_:
        st.session_state[_MADE].pop(key, None)


@contextmanager
def holding(key: str, value: Any, made_for: Hashable = None) -> Iterator[None]:
    """hold() and made() around what makes the widget."""
    hold(key, value, made_for)
    yield
    made(key, made_for)


def mark() -> None:
    """Have the browser say, with all that it sends, which values of the page's controls it has; call after them."""
    st.session_state[_STARTED] = True
    st.session_state[keys.SEEN] = st.session_state.get(_NUMBER, 0)
    st.number_input("Seen", step=1, key=keys.SEEN, label_visibility="collapsed")  # hidden by the style sheet


def again() -> NoReturn:
    """Run the script again, with what there is."""
    st.session_state[_AGAIN] = True
    st.rerun()


def take(decide: Callable[..., Mapping[str, Any]], *args: Any) -> None:
    """Give what `decide` returns, all of it, also where a newer input waits; a callback, and for what a link sets.

    A newer input ends a run, and a callback too, at any touch of the session state: what is left to do would be lost.
    """
    newer: list[RerunException] = []
    values = _to_the_end(partial(decide, *args), newer)
    for key, value in values.items():
        _to_the_end(partial(give, key, value), newer)
    if newer:
        raise newer[-1]


def _to_the_end(act: Callable[[], T], newer: list[RerunException]) -> T:
    while True:
        try:
            return act()
        except RerunException as error:
            newer.append(error)
