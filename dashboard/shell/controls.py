"""Controls that several pages have; they stay as they are when a person looks at another page."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, Literal, cast

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.links import widgets
from dashboard.links.worth import STEPS
from dashboard.shell.formatting import file_name

_STEPS_HELP = "Of each curve, of equal shares of the patches. Twice as many take twice as long."

# Streamlit's own, but kept.
selectbox: Callable[..., Any] = partial(st.selectbox, persist_state="session")
select_slider: Callable[..., Any] = partial(st.select_slider, persist_state="session")
slider: Callable[..., Any] = partial(st.slider, persist_state="session")

_PRESSED = "_pressed_"  # session state: before a button's key, what it was pressed for, until the script knows
_NOT_PRESSED = object()


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
    on_change: Callable[..., None] | None = None,
    args: tuple[Any, ...] = (),
) -> str:
    """One of a few options, side by side. titles: options, and what each is called. collapsed: without the label.

    on_change, args: called with these when a person has chosen.
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
        on_change=on_change,
        args=args,
        persist_state="session",
    )
    return cast(str, chosen)  # never None, because a choice is required


def for_mouse(name: str) -> DeltaGenerator:
    """A container of this name that is shown where a mouse or a pen can drag: a finger scrolls. By the style sheet."""
    return st.container(key=f"for_mouse_{name}", width="content")


def for_finger(name: str) -> DeltaGenerator:
    """A container of this name that is shown where for_mouse() is not."""
    return st.container(key=f"for_finger_{name}", width="content")


def layer_slider(depth: int, *, key: str, help: str | None = None, disabled: bool = False) -> None:
    """One of so many layers. Before it widgets.hold(key, layer, depth) says which, or it keeps the last one."""
    disabled = disabled or depth == 1  # a slider has two ends
    st.slider("Layer", 0, max(depth - 1, 1), key=key, help=help, disabled=disabled, persist_state="session")
    widgets.made(key, depth)


def steps_control(chosen: str, *, key: str) -> None:
    """How many steps curves of faithfulness have."""
    with widgets.holding(key, chosen):
        segments("Steps", {steps: steps for steps in STEPS}, key=key, help=_STEPS_HELP)


def button(
    label: str,
    *,
    key: str,
    made_for: Hashable = None,
    on_click: Callable[..., None] | None = None,
    args: tuple[Any, ...] = (),
    **options: Any,
) -> bool:
    """A button, and whether it was pressed: also where a newer input ends that run before the script gets to it.

    made_for: what it acts on; a press counts for nothing else that a newer input puts in its place. on_click, args:
    called with these before the next run, as by st.button, which takes the other options too.
    """
    st.button(label, key=key, on_click=_press, args=(key, made_for, on_click, args), **options)
    return bool(st.session_state.pop(_PRESSED + key, _NOT_PRESSED) == made_for)


def _press(key: str, made_for: Hashable, on_click: Callable[..., None] | None, args: tuple[Any, ...]) -> None:
    st.session_state[_PRESSED + key] = made_for
    if on_click is not None:
        on_click(*args)


def forget_presses() -> None:
    """At the end of a run: what was pressed on a page that was left at once is not pressed when a person comes back."""
    for key in [key for key in st.session_state if str(key).startswith(_PRESSED)]:
        del st.session_state[key]


def reset_button(label: str, *what: str, key: str, icon: str) -> None:
    """Sets what stands under keys of the session state, and is no widget's, back to None."""
    icon, values = f":material/{icon}:", dict.fromkeys(what)
    st.button(label, key=key, on_click=widgets.take, args=(dict, values), type="tertiary", icon=icon)


def csv_button(frame: pd.DataFrame, name: str, *, key: str, help: str | None = None, later: bool = False) -> None:
    """Offers a table as a CSV file of this name. later: less loudly, and the file is made once it is asked for."""
    st.download_button(
        "CSV",
        (lambda: frame.to_csv(index=False)) if later else frame.to_csv(index=False),
        f"{file_name(name)}.csv",
        "text/csv",
        key=key,
        help=help,
        type="tertiary" if later else "secondary",
        icon=":material/download:",
        on_click="ignore",
    )
