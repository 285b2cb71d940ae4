"""Controls that several pages have."""

from collections.abc import Callable, Mapping
from typing import Literal, cast

import streamlit as st


def segments(
    label: str,
    titles: Mapping[str, str],
    *,
    key: str,
    help: str | None = None,
    default: str | None = None,
    collapsed: bool = False,
    width: Literal["content", "stretch"] = "content",
    wrap: bool | None = None,
) -> str:
    """One of a few options, side by side, that stays when a person looks at another page.

    titles: the options, and what each is called. collapsed: without the label.
    """
    chosen = st.segmented_control(
        label,
        tuple(titles),
        key=key,
        help=help,
        default=default,
        required=True,
        format_func=titles.__getitem__,
        label_visibility="collapsed" if collapsed else "visible",
        width=width,
        wrap=wrap,
        persist_state="session",
    )
    return cast(str, chosen)  # never None, because a choice is required


def csv_button(
    content: str | Callable[[], str],
    file_name: str,
    *,
    key: str,
    help: str | None = None,
    type: Literal["secondary", "tertiary"] = "secondary",
) -> None:
    """Offers a table as a CSV file. content: or what makes it once it is asked for."""
    st.download_button(
        "CSV",
        content,
        file_name,
        "text/csv",
        key=key,
        help=help,
        type=type,
        icon=":material/download:",
        on_click="ignore",
    )
