"""The target of gradient methods on the pages of one picture: its choice, and its gradient."""

from functools import partial
from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.links import widgets
from dashboard.links.selection import Selection, middle
from dashboard.links.targets import TEXT
from dashboard.services import targets
from dashboard.services.analyses import Analysis, Request
from dashboard.services.gradients import GradientRequest
from dashboard.services.pictures import Picture
from dashboard.shell import analysis_panel, method_options, picture_controls
from dashboard.shell.formatting import format_duration
from vit_engine import Gradients, Method, VitEngineError


def show(analysis: Analysis, picture: Picture, selection: Selection) -> None:
    """The select box, of classes the likeliest first, and the words of a text."""
    method_options.target(
        analysis.trace.spec,
        selection.target,
        key=keys.TARGET_CHOICE,
        predictions=analysis.trace.predictions,
        pictures=picture_controls.others(picture),
        point=middle(selection.query),
        no_text=targets.why_no_text(analysis.report),
        on_change=partial(widgets.take, _take),
    )


def _take() -> dict[str, Any]:
    return {keys.TARGET: method_options.chosen_target(keys.TARGET_CHOICE)}


def takes(request: Request, method: Method) -> str:
    """How long the gradient of another target takes here, as a sentence; empty where none is needed, or none can be."""
    if not method.needs.target:
        return ""
    try:
        seconds = GradientRequest(request.picture, request.spec, request.size).estimate.seconds
    except VitEngineError:  # the page tells it, in the place of the map
        return ""
    return f"Here another target takes about {format_duration(seconds)}."


def is_missing(method: Method, selection: Selection) -> bool:
    """Whether the text of the target is missing, which the next place of the page then says."""
    missing = "target" in method.depends_on and selection.target == TEXT
    if missing:
        st.info("Type what the picture is to be similar to, under Target.", icon=":material/edit:")
    return missing


def gradients(request: Request, analysis: Analysis, selection: Selection) -> Gradients | None:
    """Of the chosen target, progress shown while the model is run; None, with the reason shown, if it fails."""
    target = targets.name_of(selection.target, analysis)
    made = analysis_panel.run(GradientRequest(request.picture, request.spec, request.size, target))
    return None if made is None else made.gradients
