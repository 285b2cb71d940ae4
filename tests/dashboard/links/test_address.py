"""A page reads its own part of a link once, and knows its own writing again."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.links import address

NAMES = ("pane", "show")


def page() -> None:
    """A page that reads its link and, where it has a choice, writes it as its own."""
    import streamlit as st  # noqa: PLC0415  (AppTest runs this function's source alone)

    from dashboard.links import address  # noqa: PLC0415

    st.session_state["address"] = address.address()
    st.session_state["fresh"] = address.fresh("one", ("pane", "show"))
    st.session_state["other"] = address.fresh("two", ("show",))
    if "choice" in st.session_state:
        written = address.own("one", ("pane", "show"), st.session_state["choice"])
        st.session_state["written"] = written
        st.query_params.from_dict({**address.address(), **written})


def opened(**link: str | list[str]) -> AppTest:
    at = AppTest.from_function(page)
    for name, value in link.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def test_the_address_has_all_values_of_all_parameters() -> None:
    at = opened(pane=["a", "b", "a"], show="map", elsewhere="1")
    assert at.session_state["address"] == {"pane": ["a", "b", "a"], "show": ["map"], "elsewhere": ["1"]}


def test_a_page_reads_its_own_parameters_once_and_anew_when_they_change() -> None:
    at = opened(pane=["a", "b"], show="map", elsewhere="1")
    assert at.session_state["fresh"] == {"pane": ["a", "b"], "show": ["map"]}
    assert at.run().session_state["fresh"] is None
    at.query_params["elsewhere"] = "2"
    assert at.run().session_state["fresh"] is None
    at.query_params["pane"] = ["b", "a"]
    assert at.run().session_state["fresh"] == {"pane": ["b", "a"], "show": ["map"]}


def test_an_address_that_says_nothing_to_the_page_is_not_read() -> None:
    at = opened(elsewhere="1")
    assert at.session_state["fresh"] is None
    at.query_params["show"] = "mask"
    assert at.run().session_state["fresh"] == {"show": ["mask"]}
    at.query_params.clear()
    assert at.run().session_state["fresh"] is None


def test_each_page_reads_for_itself() -> None:
    at = opened(pane=["a"], show="map")
    assert at.session_state["other"] == {"show": ["map"]}


def test_what_a_page_wrote_itself_is_not_read_again() -> None:
    at = opened(pane=["a", "b"], show="map")
    at.session_state["choice"] = {"pane": ["c", "d", "e"], "show": "mask"}
    at.run()
    assert at.session_state["written"] == {"pane": ["c", "d", "e"], "show": ["mask"]}
    assert at.query_params == {"pane": ["c", "d", "e"], "show": "mask"}
    assert at.run().session_state["fresh"] is None
    at.query_params["show"] = "map"  # as after a step back in the browser
    assert at.run().session_state["fresh"] == {"pane": ["c", "d", "e"], "show": ["map"]}


def test_a_page_cannot_write_what_it_would_not_read() -> None:
    with pytest.raises(AssertionError, match="elsewhere"):
        address.own("one", NAMES, {"show": "map", "elsewhere": "1"})
