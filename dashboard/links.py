"""The address bar: what a link says beyond the sidebar's controls, a page's own parameters, and writing it."""

from collections.abc import Collection, Mapping, Sequence

import streamlit as st

Parameters = dict[str, list[str]]


def address() -> Parameters:
    """All parameters of the address, with all their values."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def fresh(page: str, names: Collection[str]) -> Parameters | None:
    """A page's own parameters, where this session has not read or written them so yet; None where there is nothing new.

    A bare address, as after a change of page, says nothing.
    """
    link = {name: st.query_params.get_all(name) for name in names if name in st.query_params}
    if not link or link == st.session_state.get(_seen(page)):
        return None
    st.session_state[_seen(page)] = link
    return link


def own(page: str, names: Collection[str], link: Mapping[str, str | Sequence[str]]) -> Parameters:
    """The same parameters as they will stand in the address, noted as this page's own writing."""
    written = {name: [value] if isinstance(value, str) else list(value) for name, value in link.items()}
    assert written.keys() <= set(names), written
    st.session_state[_seen(page)] = written
    return written


def _seen(page: str) -> str:
    return f"_link_{page}"
