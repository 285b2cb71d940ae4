"""The section under the large map that says what it is worth: closed at first, one part at a time."""

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from dashboard import keys
from dashboard.explore.worth import faithfulness, pointing
from dashboard.explore.worth.figures import outline_traces
from dashboard.links import widgets
from dashboard.links.selection import Selection
from dashboard.links.worth import Box, is_box
from dashboard.services.analyses import Analysis, Request
from dashboard.services.maps import MapRequest
from dashboard.services.masks import object_mask
from dashboard.shell.clicks import Change
from vit_engine import AttentionMap, ImageError, SpecError
from vit_engine.report.figure import Plain

_PARTS = {"faithfulness": "Does the model need it?", "pointing": "Does it find an object?"}
_HELP = (
    "Two questions that a map must answer before it is believed: whether the model's answer changes with the patches "
    "that it shows (faithfulness), and whether it lies on the object that a person marks (pointing)."
)


def show(asked: MapRequest, map: AttentionMap, selection: Selection) -> None:
    """The choice of a part, and the part that is open."""
    with st.container(horizontal=True, vertical_alignment="center", key="worth_head"):
        st.markdown("**What is this map worth?**", width="content", help=_HELP)
        st.segmented_control(
            "What is this map worth?",
            list(_PARTS),
            key=keys.WORTH,
            format_func=_PARTS.__getitem__,
            label_visibility="collapsed",
            persist_state="session",
        )
    if st.session_state[keys.WORTH] != selection.worth:  # the browser brought it to a new session
        widgets.again()
    if selection.worth == "faithfulness":
        faithfulness.show(asked, map, selection)
    elif selection.worth == "pointing":
        pointing.show(asked, map, selection, _mask(asked.request, asked.analysis, selection))


def drag(analysis: Analysis, selection: Selection, *, region: bool) -> Callable[..., Change] | None:
    """What a drag on the large map does where it marks an object; None where it does not.

    region: whether a drag could mark a region as the query instead.
    """
    if drag_marks(selection) == "object" or (selection.worth == "pointing" and not region):
        return partial(_choose_box, analysis)
    return None


def drag_marks(selection: Selection) -> str:
    """What a drag on the large map marks, of a method that depends on the query: "query" or "object"."""
    marks = st.session_state.get(keys.DRAG_MARKS) or "object"
    return marks if selection.worth == "pointing" else "query"


def _choose_box(analysis: Analysis, *, x: list[float], y: list[float]) -> dict[str, Box]:
    """x, y: where the drag began and ended, in units of the map's axes: cells, whose middles are whole numbers."""
    (height, width), size = analysis.frame, analysis.trace.grid.patch_size
    top, bottom = (_fraction((at + 0.5) * size / height) for at in sorted(y))
    left, right = (_fraction((at + 0.5) * size / width) for at in sorted(x))
    box = top, left, bottom, right
    return {keys.OBJECT: box} if is_box(box) else {}


def _fraction(at: float) -> float:
    """As a link keeps it."""
    return round(min(max(at, 0.0), 1.0), 4)


def outline(request: Request, analysis: Analysis, selection: Selection, *, beside: bool) -> list[Plain]:
    """Traces of the object's edge over the large map, while the part that asks for it is open."""
    if selection.worth != "pointing":
        return []
    mask = _mask(request, analysis, selection)
    if mask is None or isinstance(mask, SpecError | ImageError):
        return []
    grid = analysis.trace.grid
    return outline_traces(mask, rows=grid.rows, cols=grid.cols, beside=beside)


def object_of(asked: MapRequest, selection: Selection) -> np.ndarray | Box | SpecError | ImageError | None:
    """The object that the map is held to while that part is open; None where none is, or why it cannot be."""
    return _mask(asked.request, asked.analysis, selection) if selection.worth == "pointing" else None


def _mask(
    request: Request, analysis: Analysis, selection: Selection
) -> np.ndarray | Box | SpecError | ImageError | None:
    """The object on this picture; None where there is none, or why it cannot be."""
    if selection.object is None:
        return None
    try:
        return object_mask(selection.object, request, analysis)
    except (SpecError, ImageError) as error:
        return error
