"""What is chosen on a page: from a link into the session state, from the widgets, and into the address."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn, TypeVar

import streamlit as st

from dashboard import keys
from dashboard.links import address, browser, codec, selection, widgets
from dashboard.services import catalogue, opening, pictures
from dashboard.services.checkpoints.names import with_heads
from dashboard.shell.formatting import plain, progress_bar
from vit_engine import ModelSpec

_NOTICES = "_notices"  # session state: by page state, notices that are yet to be shown
_LEFT = "_left"  # session state: parameters in the address of a page that was left
_BEGINNINGS: dict[type, Callable[[], Any]] = {selection.Selection: opening.selection}  # what a bare address stands for
T = TypeVar("T")


def restore(
    kind: type[T],
    also: Callable[[T], Mapping[str, Any]] = lambda _: {},
    *,
    model: str = selection.DEFAULT.model,
    keep: Collection[str] = (),
) -> None:
    """Bring a link that somebody opened into the session state; call before any of the widgets.

    also: what else it sets there. model: the name of the one in use, where the link names none. keep: fields that stay
    as they are where the browser went back to a link that does not name them.
    """
    beginning = _BEGINNINGS.get(kind, kind)()
    link = address.fresh(kind.__name__, codec.names(kind), first=beginning != kind())
    if link is None:
        return
    kept = keep if browser.went_back() else ()

    def opened() -> dict[str, Any]:
        values, notices = codec.from_link(kind, link, codec.Available(_find_model, pictures.find_upload, model))
        state = beginning if address.is_bare() else kind(**values)
        wanted = {name: row.key for name, row in codec.parameters(kind).items() if name in values or name not in kept}
        keyed = {key: getattr(state, name) for name, key in wanted.items() if key}
        return {**_with_notices(kind, notices), **keyed, **also(state)}

    widgets.take(opened)


def _find_model(name: str) -> tuple[ModelSpec | None, str]:
    """A model by name, its checkpoint read where it is of one that this server may read, or why it cannot be had."""
    problem = ""
    if name not in catalogue.models() and catalogue.is_own(name):
        with progress_bar() as progress:
            problem = catalogue.reopen(name, progress)
        if problem and catalogue.is_from_hub(name):  # nothing is downloaded for a link: the page Models asks
            st.session_state.update({keys.HUB_MODEL: with_heads(name, None), keys.CHECKPOINT_SOURCE: "hub"})
    return catalogue.models().get(name), problem


def defaults(kind: type, *fields: str) -> None:
    """Give widgets of these fields, of all where none is named, a value to begin with."""
    for name, row in codec.parameters(kind).items():
        if row.key and (not fields or name in fields):
            widgets.default(row.key, row.default)


def chosen(kind: type[T], *fields: str, **values: Any) -> T:
    """What the widgets say now, of these fields, of all where none is named; but these values."""
    rows = codec.parameters(kind).items()
    said = {name: widgets.value_of(row.key) for name, row in rows if row.key and (not fields or name in fields)}
    return kind(**said | values)


def leave_for(page: str, *kinds: type) -> NoReturn:
    """Go to another page from one with these states, which its address is rid of once it has written its own.

    So the browser makes one step of it: it would make another of a bare address.
    """
    st.session_state[_LEFT] = {name for kind in kinds for name in codec.names(kind)}
    st.switch_page(page, query_params=address.address())


def share(*states: Any) -> None:
    """Make an address of these; what else stands in it is left alone."""
    ours = {name for state in states for name in codec.names(type(state))}.union(st.session_state.get(_LEFT, ()))
    link = {name: values for name, values in address.address().items() if name not in ours}
    for state in states:
        kind = type(state)
        alone = not link and not any(codec.to_link(other) for other in states if other is not state)
        link |= address.own(kind.__name__, codec.names(kind), _part(state, alone=alone))
    address.write(link)
    st.session_state[_LEFT] = ()


def _part(state: Any, *, alone: bool) -> dict[str, str | list[str]]:
    """The parameters of a state. alone: whether they are all of the address, which is bare where it may be."""
    link, begins = codec.to_link(state), _BEGINNINGS.get(type(state))
    if not alone or begins is None:
        return link
    return {} if state == begins() else link or {"model": state.model}


def note(kind: type, *notices: str) -> None:
    """Add notices to those that are yet to be shown."""
    before = st.session_state.get(_NOTICES, {}).get(kind.__name__, ())
    st.session_state.update(_with_notices(kind, (*before, *notices)))


def _with_notices(kind: type, notices: tuple[str, ...]) -> dict[str, Any]:
    return {_NOTICES: {**st.session_state.get(_NOTICES, {}), kind.__name__: notices}}


def tell(kept: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Show once what had to be changed in a link, beside these notices; returns all that are shown."""
    shown = (*kept, *(notice for notices in st.session_state.pop(_NOTICES, {}).values() for notice in notices))
    if shown:
        st.warning("\n\n".join(map(plain, shown)), icon=":material/link_off:")
    return shown
