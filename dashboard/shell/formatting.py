"""Texts on the screen: as they are, and how far long work is."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vit_engine.progress import Progress
from vit_engine.report.colours import Stops, gradient
from vit_engine.trace.attention_map import WEIGHT, is_share
from vit_engine.trace.statistics import Column

DIGITS = {"px": 1, "tokens": 1, "bits": 2, "nats": 2, "0..1": 3}  # after the point in tables, by unit
RANDOM_BADGE = " :orange-badge[:material/casino: random weights]"
_MARKUP = re.compile(r"([\\`*_\[\]<>#!|$:~&])")
# Linked by themselves, escaped or not.
_BARE_LINKS = re.compile(r"https?:(?=//)|www(?=\.)|@(?=[-\w]+\.)", re.IGNORECASE)


def plain(text: str, *, links: bool = False) -> str:
    """Markdown that shows a text as it is: links and file names come from strangers, and may hold pictures.

    links: whether addresses in it may be followed, as those may from where weights are downloaded.
    """
    text = text.encode(errors="backslashreplace").decode()  # bytes that are no UTF-8 would end the page
    if not links:
        text = _BARE_LINKS.sub("\\g<0>\u2060", text)  # an invisible character: no address, and looks the same
    return _MARKUP.sub(r"\\\1", text)


def colour_legend(stops: Stops, low: str, high: str, meaning: str, *, middle: str = "") -> str:
    """A colour scale between its ends, with a word in its middle, as HTML. meaning: of the colours, on hover."""
    bar = f'<span class="scale" style="background: {gradient(stops)}">{middle}</span>'
    return f'<div class="legend" title="{meaning}">{low} {bar} {high}</div>'


def amount(value: float, unit: str) -> str:
    """A value of a map, and of what it is: "1.40% of attention", "0.0346 relevance"."""
    return f"{value:{'.2%' if is_share(unit) else '.3g'}} {of_what(unit)}"


def of_what(unit: str) -> str:
    """What values of this unit are of: "of attention", "of rollout weight", "relevance"."""
    if unit == WEIGHT:
        return "of attention"
    return f"of {unit}" if is_share(unit) else unit


def titled(column: Column) -> str:
    """A column's title with its unit, unless that goes without saying."""
    return column.title if column.unit in ("", "0..1") else f"{column.title} ({column.unit})"


def file_name(text: str) -> str:
    """A part of a file's name made of any text."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")


def sentence(text: str, names: Iterable[str] = (), *, links: bool = False) -> str:
    """An error's message as a sentence, as Markdown; names are as in capitalised(), links as in plain()."""
    return plain(capitalised(text, names), links=links)


def capitalised(text: str, names: Iterable[str] = ()) -> str:
    """A text with a capital to begin with, unless it begins with a name: files and models are called as they are.

    names: of files and models that the text may speak of; whatever is no plain word counts as a name, too.
    """
    first = text.split(maxsplit=1)[:1]
    is_name = not (first and first[0].rstrip(":,").isalpha()) or any(name and text.startswith(name) for name in names)
    return text if is_name else text[:1].upper() + text[1:]


def format_share(share: float) -> str:
    """A part of a whole, 0..1: "41 %", "0.4 %"; the two do not break apart at the end of a line."""
    percent = 100 * share
    return f"{percent:.0f}\u00a0%" if percent >= 9.95 else f"{percent:.2g}\u00a0%"


def format_duration(seconds: float) -> str:
    """A duration that is only roughly known: "0.4 s", "12 s", "3 min"."""
    if seconds < 9.95:
        return f"{max(seconds, 0.1):.1f} s"
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"


def format_elapsed(seconds: float) -> str:
    """A duration that was measured: "3.5 s", "40 ms"."""
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"


def progress_in(place: DeltaGenerator) -> Progress:
    """What shows a job's progress, and what it is doing, as a bar in an empty place."""

    def progress(fraction: float, message: str) -> None:
        place.progress(min(max(fraction, 0.0), 1.0), text=sentence(message))

    return progress


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar in the next place of the page, for as long as a job takes; gives what reports to it."""
    bar = st.empty()
    try:
        yield progress_in(bar)
    finally:
        bar.empty()
