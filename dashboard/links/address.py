"""The address bar: what a link says beyond the sidebar's controls, a page's own parameters, and writing it.

With everything that a browser sends comes its address, and that may be an older one: what the last run wrote has not
got there yet. So an address that this session has used is no link that somebody opened, though it comes back. It is
one where the browser says that it went there through its history, or where it has got the last one and comes with
another and with nothing else. How often an address was written stands behind the page, not shown, so that the browser
says which it has got.
"""

from collections.abc import Collection, Mapping, Sequence
from urllib.parse import urlencode

import streamlit as st

from dashboard import keys
from dashboard.links import browser, widgets

Parameters = dict[str, list[str]]

KEPT = 100  # addresses of each part that are known again: far more than can be under way
_USED = "_links_"  # session state, a part's name behind it: its parameters that are known again
_BARE = "_bare_"  # session state, a part's name behind it: pages that have written an address without any of it
_WRITTEN = "_written"  # session state: the address that was written last
_WRITES = "_writes"  # session state: how often another one was written


def address() -> Parameters:
    """All parameters of the address, with all their values."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def whole() -> str:
    """The page's address with all that it shows, as it stands in the browser."""
    return f"{(st.context.url or '').partition('?')[0]}?{urlencode(address(), doseq=True)}"


def is_bare() -> bool:
    """Whether the address has no parameters at all."""
    return not st.query_params


def fresh(part: str, names: Collection[str], *, first: bool = False) -> Parameters | None:
    """A part's own parameters, where somebody opened them as a link; None where they are what this session has used.

    A bare address, as after a change of page, says nothing, unless the browser went back to one that this page wrote.
    first: it does say something where a session begins with it.
    """
    link = {name: st.query_params.get_all(name) for name in names if name in st.query_params}
    begins = first and is_bare() and _USED + part not in st.session_state
    known = st.session_state.get(_USED + part, ())
    back = browser.went_back() and widgets.page() in st.session_state.get(_BARE + part, ())
    if (not link and not begins and not back) or (
        link in known and not browser.went_back() and not _alone(link != known[-1])
    ):
        return None
    _keep(part, link)
    return link


def _alone(older: bool) -> bool:
    """Whether a run is for nothing but an older address: the browser has got the last one, and brings no input."""
    state = st.session_state
    return older and state.get(keys.ADDRESS_SEEN) == state.get(_WRITES) and not widgets.changed()


def _keep(part: str, link: Parameters) -> None:
    others = [one for one in st.session_state.get(_USED + part, ()) if one != link]
    st.session_state[_USED + part] = (*others, link)[-KEPT:]


def own(part: str, names: Collection[str], link: Mapping[str, str | Sequence[str]]) -> Parameters:
    """The same parameters as they will stand in the address, noted as this part's own writing."""
    written = {name: [value] if isinstance(value, str) else list(value) for name, value in link.items()}
    assert written.keys() <= set(names), written
    _keep(part, written)
    if not written:
        st.session_state[_BARE + part] = {*st.session_state.get(_BARE + part, ()), widgets.page()}
    return written


def write(link: Parameters) -> None:
    """Make this the address.

    Also where it seems to be: what an earlier run wrote may be under way, or was lost with that run. The browser keeps
    one entry of its history for an address that it has.
    """
    state = st.session_state
    last = state.get(_WRITTEN)
    if last is not None or link != address():
        state[_WRITES] = state.get(_WRITES, 0) + (link != last)
        state[_WRITTEN] = link
        st.query_params.from_dict(link)
    state[keys.ADDRESS_SEEN] = state.setdefault(_WRITES, 0)
    st.number_input("Address", step=1, key=keys.ADDRESS_SEEN, label_visibility="collapsed")  # hidden by the style sheet
    widgets.remember()
